package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// Criterion, by 95 % intervals over seeds of logarithms: the noise scale of the
// initial weights lies below 100 (tens), that of the last fifth of training above 100
// (hundreds or more), and their ratio above 10 (an order of magnitude).
const (
	growthLevel  = 100
	growthFactor = 10
)

var noiseScaleGrowth = Experiment{
	Name:    "noise-scale-growth",
	Claim:   "The noise scale of MNIST grows during training, from tens of samples to hundreds or more.",
	Source:  "McCandlish, Kaplan, Amodei et al. 2018, arXiv:1812.06162",
	Paper:   "simple noise scale on MNIST 50 at the start and 900 on average over training, for a small convolutional network; it rises by an order of magnitude or more in most problems",
	Setting: "mlp 784-64-10 with ReLU, cross-entropy, all of MNIST, SGD with batch 128 and η = 0.1, 3 epochs, in full 10, two networks a seed; noise scale tr Σ/‖G‖² of the first 10,000 training samples, corrected for their number",
	Differs: "a fully connected network without momentum; the noise scale comes from exact per-sample gradients at one point, not from batches averaged over steps",
	Run:     runNoiseScaleGrowth,
}

// growthRun is the noise scale along one network's training.
type growthRun struct {
	scale *curve // of the step + 1
	start float64
	late  float64 // over the last fifth of the steps
	whole float64 // mean over all steps
}

func runNoiseScaleGrowth(ctx context.Context, l *Lab) (*Outcome, error) {
	const samples = 10000
	epochs := pick(l, 3, 10)
	seeds := replicas(l, 2)
	runs, err := Map(ctx, l, len(seeds), func(ctx context.Context, l *Lab, i int) (*growthRun, error) {
		seed := seeds[i]
		n, err := Open[float32](l, NewSetup("mlp:784-64-10", 0, seed))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		const batch = 128
		steps := epochs * len(n.All) / batch
		return takeGrowth(ctx, l, n, seed, Course{Batch: batch, LR: 0.1, Steps: steps}, n.All[:samples])
	})
	if err != nil {
		return nil, err
	}
	return judgeGrowth(seeds, runs), nil
}

// growthPoints is how many evenly spaced points of a run the noise scale is measured
// at, growthLate at how many of the last fifth; others come in powers of two at its
// beginning.
const growthPoints, growthLate = 20, 20

// takeGrowth trains a network by the course and follows the noise scale of samples.
func takeGrowth(ctx context.Context, l *Lab, n *Network[float32], seed uint64, c Course, samples []int32) (*growthRun, error) {
	r := &growthRun{scale: &curve{}}
	even, dense, from := max(c.Steps/growthPoints, 1), max(c.Steps/5/growthLate, 1), c.Steps*4/5
	var late noiseSums
	var scales []float64
	c.Every = 1
	c.Hook = func(step int) error {
		isEven, isLate := step%even == 0, step > from && (step-from)%dense == 0
		if !isEven && !isLate && step&(step-1) != 0 { // nor a power of two
			return nil
		}
		var at noiseSums
		at.add(noiseAt(n, samples))
		scale := at.scale()
		if step == 0 {
			r.start = scale
		}
		if isEven && scale > 0 {
			scales = append(scales, scale)
		}
		if isLate {
			late.add(at.noise, at.signal)
		}
		r.scale.add(float64(step+1), scale)
		l.Report("seed %d: step %d of %d, noise scale %.0f", seed, step, c.Steps, scale)
		return nil
	}
	if err := n.Take(ctx, c); err != nil {
		return nil, err
	}
	r.late, r.whole = late.scale(), stat.Mean(scales, nil)
	for _, x := range []float64{r.start, r.late, r.whole} {
		if !(x > 0) || !finite(x) {
			return nil, fmt.Errorf("the noise scale is %g: the gradient of %d samples is all noise; take more samples", x, len(samples))
		}
	}
	return r, nil
}

// noiseAt returns tr Σ̂ and the unbiased ‖G‖² of the samples at the network's weights.
func noiseAt(n *Network[float32], samples []int32) (noise, signal float64) {
	n.Train.Gradient(samples, true)
	g, _, _ := n.Train.Noise(nil)
	noise, _ = g.VarTrace()
	signal, _ = g.NormSqUnbiased()
	return noise, signal
}

// noiseSums are sums of tr Σ and ‖G‖² over points, whose ratio is their noise scale:
// far steadier than a mean of ratios (McCandlish et al. 2018, appendix A.1).
type noiseSums struct{ noise, signal float64 }

func (s *noiseSums) add(noise, signal float64) { s.noise, s.signal = s.noise+noise, s.signal+signal }

func (s *noiseSums) scale() float64 { return s.noise / s.signal }

// judgeGrowth applies the criterion.
func judgeGrowth(seeds []uint64, runs []*growthRun) *Outcome {
	var start, late, whole []float64
	var curves []*curve
	for _, r := range runs {
		start, late, whole = append(start, r.start), append(late, r.late), append(whole, r.whole)
		curves = append(curves, r.scale)
	}
	growth := logRatios(late, start)
	inf := math.Inf(1)
	return &Outcome{
		Verdict: All(Decide(logs(start), -inf, math.Log(growthLevel)), Decide(logs(late), math.Log(growthLevel), inf),
			Decide(growth, math.Log(growthFactor), inf)),
		Why: fmt.Sprintf("The noise scale has to begin below %d samples, to end above %d and to grow more than %d-fold (95 %% intervals): it begins at %s, ends at %s and grows by a factor of %s.",
			growthLevel, growthLevel, growthFactor, factorOf(logs(start)), factorOf(logs(late)), factorOf(growth)),
		Measured: []Finding{
			Over("noise scale at the initial weights", start, "50"),
			Over("noise scale over the last fifth of the steps", late, "hundreds or more"),
			Over("mean noise scale over all steps", whole, "900"),
			Over("ratio of the last fifth to the start", apply(growth, math.Exp), "10 or more"),
		},
		Charts: []page.Chart{{
			Name: "noise-scale", Title: "Noise scale during training",
			Caption: []string{"The gradient shrinks faster than its variance: later batches hold less signal, so that larger ones pay."},
			How:     "tr Σ̂/(‖ḡ‖² − tr Σ̂/n) of n = 10,000 fixed training samples, by exact per-sample gradients",
			Chart: figure.Chart{
				X: figure.Axis{Label: "step + 1", Log: true}, Y: figure.Axis{Label: "noise scale (samples)", Log: true},
				Series: lines("noise scale", seeds, curves),
			},
		}},
	}
}
