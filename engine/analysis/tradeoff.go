package analysis

import (
	"errors"
	"fmt"
	"math"
)

// Reached is a run that reached the target after so many steps.
type Reached struct {
	Batch int
	Seed  uint64
	Steps float64 // > 0
}

// TradeOff is McCandlish's law of diminishing returns for one target,
//
//	(S/S_min − 1)(E/E_min − 1) = 1,   E = B·S,
//
// of which S(B) = S_min(1 + B_crit/B) and E(B) = E_min(1 + B/B_crit) with
// B_crit = E_min/S_min are other forms: at the critical batch size a run takes
// twice the fewest possible steps and twice the fewest possible samples
// (McCandlish et al. 2018, arXiv:1812.06162, eq. 2.11 and 2.12).
type TradeOff struct {
	StepsMin   Interval `json:"steps_min"`
	SamplesMin Interval `json:"samples_min"`
	Critical   Interval `json:"critical_batch"`
	Quality    Quality  `json:"quality"`
}

// Steps returns the steps that the fit predicts for a batch size.
func (t *TradeOff) Steps(batch float64) float64 {
	return t.StepsMin.Value * (1 + t.Critical.Value/batch)
}

// Errors of FitTradeOff.
var (
	// ErrFewBatches says that too few batch sizes reached the target.
	ErrFewBatches = errors.New("analysis: the trade-off needs 3 batch sizes or more that reached the target")
	// ErrAllAbove says that steps do not depend on the batch size.
	ErrAllAbove = errors.New("analysis: larger batches save no steps at all here: the critical batch size is below the smallest")
	// ErrAllBelow says that steps fall as 1/batch throughout.
	ErrAllBelow = errors.New("analysis: steps fall in proportion to the batch size to the last: the critical batch size is above the largest")
)

// beyond is how far outside the measured batch sizes the critical one is sought,
// as a factor. There S differs from its limit by under 1 % at every point.
const beyond = 100

// FitTradeOff fits the trade-off to runs by least squares in log S over batch
// size and steps, each run counted once. As E is exactly B·S, the distance in
// log E is the same one.
//
// Of 400 simulated sweeps of eight batch sizes with 5 % noise in the steps, intervals
// of S_min, E_min and B_crit held the truth in
//
//	5 seeds, each with 10 % luck of its own        96  95  95 %
//	3 seeds, with and without such luck            94 to 96 %
//	5 runs a batch size, all of different seeds    96  94  96 %
//	one seed, errors from the residuals            95  96  93 %
func FitTradeOff(reached []Reached) (*TradeOff, error) {
	var list []observation
	for _, r := range reached {
		if r.Batch < 1 || !(r.Steps > 0) || !finite(r.Steps) {
			return nil, fmt.Errorf("analysis: batch %d reached the target after %g steps: both must be positive", r.Batch, r.Steps)
		}
		list = append(list, observation{x: math.Log(float64(r.Batch)), y: math.Log(r.Steps), seed: r.Seed})
	}
	s := newSample(list)
	if len(s.cells) < 3 {
		return nil, ErrFewBatches
	}
	smallest, largest := s.cells[0][0].x, s.cells[len(s.cells)-1][0].x
	low, high := smallest-math.Log(beyond), largest+math.Log(beyond)
	cells := s.all()
	critical, steps := tradeOff(cells, low, high)
	switch {
	case critical == low:
		return nil, ErrAllAbove
	case critical == high:
		return nil, ErrAllBelow
	}
	t := &TradeOff{}
	var sum float64
	t.Quality, sum = s.quality(func(x float64) float64 { return steps + softplus(critical-x) }, 2)
	df := s.df
	e := s.stderrs(func(cells []cell) ([]float64, bool) {
		if len(cells) < 3 {
			return nil, false
		}
		c, a := tradeOff(cells, low, high)
		return []float64{a, a + c, c}, true
	})
	if s.method == Residuals {
		df = len(cells) - 2
		e = tradeOffStderrs(cells, critical, sum)
	}
	if e == nil {
		df, e = 0, make([]float64, 3)
	}
	t.StepsMin = interval(steps, e[0], df, true)
	t.SamplesMin = interval(steps+critical, e[1], df, true)
	t.Critical = interval(critical, e[2], df, true)
	t.judge(math.Exp(smallest), math.Exp(largest))
	return t, nil
}

