package reproduce

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/data"
	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/page"
	"sgflow/engine/problem"
)

// Criterion, for every batch size: the 95 % interval over seeds of the batch
// sharpness times η/2, a mean over the last third of the steps, lies within 0.8 to
// 1.2, and that of lambda_max·η/2 of the whole set lies below 0.8.
//
// The labels are half random because on MNIST as it is the networks fit all samples
// before the sharpness gets to 2/η, and the claim is about those that get there: the
// authors' notes on their code say that with a rate too low for the difficulty of
// the problem batch sharpness stabilises below. That control is measured too.
const (
	batchSharpnessLow, batchSharpnessHigh = 0.8, 1.2
	batchLambdaHigh                       = 0.8
)

var batchSharpness = Experiment{
	Name:    "batch-sharpness",
	Claim:   "Under mini-batch SGD it is the batch sharpness E[gᵀH_B g/‖g‖²] that rises to 2/η and hovers there, while lambda_max of the whole set stays below.",
	Source:  "Andreyev, Beneventano 2024, arXiv:2412.20553",
	Paper:   "batch sharpness at 2/η, lambda_max lower the smaller the batch, for networks with squared error on 8,192 samples of CIFAR-10",
	Setting: "mlp 784-64-64-10 with ReLU, initial weights times 0.3, mean squared error, the first 1,000 samples of MNIST of which half have random labels, η = 0.1, batches of 8 and 16 (in full 32 too) drawn with replacement, t = Σ η up to 1,500 (in full 3,000)",
	Differs: "data set, size of network and training set; labels are half random, as MNIST is fitted before the batch sharpness gets to 2/η: true labels are the control",
	Run:     runBatchSharpness,
}

// batchSetting is a batch size and the share of random labels.
type batchSetting struct {
	batch  int
	random float64
}

// name is the setting for people.
func (s batchSetting) name() string {
	if s.random == 0 {
		return fmt.Sprintf("true labels, batch %d", s.batch)
	}
	return fmt.Sprintf("batch %d", s.batch)
}

// batchRun is one network's way.
type batchRun struct {
	batch, lambda *curve  // of t: batch sharpness and lambda_max, times η/2
	late, full    float64 // their means over the last third
}

func runBatchSharpness(ctx context.Context, l *Lab) (*Outcome, error) {
	const rate, half = 0.1, 0.5
	time := pick(l, 1500.0, 3000.0)
	settings := pick(l, []batchSetting{{8, half}, {16, half}, {16, 0}}, []batchSetting{{8, half}, {16, half}, {32, half}, {16, 0}})
	runs, err := Map(ctx, l, len(settings)*len(l.Seeds), func(ctx context.Context, l *Lab, i int) (*batchRun, error) {
		c := NewSetup("mlp:784-64-64-10", 1000, l.Seeds[i%len(l.Seeds)])
		s := settings[i/len(l.Seeds)]
		c.Loss, c.RandomLabels, c.InitialScale = problem.MSE, s.random, 0.3
		return takeBatches(ctx, l, c, s, rate, int(time/rate))
	})
	if err != nil {
		return nil, err
	}
	return judgeBatches(settings, l.Seeds, runs), nil
}

// takeBatches trains by SGD and follows batch sharpness and lambda_max.
func takeBatches(ctx context.Context, l *Lab, c Setup, s batchSetting, rate float64, steps int) (*batchRun, error) {
	n, err := Open[float32](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	r := &batchRun{batch: &curve{}, lambda: &curve{}}
	const measurements, between = 60, 4 // of batch sharpness, and of those from one of lambda_max to the next
	every := max(steps/measurements, 1)
	err = n.Take(ctx, Course{
		Batch: s.batch, LR: rate, Sampling: data.Replacement, Steps: steps, Every: every,
		Hook: func(step int) error {
			t := float64(step) * rate
			if step/every%between == 0 {
				lambda, err := n.LambdaMax(ctx, n.All)
				if err != nil {
					return err
				}
				r.lambda.add(t, lambda*rate/2)
			}
			n.Train.Gradient(n.All, false) // says which samples batches are drawn from
			sharpness, err := measure.Sharpness(ctx, n.Train, measure.SharpnessConfig{
				Batch: s.batch, Tol: 0.02, MaxBatches: 100, Seed: c.Seed<<32 + uint64(step),
			})
			if err != nil {
				return err
			}
			r.batch.add(t, sharpness.Mean.Value*rate/2)
			l.Report("%s, seed %d: step %d of %d, batch sharpness·η/2 = %.2f", s.name(), c.Seed, step, steps, sharpness.Mean.Value*rate/2)
			return nil
		},
	})
	if err != nil {
		return nil, err
	}
	from := float64(steps) * rate * 2 / 3
	r.late = stat.Mean(r.batch.between(from, math.Inf(1)), nil)
	r.full = stat.Mean(r.lambda.between(from, math.Inf(1)), nil)
	return r, nil
}

// judgeBatches applies the criterion to the runs, of the seeds setting by setting.
func judgeBatches(settings []batchSetting, seeds []uint64, runs []*batchRun) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	var said string
	sharpness := page.Chart{
		Name: "batch-sharpness", Title: "Batch sharpness under SGD, in units of 2/η",
		Caption: []string{"Curvature along the gradients of batches settles at 1, that of the whole set below."},
		How:     "E[gᵀH_B g/‖g‖²]·η/2 over up to 100 batches of the training batch's size, and lambda_max·η/2 of all samples, against t = Σ η; first seed",
		Chart:   figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "curvature·η/2"}},
	}
	for k, s := range settings {
		var late, full []float64
		for i := range seeds {
			r := runs[k*len(seeds)+i]
			late, full = append(late, r.late), append(full, r.full)
		}
		first := runs[k*len(seeds)]
		sharpness.Series = append(sharpness.Series,
			marked("batch sharpness, "+s.name(), first.batch.x, first.batch.y), marked("lambda_max, "+s.name(), first.lambda.x, first.lambda.y))
		at, below := "1", "below 1"
		if s.random == 0 {
			at, below = "", ""
		}
		o.Measured = append(o.Measured,
			Over("batch sharpness·η/2 over the last third, "+s.name(), late, at),
			Over("lambda_max·η/2 over the last third, "+s.name(), full, below))
		low, high := Interval(late)
		if s.random == 0 { // the control
			said += fmt.Sprintf("; %s: %.2f (%.2f to %.2f), not counted", s.name(), stat.Mean(late, nil), low, high)
			continue
		}
		o.Verdict = All(o.Verdict, Decide(late, batchSharpnessLow, batchSharpnessHigh), Decide(full, math.Inf(-1), batchLambdaHigh))
		said += fmt.Sprintf("; %s: %.2f (%.2f to %.2f) and %.2f", s.name(), stat.Mean(late, nil), low, high, stat.Mean(full, nil))
	}
	o.Why = fmt.Sprintf("Over the last third of the steps batch sharpness·η/2 has to average %g to %g (95 %% interval), and lambda_max·η/2 less than %g%s.",
		batchSharpnessLow, batchSharpnessHigh, batchLambdaHigh, said)
	end := runs[0].batch.x[len(runs[0].batch.x)-1]
	sharpness.Series = append(sharpness.Series, level("2/η", 0, end, 1))
	o.Charts = []page.Chart{sharpness}
	return o
}
