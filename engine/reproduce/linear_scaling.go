package reproduce

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/page"
)

// Criterion. A batch size coincides with the smallest where the 95 % interval over
// seeds of the logarithm of the ratio of their training losses, a mean over the second
// half of the samples, lies within ±10 %; it is broken where the interval lies above.
// The rule is confirmed where all batch sizes up to at least 4 times the smallest
// coincide, a larger one is broken, and 4 times the smallest batch at the unscaled rate
// is broken too, as else the rule would not be needed. It is contradicted where a
// batch size up to 4 times the smallest is broken, where the largest coincides, or
// where the unscaled rate does.
const (
	linearTolerance = 0.1
	linearReach     = 4
)

var linearScaling = Experiment{
	Name:    "linear-scaling",
	Claim:   "When the learning rate grows in proportion to the batch size, curves of loss against samples coincide, up to some batch size, and no longer.",
	Source:  "Goyal, Dollár, Girshick et al. 2017, arXiv:1706.02677; Smith & Le 2018, arXiv:1710.06451",
	Paper:   "ResNet-50 on ImageNet with warm-up: training curves match from batch 256 to 8,192, and not beyond",
	Setting: "mlp 784-64-10 with ReLU, cross-entropy, all of MNIST, batches 8 to 1,024 with η = 0.01·B/8, over 65,536 samples (in full 262,144), two networks a seed; loss of 5,000 training samples",
	Differs: "no warm-up, momentum or decay; the curves are those of the first epochs",
	Run:     runLinearScaling,
}

// scalingCase is a batch size with its rate.
type scalingCase struct {
	batch int
	rate  float64
}

// scalingPoints is how many points a curve has.
const scalingPoints = 16

func runLinearScaling(ctx context.Context, l *Lab) (*Outcome, error) {
	const smallest, rate = 8, 0.01
	samples := pick(l, 1<<16, 1<<18)
	var cases []scalingCase
	for b := smallest; b <= 1024; b *= 2 {
		cases = append(cases, scalingCase{b, rate * float64(b) / smallest})
	}
	cases = append(cases, scalingCase{linearReach * smallest, rate})
	seeds := replicas(l, 2)
	runs, err := Map(ctx, l, len(cases)*len(seeds), func(ctx context.Context, l *Lab, i int) (*curve, error) {
		c, seed := cases[i/len(seeds)], seeds[i%len(seeds)]
		n, err := Open[float32](l, NewSetup("mlp:784-64-10", 0, seed))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		losses, err := takeScaling(ctx, n, c, samples, n.All[:5000])
		l.Report("batch %d, η = %g, seed %d: loss %.3f", c.batch, c.rate, seed, losses.y[len(losses.y)-1])
		return losses, err
	})
	if err != nil {
		return nil, err
	}
	losses := make([][]*curve, len(cases))
	for i, r := range runs {
		losses[i/len(seeds)] = append(losses[i/len(seeds)], r)
	}
	last := len(cases) - 1
	return judgeScaling(cases[:last], losses[:last], losses[last]), nil
}

// takeScaling trains on so many samples and returns the loss against samples. A
// network that diverges has from there on the loss of one that knows nothing, log of
// the number of classes, or its last where that is larger.
func takeScaling(ctx context.Context, n *Network[float32], c scalingCase, samples int, of []int32) (*curve, error) {
	r := &curve{}
	steps := samples / c.batch
	every := steps / scalingPoints
	err := n.Take(ctx, Course{
		Batch: c.batch, LR: c.rate, Steps: steps, Every: every,
		Hook: func(step int) error {
			loss, _ := n.Evaluate(n.Train, of)
			if !finite(loss) {
				return measure.ErrDiverged
			}
			r.add(float64(step*c.batch), loss)
			return nil
		},
	})
	if !errors.Is(err, measure.ErrDiverged) {
		return r, err
	}
	for len(r.x) <= scalingPoints {
		at, loss := len(r.x), math.Log(float64(n.Classes))
		if at > 0 {
			loss = max(loss, r.y[at-1])
		}
		r.add(float64(at*every*c.batch), loss)
	}
	return r, nil
}