// tradeOff returns the logarithms of the critical batch size and of S_min that
// fit best: for each critical size the best S_min is a mean, and what is left is
// searched on a grid and then by golden sections. A result at an end of the
// range means that there is no minimum within.
func tradeOff(cells []cell, low, high float64) (critical, steps float64) {
	least := func(c float64) float64 {
		sum, _ := tradeOffResidual(cells, c)
		return sum
	}
	const intervals = 40
	width := (high - low) / intervals
	best, at := math.Inf(1), 0
	for i := range intervals + 1 {
		if sum := least(low + float64(i)*width); sum < best {
			best, at = sum, i
		}
	}
	switch at {
	case 0:
		critical = low
	case intervals:
		critical = high
	default:
		critical = golden(least, low+float64(at-1)*width, low+float64(at+1)*width)
	}
	_, steps = tradeOffResidual(cells, critical)
	return critical, steps
}

// tradeOffResidual returns the weighted residual sum of squares for a critical
// batch size, and the logarithm of the best S_min; all in logarithms.
func tradeOffResidual(cells []cell, critical float64) (sum, steps float64) {
	weights := 0.0
	for _, c := range cells {
		weights += c.weight
		steps += c.weight * (c.mean - softplus(critical-c.x))
	}
	steps /= weights
	for _, c := range cells {
		r := c.mean - steps - softplus(critical-c.x)
		sum += c.weight * r * r
	}
	return sum, steps
}

// tradeOffStderrs returns the standard errors of log S_min, log E_min and log
// B_crit by linearising the fit at its minimum, with the variance that the
// residual sum of squares of the means has; nil where no degree of freedom is
// left.
func tradeOffStderrs(cells []cell, critical, sum float64) []float64 {
	df := len(cells) - 2
	if df < 1 {
		return nil
	}
	// ∂/∂a = 1, ∂/∂c = q = 1/(1 + B/B_crit): the normal matrix [w, wq; wq, wq²].
	var w, wq, wqq float64
	for _, c := range cells {
		q := 1 / (1 + math.Exp(c.x-critical))
		w += c.weight
		wq += c.weight * q
		wqq += c.weight * q * q
	}
	variance := sum / float64(df)
	det := w*wqq - wq*wq
	aa, cc, ac := variance*wqq/det, variance*w/det, -variance*wq/det
	return []float64{math.Sqrt(aa), math.Sqrt(max(0, aa+cc+2*ac)), math.Sqrt(cc)}
}

// softplus returns log(1 + eˣ).
func softplus(x float64) float64 {
	if x > 0 {
		return x + math.Log1p(math.Exp(-x))
	}
	return math.Log1p(math.Exp(x))
}

// golden returns a minimum of f between a and b to 1e-5, by golden sections.
func golden(f func(float64) float64, a, b float64) float64 {
	const ratio = 0.6180339887498949 // (√5 − 1)/2
	c, d := b-ratio*(b-a), a+ratio*(b-a)
	fc, fd := f(c), f(d)
	for b-a > 1e-5 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - ratio*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + ratio*(b-a)
			fd = f(d)
		}
	}
	return (a + b) / 2
}

// judge sets the verdict.
func (t *TradeOff) judge(smallest, largest float64) {
	q := &t.Quality
	p, tested := q.LackOfFit.Get()
	significant := tested && p < 0.01
	switch {
	case q.RMS > 0.25:
		q.worsen(Bad, "the mean steps are %.0f %% off the curve (root mean square)", 100*q.RMS)
	case significant && q.RMS > 0.1:
		q.worsen(Bad, "the mean steps are %.0f %% off the curve, more than the scatter between seeds explains (p = %.2g)", 100*q.RMS, p)
	case significant:
		q.worsen(Rough, "the mean steps are off the curve by more than the scatter between seeds explains (p = %.2g), though by %.1f %% only", p, 100*q.RMS)
	}
	if c := t.Critical.Value; c < smallest || c > largest {
		q.worsen(Rough, "the critical batch size lies outside of the measured %.4g to %.4g", smallest, largest)
	}
	low, okLow := t.Critical.Low.Get()
	high, okHigh := t.Critical.High.Get()
	switch {
	case !okLow || !okHigh:
		q.worsen(Rough, "its error is unknown")
	case high > 4*low:
		q.worsen(Rough, "its interval spans a factor of %.1f", high/low)
	}
	if q.Points == 3 {
		q.worsen(Rough, "only 3 batch sizes reached the target")
	}
}
