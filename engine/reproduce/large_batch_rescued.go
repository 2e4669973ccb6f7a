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

// Criterion, by 95 % intervals over networks: at equal epochs and equal rate the large
// batch tests worse than the small (its gap is above zero), and at least three
// quarters of that gap are closed both by as many steps at the same rate and, in equal
// epochs, by the rate with the least training loss. The claim is contradicted where
// the gap lies below zero or either share wholly below three quarters. What the rate
// does for a batch four times as large, and for the small one, is reported and decides
// nothing.
const rescuedShare = 0.75

var largeBatchRescued = Experiment{
	Name:    "large-batch-rescued",
	Claim:   "Large batches test worse at equal epochs because they take fewer steps, not because they are large: as many steps close the gap, and so does, up to some batch size, a higher rate.",
	Source:  "Hoffer, Hubara, Soudry 2017, arXiv:1705.08741; Shallue, Lee, Antognini et al. 2019, arXiv:1811.03600",
	Paper:   "Hoffer: training as many steps with a higher rate eliminates the generalisation gap. Shallue: with tuned rates no evidence that larger batches test worse",
	Setting: "mlp 784-64-10 with ReLU, cross-entropy, the first 10,240 samples of MNIST, 4 epochs (in full 16); batch 16 with η = 0.02, at which the large batch is stable in proportion, against batch 128 with the same rate, with the best of 2 to 32 times that, and with the same rate and as many steps; two networks a seed",
	Differs: "no ghost batch normalisation; rates are chosen by training loss on a grid of factors of 2",
	Run:     runLargeBatchRescued,
}

// ended is how a training ended.
type ended struct {
	accuracy float64 // test, in percent
	loss     float64 // of the training samples; ∞ where it diverged
}

// rescueRun is what one network gave.
type rescueRun struct {
	small, plain, steps ended
	rates               []ended // large batch at higher rates
	larger              []ended // a batch four times as large, from the same rate on
	smaller             []ended // the small batch at 2 and 4 times the rate
}

// The settings of large-batch-rescued.
const (
	rescueSmall, rescueLarge = 16, 128
	rescueRate               = 0.02
	rescueRates              = 5 // 2, 4, … 2^5 times the rate
)

