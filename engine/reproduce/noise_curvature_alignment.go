package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/page"
	"sgflow/engine/rng"
)

// Criterion: at every point of training the 95 % interval over seeds of the decimal
// logarithm of Tr(HΣ)/(tr H·tr Σ/P) lies above 1: the noise meets more than ten times
// the curvature that isotropic noise of the same trace would. It is contradicted
// where an interval lies below.
const alignmentLeast = 1

var noiseCurvatureAlignment = Experiment{
	Name:    "noise-curvature-alignment",
	Claim:   "The noise of SGD is aligned with the curvature: Tr(HΣ) is far larger than for isotropic noise of the same trace.",
	Source:  "Zhu, Wu, Yu, Wu, Ma 2019, arXiv:1803.00195; Wu, Wang, Su 2022, arXiv:2207.02628",
	Paper:   "Tr(HΣ) far above that of isotropic noise of the same trace during training (Zhu); noise in the sharp directions, in proportion to the loss, for squared error (Wu)",
	Setting: "mlp 784-64-10, cross-entropy, the first 500 samples of MNIST (in full 2,000), at the start and after 30, 100, 300 and 1,000 steps of SGD with batch 32, η = 0.1; Tr(HΣ) by 64 and tr H by 32 random probes, tr Σ exactly",
	Differs: "cross-entropy alone; network and training set",
	Run:     runAlignment,
}

// alignmentSteps are the steps at which it is measured.
var alignmentSteps = []int{0, 30, 100, 300, 1000}

// alignment is what noise and curvature have to do with each other at a point.
type alignment struct {
	ratio  float64 // Tr(HΣ)/(tr H·tr Σ/P)
	cosine float64 // Tr(HΣ)/(‖H‖_F·‖Σ‖_F)
}

func runAlignment(ctx context.Context, l *Lab) (*Outcome, error) {
	samples := pick(l, 500, 2000)
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) ([]alignment, error) {
		return takeAlignment(ctx, l, NewSetup("mlp:784-64-10", samples, seed))
	})
	if err != nil {
		return nil, err
	}
	return judgeAlignment(l.Seeds, runs), nil
}

// takeAlignment trains a network and measures at the steps.
func takeAlignment(ctx context.Context, l *Lab, c Setup) ([]alignment, error) {
	n, err := Open[float32](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	var list []alignment
	from := 0
	for _, step := range alignmentSteps {
		if err := n.Take(ctx, Course{Batch: 32, LR: 0.1, Steps: step - from, From: from}); err != nil {
			return nil, err
		}
		from = step
		l.Report("seed %d: step %d", c.Seed, step)
		a, err := align(ctx, n, 64, 32)
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	return list, nil
}

// align measures noise and curvature of all training samples. With independent signs
// εᵢ of mean zero over the samples, w = Σᵢεᵢ(gᵢ − ḡ)/√N has the covariance Σ, so that
// E[wᵀHw] = Tr(HΣ) (Hutchinson 1990).
func align(ctx context.Context, n *Network[float32], draws, probes int) (alignment, error) {
	n.Train.Gradient(n.All, true)
	total, _, ok := n.Train.Noise(nil)
	if !ok {
		return alignment{}, fmt.Errorf("the network has no gradients of single samples")
	}
	samples, p := float64(len(n.All)), float64(len(n.Session.Params()))
	trace := total.MeanSampleNormSq - total.NormSq // of the population's covariance
	h, err := measure.Hutchinson(ctx, n.Train, measure.TraceConfig{Probes: probes, Seed: n.seed})
	if err != nil {
		return alignment{}, err
	}
	weights := make([]float64, len(n.All))
	w, hw := make([]float32, len(n.Session.Params())), make([]float32, len(n.Session.Params()))
	var products float64
	for k := range draws {
		if err := ctx.Err(); err != nil {
			return alignment{}, err
		}
		rng.Signs(weights, rng.New(rng.Probes, n.seed, alignmentProbes+uint64(k)), 0)
		center := stat.Mean(weights, nil)
		for i := range weights {
			weights[i] = (weights[i] - center) / math.Sqrt(samples)
		}
		n.Train.CombineSamples(w, weights)
		n.Train.Product(hw, w)
		products += n.Session.Dot(w, hw) / float64(draws)
	}
	gram := make([]float64, len(n.All)*len(n.All))
	n.Train.SampleGram(gram)
	frobenius := h.Frobenius()
	return alignment{
		ratio:  products / (h.Trace.Value * trace / p),
		cosine: products / (frobenius.Value * centeredNorm(gram, len(n.All)) / samples),
	}, nil
}

// alignmentProbes is the number of the first stream of signs, beyond those of the
// trace.
const alignmentProbes = 1 << 32

// centeredNorm returns the Frobenius norm of the n×n Gram matrix of vectors once
// their mean is subtracted.
func centeredNorm(gram []float64, n int) float64 {
	rows := make([]float64, n)
	all := 0.0
	for i := range n {
		rows[i] = stat.Mean(gram[i*n:(i+1)*n], nil)
		all += rows[i] / float64(n)
	}
	sum := 0.0
	for i := range n {
		for j := range n {
			x := gram[i*n+j] - rows[i] - rows[j] + all
			sum += x * x
		}
	}
	return math.Sqrt(sum)
}

// judgeAlignment applies the criterion to the measurements by seed and step.
func judgeAlignment(seeds []uint64, runs [][]alignment) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	var said string
	chart := page.Chart{
		Name: "alignment", Title: "How much more curvature the noise meets than isotropic noise would",
		How:   "Tr(HΣ)/(tr H·tr Σ/P) against the steps of training plus one",
		Chart: figure.Chart{X: figure.Axis{Label: "step + 1", Log: true}, Y: figure.Axis{Label: "Tr(HΣ)/(tr H·tr Σ/P)", Log: true}},
	}
	curves := make([]*curve, len(seeds))
	for i := range curves {
		curves[i] = &curve{}
	}
	for k, step := range alignmentSteps {
		var ratios, logs, cosines []float64
		for i := range seeds {
			a := runs[i][k]
			ratios, cosines = append(ratios, a.ratio), append(cosines, a.cosine)
			logs = append(logs, math.Log10(max(a.ratio, math.SmallestNonzeroFloat64))) // a negative one is far from aligned
			curves[i].add(float64(step+1), a.ratio)
		}
		o.Verdict = All(o.Verdict, Decide(logs, alignmentLeast, math.Inf(1)))
		o.Measured = append(o.Measured,
			Over(fmt.Sprintf("Tr(HΣ)/(tr H·tr Σ/P), step %d", step), ratios, "far above 1"),
			Over(fmt.Sprintf("cosine of H and Σ, step %d", step), cosines, ""))
		low, high := Interval(logs)
		said += fmt.Sprintf("; step %d: %.0f (%.0f to %.0f)", step, math.Pow(10, stat.Mean(logs, nil)), math.Pow(10, low), math.Pow(10, high))
	}
	o.Why = fmt.Sprintf("Tr(HΣ) has to be above %g times what isotropic noise of the same trace would have (95 %% interval) at every step%s.", math.Pow(10, alignmentLeast), said)
	chart.Series = append(lines("ratio", seeds, curves), level("isotropic noise", 1, float64(alignmentSteps[len(alignmentSteps)-1]+1), 1))
	o.Charts = []page.Chart{chart}
	return o
}
