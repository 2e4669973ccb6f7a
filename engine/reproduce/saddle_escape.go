package reproduce

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/flow"
	"sgflow/engine/flow/model"
	"sgflow/engine/measure"
	"sgflow/engine/page"
	"sgflow/engine/rng"
)

// Criterion, of 95 % intervals over seeds:
//   - from the saddle, the exponent with which the mean number of steps grows as a
//     power of 1/η lies within 0.9 to 1.4: 1, and a logarithm that adds some 0.15;
//   - from the well, the slope of the logarithm of the mean time against 1/η, over
//     2BΔU/σ², lies within 0.85 to 1.15: 1 in the limit, 0.954 by the exact mean time of passage
//     for barriers as low as these;
//   - from the network's saddle, the slope of the time against the logarithm of
//     1/noise², times twice the growth rate of its steepest direction, lies within 0.9
//     to 1.1.
const (
	saddleLow, saddleTop   = 0.9, 1.4
	wellLow, wellTop       = 0.85, 1.15
	networkLow, networkTop = 0.9, 1.1
)

var saddleEscape = Experiment{
	Name:    "saddle-escape",
	Claim:   "Noise in all directions takes SGD away from a saddle in a number of steps linear in 1/η (but for a logarithm), from a minimum in one exponential in 1/η.",
	Source:  "Hu, Li, Li, Liu 2017, arXiv:1705.07562",
	Paper:   "theorems for η → 0: steps of the order of η⁻¹ ln η⁻¹ from a saddle, exp(C/η) from a local minimum; no experiments",
	Setting: "a saddle of curvatures 1 and −½, η = 0.08 to 0.01, until 1 away along the second; a double well with a barrier of 2 to 4 temperatures; 800 (in full 3,000) escapes each; mlp 784-10-10 with tanh at zero weights (500 samples of MNIST), by Langevin dynamics at temperatures 1e-21 to 1e-12, until the loss is 5 % lower",
	Differs: "the paper proves; we simulate. At zero weights the noise of SGD itself vanishes in all directions that lead away, which is not the paper's assumption: the network is given noise",
	Run:     runSaddleEscape,
}

// The rates from the saddle, the heights of the barrier in temperatures and the
// temperatures of the network.
var (
	saddleRates   = []float64{0.08, 0.04, 0.02, 0.01}
	wellHeights   = []float64{2, 2.5, 3, 3.5, 4}
	networkHeats  = []float64{1e-12, 1e-15, 1e-18, 1e-21}
	escapeBatch   = 4
	wellTopRate   = 0.04 // at the lowest barrier; the rate falls as the barrier rises
	wellBarrier   = 0.25
	saddleDescent = 0.5 // −curvature
)

// escapeRun is what was measured with one seed.
type escapeRun struct {
	saddle  []float64 // mean steps, by rate
	well    []float64 // mean time, by height
	network []float64 // time, by temperature
	growth  float64   // of the network's steepest direction, in time: ln(1 + ηb)/η
	stays   float64   // distance that SGD's own noise moves the weights in the longest of these times
}

func runSaddleEscape(ctx context.Context, l *Lab) (*Outcome, error) {
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) (*escapeRun, error) {
		r := &escapeRun{}
		for _, part := range []func(context.Context, *Lab, uint64) error{r.leaveSaddle, r.leaveWell, r.leaveNetwork} {
			if err := part(ctx, l, seed); err != nil {
				return nil, err
			}
		}
		return r, nil
	})
	if err != nil {
		return nil, err
	}
	return judgeEscape(l.Seeds, runs), nil
}

// slopesOfNoise are n×d slopes, half of them the negatives of the others.
func slopesOfNoise(n, d int) *mat.Dense {
	s := rng.New(rng.Labels, 3, 0)
	m := mat.NewDense(n, d, nil)
	for i := range n / 2 {
		for k := range d {
			x := s.NormFloat64()
			m.Set(2*i, k, x)
			m.Set(2*i+1, k, -x)
		}
	}
	return m
}