// offBase returns for every seed the mean of log(loss/loss of the base) over the second
// half of the curves, which have the same abscissas.
func offBase(losses, base []*curve) []float64 {
	list := make([]float64, len(losses))
	for i, c := range losses {
		half := len(c.y) / 2
		list[i] = stat.Mean(logRatios(c.y[half:], base[i].y[half:]), nil)
	}
	return list
}

// judgeScaling applies the criterion to the curves of every case, a seed each, and of
// linearReach times the smallest batch at the rate of the smallest.
func judgeScaling(cases []scalingCase, losses [][]*curve, unscaled []*curve) *Outcome {
	o := &Outcome{}
	bound := math.Log1p(linearTolerance)
	base := cases[0].batch
	reach, broken := 1, 0 // factors of the smallest batch: up to which all coincide, and the first that is broken
	coincides := true
	chart := figure.Chart{X: figure.Axis{Label: "samples"}, Y: figure.Axis{Label: "training loss", Log: true}}
	var x []float64
	var off [][]float64
	for k, c := range cases {
		d := offBase(losses[k], losses[0])
		chart.Series = append(chart.Series, spreadOf(fmt.Sprintf("batch %d, η = %g", c.batch, c.rate), losses[k]))
		if k == 0 {
			continue
		}
		x, off = append(x, float64(c.batch)), append(off, apply(d, math.Exp))
		factor := c.batch / base
		low, high := Interval(d)
		coincides = coincides && low >= -bound && high <= bound
		if coincides {
			reach = factor
		}
		if low > bound && broken == 0 {
			broken = factor
		}
		o.Measured = append(o.Measured, Over(fmt.Sprintf("loss over that of batch %d, batch %d, η = %g", base, c.batch, c.rate), apply(d, math.Exp), ""))
	}
	still := offBase(unscaled, losses[0])
	o.Measured = append(o.Measured, Over(fmt.Sprintf("loss over that of batch %d, batch %d, η = %g: the rate unscaled", base, linearReach*base, cases[0].rate), apply(still, math.Exp), ""))
	needed := Decide(still, bound, math.Inf(1))
	switch {
	case needed == Contradicted, broken > 0 && broken <= linearReach, coincides:
		o.Verdict = Contradicted
	case needed == Confirmed && reach >= linearReach && broken > 0:
		o.Verdict = Confirmed
	default:
		o.Verdict = Undecided
	}
	breaks := "none is seen to break"
	if broken > 0 {
		breaks = fmt.Sprintf("batch %d, η = %g, is the first that is off by more", broken*base, cases[0].rate*float64(broken))
	}
	o.Why = fmt.Sprintf("Losses have to stay within %.0f %% of those of batch %d (95 %% intervals) up to %d times that batch, and to be off by more at some larger one and where the rate is not scaled: they stay up to batch %d; %s; without scaling the loss is %s times as large.",
		100*linearTolerance, base, linearReach, reach*base, breaks, factorOf(still))
	o.Charts = []page.Chart{
		{
			Name: "loss", Title: "Loss against samples with the rate in proportion to the batch size",
			Caption: []string{"While the rule holds, curves lie on each other. Where it breaks, the rate is too large for the curvature."},
			How:     "loss of 5,000 training samples; means over seeds with 95 % intervals", Chart: chart,
		},
		{
			Name: "off", Title: fmt.Sprintf("Loss in the second half over that of batch %d", base),
			How: "geometric mean over the second half of the samples, 95 % intervals over seeds",
			Chart: figure.Chart{
				X: figure.Axis{Label: "batch size", Log: true}, Y: figure.Axis{Label: "ratio of losses", Log: true},
				Series: []figure.Series{factorSpread("ratio", x, off), level("10 % more", x[0], x[len(x)-1], 1+linearTolerance)},
			},
		},
	}
	return o
}

// spreadOf is the mean of curves over seeds, which have the same abscissas.
func spreadOf(label string, curves []*curve) figure.Series {
	values := make([][]float64, len(curves[0].x))
	for i := range values {
		for _, c := range curves {
			values[i] = append(values[i], c.y[i])
		}
	}
	return factorSpread(label, curves[0].x, values)
}
