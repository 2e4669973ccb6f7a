package analysis

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"sgflow/engine/record"
)

// Interval is a fitted number with its 95 % interval; an end is absent where it
// is not known.
type Interval struct {
	Value float64    `json:"value"`
	Low   record.Opt `json:"low,omitzero"`
	High  record.Opt `json:"high,omitzero"`
}

// Verdict is how far a fit can be trusted.
type Verdict string

// The verdicts.
const (
	Good  Verdict = "good"  // describes the points to within their errors, or nearly
	Rough Verdict = "rough" // read it as an order of magnitude
	Bad   Verdict = "bad"   // the curve does not describe the points
)

// Quality is how well a curve describes the points it was fitted to.
type Quality struct {
	Verdict Verdict  `json:"verdict"`
	Reasons []string `json:"reasons,omitempty"`
	Method  Method   `json:"errors_from"`
	Points  int      `json:"points"` // distinct abscissas
	Runs    int      `json:"runs"`
	Seeds   int      `json:"seeds"`
	// R2 is the share of the means' variance that the curve explains; absent
	// where they do not vary.
	R2 record.Opt `json:"r2,omitzero"`
	// RMS is the root mean square of what the means are off the curve, in the
	// units of the fit: natural logarithms, so that 0.1 is about 10 %.
	RMS float64 `json:"rms"`
	// LackOfFit is the probability, were the curve true, of means as far off it as
	// these or farther, given the scatter between runs of one setting (F test);
	// absent without such scatter.
	LackOfFit record.Opt `json:"lack_of_fit,omitzero"`
}

// quality compares the cells of s with a curve of the given number of
// parameters. sum is the weighted residual sum of squares of the means.
func (s *sample) quality(predict func(x float64) float64, parameters int) (q Quality, sum float64) {
	cells := s.all()
	q = Quality{Verdict: Good, Method: s.method, Points: len(cells), Seeds: len(s.seeds)}
	var weights, mean float64
	for _, c := range cells {
		weights += c.weight
		mean += c.weight * c.mean
	}
	mean /= weights
	q.Runs = int(weights)
	var total float64
	for _, c := range cells {
		r := c.mean - predict(c.x)
		sum += c.weight * r * r
		total += c.weight * (c.mean - mean) * (c.mean - mean)
	}
	q.RMS = math.Sqrt(sum / weights)
	if total > 0 {
		q.R2 = some(1 - sum/total)
	}
	within, df := s.pureError()
	if left := len(cells) - parameters; left > 0 && df > 0 && within > 0 {
		f := sum / float64(left) / (within / float64(df))
		q.LackOfFit = some(distuv.F{D1: float64(left), D2: float64(df)}.Survival(f))
	}
	if len(cells) <= parameters {
		q.worsen(Rough, "%d points for %d parameters: nothing is left to check the curve with", len(cells), parameters)
	}
	return q, sum
}

// worsen lowers the verdict to v, where it is not lower, and says why.
func (q *Quality) worsen(v Verdict, format string, args ...any) {
	if q.Verdict == Good || v == Bad {
		q.Verdict = v
	}
	q.Reasons = append(q.Reasons, fmt.Sprintf(format, args...))
}

// interval returns exp(center ± t·stderr), or center ± t·stderr where log is
// not set.
func interval(center, stderr float64, df int, log bool) Interval {
	value := func(x float64) float64 {
		if log {
			return math.Exp(x)
		}
		return x
	}
	i := Interval{Value: value(center)}
	if half := tQuantile(max(df, 1)) * stderr; df > 0 && finite(half) {
		i.Low, i.High = some(value(center-half)), some(value(center+half))
	}
	return i
}