// escapes returns the mean number of steps over n paths of SGD on p until done.
func escapes(ctx context.Context, p *model.Problem, start []float64, c flow.SGDConfig, n int, done func(theta []float64) bool) (float64, error) {
	sum := 0.0
	for i := range uint64(n) {
		c.Seed = c.Seed&^(1<<20-1) | i
		path, err := flow.NewSGD(p, start, c)
		if err != nil {
			return 0, err
		}
		for !done(path.Theta()) {
			if err := path.Step(ctx); err != nil {
				return 0, err
			}
			sum++
		}
	}
	return sum / float64(n), nil
}

func (r *escapeRun) leaveSaddle(ctx context.Context, l *Lab, seed uint64) error {
	p := model.Saddle([]float64{1, -saddleDescent}, slopesOfNoise(32, 2))
	for k, rate := range saddleRates {
		l.Report("saddle, η = %g, seed %d", rate, seed)
		steps, err := escapes(ctx, p, []float64{0, 0}, flow.SGDConfig{Rate: rate, Batch: escapeBatch, Seed: (seed*100 + uint64(k)) << 20}, pick(l, 800, 3000),
			func(theta []float64) bool { return math.Abs(theta[1]) >= 1 })
		if err != nil {
			return err
		}
		r.saddle = append(r.saddle, steps)
	}
	return nil
}

// wellRate returns the rate at which the barrier is so many temperatures high, and the
// variance σ² of the noise, with temperature ησ²/2B.
func wellRate(height float64) (rate, variance float64) {
	variance = 2 * float64(escapeBatch) * wellBarrier / (wellHeights[0] * wellTopRate)
	return 2 * float64(escapeBatch) * wellBarrier / (height * variance), variance
}

func (r *escapeRun) leaveWell(ctx context.Context, l *Lab, seed uint64) error {
	slopes := slopesOfNoise(64, 1)
	_, variance := wellRate(1)
	norm := mat.Norm(slopes, 2)
	slopes.Scale(math.Sqrt(variance*64)/norm, slopes)
	p := model.DoubleWell(wellBarrier, slopes.RawMatrix().Data)
	for k, height := range wellHeights {
		rate, _ := wellRate(height)
		l.Report("well, η = %.3g, seed %d", rate, seed)
		steps, err := escapes(ctx, p, []float64{-1}, flow.SGDConfig{Rate: rate, Batch: escapeBatch, Seed: (seed*100 + 50 + uint64(k)) << 20}, pick(l, 800, 3000),
			func(theta []float64) bool { return theta[0] >= 1 })
		if err != nil {
			return err
		}
		r.well = append(r.well, steps*rate)
	}
	return nil
}

func (r *escapeRun) leaveNetwork(ctx context.Context, l *Lab, seed uint64) error {
	n, err := Open[float64](l, NewSetup("mlp:784-10-10,act=tanh", 500, seed))
	if err != nil {
		return err
	}
	defer n.Close()
	on := flow.NewNetwork(n.Train, len(n.All))
	saddle := make([]float64, on.Dim())
	// At zero weights the outputs are the last biases, and the loss is least where
	// their softmax is the share of each class: there all derivatives are 0. With zero
	// biases the slope along them is the softmax, of equal parts, less these shares.
	grad := make([]float64, on.Dim())
	on.Gradient(grad, saddle, nil)
	for k := on.Dim() - n.Classes; k < on.Dim(); k++ {
		saddle[k] = math.Log(1/float64(n.Classes) - grad[k])
	}
	loss := on.Gradient(grad, saddle, nil)
	pairs, err := measure.Eigenpairs(ctx, n.Train, measure.EigenConfig{K: 1, Smallest: true, Tol: 1e-3, Seed: seed})
	if err != nil {
		return err
	}
	const rate = 0.1
	r.growth = math.Log1p(-rate*pairs[0].Value) / rate
	for _, heat := range networkHeats { // by the same normal numbers, so that what differs is their size
		path, err := flow.NewLangevin(on, saddle, flow.LangevinConfig{Rate: rate, Temperature: heat, Seed: seed})
		if err != nil {
			return err
		}
		for {
			if err := path.Step(ctx); err != nil {
				return err
			}
			if path.Loss() < 0.95*loss {
				break
			}
			if path.Time() > 200/r.growth {
				return errors.New("the network does not leave its saddle")
			}
		}
		l.Report("network, temperature %g, seed %d: left at t = %.3g", heat, seed, path.Time())
		r.network = append(r.network, path.Time())
	}
	return r.stay(ctx, on, saddle, flow.SGDConfig{Rate: rate, Batch: 32, Seed: seed}, n.Classes)
}

