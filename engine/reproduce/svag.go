package reproduce

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/flow"
	"sgflow/engine/page"
)

// Criterion, for l = 2, 4 and 8 against l = 1, which is SGD, of means over the second
// half of training: the 95 % interval over seeds of the difference of test accuracy
// lies within ±1 percentage point, and that of the ratio of training losses within 0.8
// to 1.25. Each seed is a start of its own, from which every l is run with svagRepeats
// seeds of the noise and averaged.
const (
	svagAccuracy          = 0.01
	svagLow, svagTop      = 0.8, 1.25
	svagRepeats           = 3
	svagRate, svagBatch   = 0.05, 32
	svagSamples, svagEach = 2000, 20 // samples, and how often is measured
)

var svagLs = []int{1, 2, 4, 8}

var svag = Experiment{
	Name:    "svag",
	Claim:   "SGD with finite steps does what its stochastic differential equation does: SVAG, which approaches the equation as l grows, trains as SGD (l = 1) does.",
	Source:  "Li, Malladi, Arora 2021, arXiv:2102.12470",
	Paper:   "for networks and rates as in practice test accuracies of SGD and of SVAG with l up to 16 agree along training (figures 2 to 4, CIFAR-10 and others)",
	Setting: "mlp 784-50-10, cross-entropy, the first 2,000 samples of MNIST, batches of 32 with replacement, η = 0.05, 600 steps of SGD (in full 4,000) and as much time of SVAG; test accuracy on 5,000 samples; means over the second half",
	Differs: "data set and size of the network; no normalisation layers, weight decay or change of rate",
	Run:     runSVAG,
}

// svagRun is what all l do from one start.
type svagRun struct{ accuracy, loss []*curve } // over time, by the place of l

func runSVAG(ctx context.Context, l *Lab) (*Outcome, error) {
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) (*svagRun, error) {
		c := NewSetup("mlp:784-50-10", svagSamples, seed)
		c.Tests = 5000
		return followSVAG(ctx, l, c, pick(l, 600, 4000))
	})
	if err != nil {
		return nil, err
	}
	return judgeSVAG(l.Seeds, runs), nil
}

// followSVAG runs every l from the start of the setup, for as long as so many steps of
// SGD take.
func followSVAG(ctx context.Context, l *Lab, c Setup, steps int) (*svagRun, error) {
	n, err := Open[float32](l, c)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	on := flow.NewNetwork(n.Train, len(n.All))
	start := n.Weights()
	r := &svagRun{}
	every := steps / svagEach
	for _, division := range svagLs {
		accuracy, loss := &curve{}, &curve{}
		for repeat := range svagRepeats {
			p, err := flow.NewSVAG(on, start, flow.SVAGConfig{Rate: svagRate, Batch: svagBatch, L: division, Seed: c.Seed*svagRepeats + uint64(repeat)})
			if err != nil {
				return nil, err
			}
			for at := range svagEach + 1 {
				if at > 0 {
					for range every * division {
						if err := p.Step(ctx); err != nil {
							return nil, err
						}
					}
				}
				n.SetWeights(p.Theta())
				_, right := n.Evaluate(n.Test, n.Tests)
				mean, _ := n.Evaluate(n.Train, n.All)
				if repeat == 0 {
					accuracy.add(float64(at*every)*svagRate, 0)
					loss.add(float64(at*every)*svagRate, 0)
				}
				accuracy.y[at] += right / svagRepeats
				loss.y[at] += mean / svagRepeats
				l.Report("seed %d, l = %d, noise %d of %d: t = %.3g", c.Seed, division, repeat+1, svagRepeats, p.Time())
			}
		}
		r.accuracy, r.loss = append(r.accuracy, accuracy), append(r.loss, loss)
	}
	return r, nil
}

// judgeSVAG applies the criterion.
func judgeSVAG(seeds []uint64, runs []*svagRun) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	accuracy := page.Chart{
		Name: "test-accuracy", Title: "Test accuracy of SGD and of SVAG",
		How:   fmt.Sprintf("θ ← θ − η/l·(a₁ĝ₁ + a₂ĝ₂), a = ½(1 ± √(2l−1)); means of %d seeds of the noise from one start", svagRepeats),
		Chart: figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "test accuracy"}},
	}
	losses := page.Chart{
		Name: "training-loss", Title: "Training loss of SGD and of SVAG",
		Chart: figure.Chart{X: figure.Axis{Label: "t = Σ η"}, Y: figure.Axis{Label: "training loss", Log: true}},
	}
	late := func(c *curve) float64 { return stat.Mean(c.y[len(c.y)/2:], nil) }
	var said string
	for k, division := range svagLs {
		label := fmt.Sprintf("l = %d", division)
		accuracy.Series = append(accuracy.Series, marked(label, runs[0].accuracy[k].x, runs[0].accuracy[k].y))
		losses.Series = append(losses.Series, marked(label, runs[0].loss[k].x, runs[0].loss[k].y))
		var right, off, ratio []float64
		for _, r := range runs {
			right = append(right, late(r.accuracy[k]))
			off = append(off, late(r.accuracy[k])-late(r.accuracy[0]))
			ratio = append(ratio, late(r.loss[k])/late(r.loss[0]))
		}
		o.Measured = append(o.Measured, Over("test accuracy, "+label, right, "the same for all l"))
		if k == 0 {
			continue
		}
		o.Measured = append(o.Measured,
			Over("test accuracy less that of SGD, "+label, off, "0"),
			Over("training loss over that of SGD, "+label, ratio, "1"))
		o.Verdict = All(o.Verdict, Decide(off, -svagAccuracy, svagAccuracy), Decide(ratio, svagLow, svagTop))
		low, high := Interval(off)
		from, to := Interval(ratio)
		said += fmt.Sprintf("; l = %d: %+.4f (%+.4f to %+.4f) and %.3f (%.3f to %.3f)", division, stat.Mean(off, nil), low, high, stat.Mean(ratio, nil), from, to)
	}
	o.Why = fmt.Sprintf("test accuracy less that of SGD has to lie within ±%g (95 %% interval), and the training loss over that of SGD within %g to %g%s.", svagAccuracy, svagLow, svagTop, said)
	o.Charts = []page.Chart{accuracy, losses}
	return o
}