func runLargeBatchRescued(ctx context.Context, l *Lab) (*Outcome, error) {
	const samples = 80 * rescueLarge // so that no epoch ends in a smaller batch
	epochs := pick(l, 4, 16)
	runs, err := Map(ctx, l, 2*len(l.Seeds), func(ctx context.Context, l *Lab, i int) (*rescueRun, error) {
		seed := replicas(l, 2)[i]
		n, err := Open[float32](l, NewSetup("mlp:784-64-10", samples, seed))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		r, err := takeRescue(ctx, n, epochs)
		l.Report("seed %d: done", seed)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	return judgeRescue(runs), nil
}

// takeRescue trains one network from its initial weights in every way.
func takeRescue(ctx context.Context, n *Network[float32], epochs int) (*rescueRun, error) {
	initial := n.Weights()
	perEpoch := func(batch int) int { return (len(n.All) + batch - 1) / batch }
	var failed error
	train := func(batch int, rate float64, steps int) ended {
		if failed != nil {
			return ended{}
		}
		n.SetWeights(initial)
		err := n.Take(ctx, Course{Batch: batch, LR: rate, Steps: steps})
		if errors.Is(err, measure.ErrDiverged) {
			return ended{100 / float64(n.Classes), math.Inf(1)}
		}
		failed = err
		e := ended{}
		e.loss, _ = n.Evaluate(n.Train, n.All)
		_, e.accuracy = n.Evaluate(n.Test, n.Tests)
		e.accuracy *= 100
		return e
	}
	steps := epochs * perEpoch(rescueSmall)
	r := &rescueRun{
		small: train(rescueSmall, rescueRate, steps),
		plain: train(rescueLarge, rescueRate, epochs*perEpoch(rescueLarge)),
		steps: train(rescueLarge, rescueRate, steps),
	}
	for k := range rescueRates + 1 {
		rate := rescueRate * math.Exp2(float64(k))
		if k > 0 {
			r.rates = append(r.rates, train(rescueLarge, rate, epochs*perEpoch(rescueLarge)))
		}
		r.larger = append(r.larger, train(4*rescueLarge, rate, epochs*perEpoch(4*rescueLarge)))
	}
	for _, factor := range []float64{2, 4} {
		r.smaller = append(r.smaller, train(rescueSmall, factor*rescueRate, steps))
	}
	return r, failed
}

// leastLoss returns the end with the least training loss.
func leastLoss(ends []ended) ended {
	best := ends[0]
	for _, e := range ends[1:] {
		if e.loss < best.loss {
			best = e
		}
	}
	return best
}

// ratioParts returns values whose mean is r = Σy/Σx, and the standard error of that
// mean the one of the ratio: r + (yᵢ − r·xᵢ)/x̄ (Cochran, Sampling Techniques, 1977,
// eq. 2.39). A mean of ratios would be at the mercy of small xᵢ.
func ratioParts(y, x []float64) []float64 {
	mean := stat.Mean(x, nil)
	r := stat.Mean(y, nil) / mean
	list := make([]float64, len(y))
	for i := range list {
		list[i] = r + (y[i]-r*x[i])/mean
	}
	return list
}

// judgeRescue applies the criterion to a run of every network.
func judgeRescue(runs []*rescueRun) *Outcome {
	var small, smallRate, plain, steps, rate, largest, largestRate []float64
	for _, r := range runs {
		small, plain, steps = append(small, r.small.accuracy), append(plain, r.plain.accuracy), append(steps, r.steps.accuracy)
		rate = append(rate, leastLoss(append([]ended{r.plain}, r.rates...)).accuracy)
		smallRate = append(smallRate, leastLoss(append([]ended{r.small}, r.smaller...)).accuracy)
		largest, largestRate = append(largest, r.larger[0].accuracy), append(largestRate, leastLoss(r.larger).accuracy)
	}
	gap := differences(small, plain)
	share := func(of []float64) []float64 {
		return apply(ratioParts(differences(small, of), gap), func(left float64) float64 { return 1 - left })
	}
	bySteps, byRate := share(steps), share(rate)
	o := &Outcome{
		Measured: []Finding{
			Over(fmt.Sprintf("test accuracy in %%, batch %d", rescueSmall), small, ""),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, best rate", rescueSmall), smallRate, ""),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, equal epochs and rate", rescueLarge), plain, "lower"),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, as many steps", rescueLarge), steps, "as high"),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, equal epochs, best rate", rescueLarge), rate, "as high"),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, equal epochs and rate", 4*rescueLarge), largest, ""),
			Over(fmt.Sprintf("test accuracy in %%, batch %d, equal epochs, best rate", 4*rescueLarge), largestRate, ""),
		},
	}
	o.Verdict = above(gap)
	if o.Verdict == Confirmed {
		o.Verdict = All(Decide(bySteps, rescuedShare, math.Inf(1)), Decide(byRate, rescuedShare, math.Inf(1)))
		o.Measured = append(o.Measured,
			Over("share of the gap that as many steps close", bySteps, "1"),
			Over("share of the gap that the best rate closes", byRate, "1"))
	}
	o.Why = fmt.Sprintf("The large batch has to test worse in equal epochs, and at least %.0f %% of that to be made up by as many steps and by the rate (95 %% intervals): batch %d is %s points below batch %d; as many steps make up a share of %s, the best rate in equal epochs %s; of batch %d, %.3g points below, the best rate makes up %.2g.",
		100*rescuedShare, rescueLarge, spanOf(gap), rescueSmall, spanOf(bySteps), spanOf(byRate),
		4*rescueLarge, stat.Mean(differences(small, largest), nil), stat.Mean(differences(largestRate, largest), nil)/stat.Mean(differences(small, largest), nil))
	o.Charts = []page.Chart{rescueChart(runs, small, steps)}
	return o
}

// rescueChart plots test accuracy against the rate.
func rescueChart(runs []*rescueRun, small, steps []float64) page.Chart {
	var x []float64
	var large, larger [][]float64
	for k := range rescueRates + 1 {
		var a, b []float64
		for _, r := range runs {
			e := r.plain
			if k > 0 {
				e = r.rates[k-1]
			}
			a, b = append(a, e.accuracy), append(b, r.larger[k].accuracy)
		}
		x, large, larger = append(x, rescueRate*math.Exp2(float64(k))), append(large, a), append(larger, b)
	}
	first, last := x[0], x[len(x)-1]
	return page.Chart{
		Name: "rates", Title: "Test accuracy of large batches in equal epochs",
		Caption: []string{"A higher rate makes up for fewer steps until it is too high for the curvature."},
		How:     "means over networks with 95 % intervals",
		Chart: figure.Chart{
			X: figure.Axis{Label: "learning rate", Log: true}, Y: figure.Axis{Label: "test accuracy (%)"},
			Series: []figure.Series{
				spread(fmt.Sprintf("batch %d", rescueLarge), x, large), spread(fmt.Sprintf("batch %d", 4*rescueLarge), x, larger),
				level(fmt.Sprintf("batch %d", rescueSmall), first, last, stat.Mean(small, nil)),
				level(fmt.Sprintf("batch %d, as many steps", rescueLarge), first, last, stat.Mean(steps, nil)),
			},
		},
	}
}