// stay measures how far SGD moves the weights in the time that the coldest escape took.
func (r *escapeRun) stay(ctx context.Context, on *flow.Network[float64], saddle []float64, c flow.SGDConfig, classes int) error {
	path, err := flow.NewSGD(on, saddle, c)
	if err != nil {
		return err
	}
	for path.Time() < r.network[len(r.network)-1] {
		if err := path.Step(ctx); err != nil {
			return err
		}
	}
	square := 0.0
	for _, x := range path.Theta()[:on.Dim()-classes] { // the last biases do move
		square += x * x
	}
	r.stays = math.Sqrt(square)
	return nil
}

// judgeEscape applies the criterion.
func judgeEscape(seeds []uint64, runs []*escapeRun) *Outcome {
	var inverse []float64 // 1/η of the wells
	var variance float64
	for _, height := range wellHeights {
		rate, v := wellRate(height)
		inverse, variance = append(inverse, 1/rate), v
	}
	var exponents, slopes, growths, stays []float64
	var steps, times, leaves []figure.Series
	for i, r := range runs {
		_, e := stat.LinearRegression(logs(saddleRates), logs(r.saddle), nil, false)
		exponents = append(exponents, -e)
		_, s := stat.LinearRegression(inverse, logs(r.well), nil, false)
		slopes = append(slopes, s*variance/(2*float64(escapeBatch)*wellBarrier))
		_, g := stat.LinearRegression(logs(networkHeats), r.network, nil, false)
		growths, stays = append(growths, -g*2*r.growth), append(stays, r.stays)
		label := fmt.Sprintf("seed %d", seeds[i])
		ascending := make([]float64, len(saddleRates))
		for k, rate := range saddleRates {
			ascending[k] = 1 / rate
		}
		steps = append(steps, marked(label, ascending, r.saddle))
		times = append(times, marked(label, inverse, r.well))
		colder := make([]float64, len(networkHeats))
		for k, heat := range networkHeats {
			colder[k] = 1 / heat
		}
		leaves = append(leaves, marked(label, colder, r.network))
	}
	o := &Outcome{
		Verdict: All(Decide(exponents, saddleLow, saddleTop), Decide(slopes, wellLow, wellTop), Decide(growths, networkLow, networkTop)),
		Measured: []Finding{
			Over("exponent of 1/η in the steps from the saddle", exponents, "1, and a logarithm"),
			Over("slope of ln(time from the well) against 1/η, over 2BΔU/σ²", slopes, "1, as η → 0"),
			Over("time from the network's saddle against ln(1/temperature), times 2b", growths, "1 (linear instability)"),
			Over("distance that SGD's own noise moves the network's weights at its saddle", stays, ""),
		},
		Charts: []page.Chart{
			{Name: "saddle", Title: "Mean steps from the saddle", Chart: figure.Chart{X: figure.Axis{Label: "1/η", Log: true}, Y: figure.Axis{Label: "steps", Log: true}, Series: steps}},
			{Name: "well", Title: "Mean time from the well", Chart: figure.Chart{X: figure.Axis{Label: "1/η"}, Y: figure.Axis{Label: "t = Σ η", Log: true}, Series: times}},
			{Name: "network", Title: "Time from the network's saddle", Chart: figure.Chart{X: figure.Axis{Label: "1/temperature", Log: true}, Y: figure.Axis{Label: "t = Σ η"}, Series: leaves}},
		},
	}
	o.Why = fmt.Sprintf("the exponent of 1/η from the saddle has to lie within %g to %g: it is %s, 95 %% interval; the exponential slope from the well, over 2BΔU/σ², within %g to %g: %s; the logarithmic one from the network's saddle, over 1/2b, within %g to %g: %s.",
		saddleLow, saddleTop, spanOf(exponents), wellLow, wellTop, spanOf(slopes), networkLow, networkTop, spanOf(growths))
	return o
}
