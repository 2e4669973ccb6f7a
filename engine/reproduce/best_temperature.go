package reproduce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/page"
)

// Criterion, for every rate: the best batch size between the smallest and the largest
// beats both in test accuracy, by the 95 % intervals over networks of the paired
// differences. For each network the best is chosen by the others, so that the choice
// does not flatter it. The claim is contradicted where an interval lies below zero:
// then the best is at an end. How the best batch size grows with the rate is reported
// and decides nothing: a grid of factors of 2 tells too little.
var bestTemperature = Experiment{
	Name:    "best-temperature",
	Claim:   "At a fixed learning rate test accuracy has an optimum at an intermediate batch size, that is at an intermediate temperature η/B.",
	Source:  "Smith & Le 2018, arXiv:1710.06451; Park, Sohl-Dickstein, Le, Smith 2019, arXiv:1905.03776",
	Paper:   "1,000 samples of MNIST, 800 hidden units, ε = 1 with momentum 0.9: test accuracy peaks at a batch of about 20, and the best batch size is proportional to ε, N and 1/(1 − m)",
	Setting: "mlp 784-32-10 with ReLU, cross-entropy, the first 1,024 samples of MNIST, η = 0.025 and 0.05, batches 1 to 64, t = Σ η = 150 each; test accuracy a mean over ten points of the last fifth; three networks a seed (in full six)",
	Differs: "a smaller network without momentum at lower rates; the largest batch is a sixteenth of the samples",
	Run:     runBestTemperature,
}

// bestTime is how long, in Σ η, networks are trained, bestLooks at how many points of
// the last fifth they are tested.
const (
	bestTime  = 150
	bestLooks = 10
)

func runBestTemperature(ctx context.Context, l *Lab) (*Outcome, error) {
	rates, batches := []float64{0.025, 0.05}, []int{1, 2, 4, 8, 16, 64}
	seeds := replicas(l, pick(l, 3, 6))
	perRate := len(batches) * len(seeds)
	accuracies, err := Map(ctx, l, len(rates)*perRate, func(ctx context.Context, l *Lab, i int) (float64, error) {
		rate, batch, seed := rates[i/perRate], batches[len(batches)-1-i%perRate/len(seeds)], seeds[i%len(seeds)]
		n, err := Open[float32](l, NewSetup("mlp:784-32-10", 1024, seed))
		if err != nil {
			return 0, err
		}
		defer n.Close()
		a, err := takeAccuracy(ctx, n, batch, rate, int(bestTime/rate))
		l.Report("η = %g, batch %d, seed %d: test accuracy %.2f %%", rate, batch, seed, a)
		return a, err
	})
	if err != nil {
		return nil, err
	}
	byRate := make([][][]float64, len(rates)) // rate, batch, network
	for k := range rates {
		byRate[k] = make([][]float64, len(batches))
		for i, a := range accuracies[k*perRate : (k+1)*perRate] {
			b := len(batches) - 1 - i/len(seeds)
			byRate[k][b] = append(byRate[k][b], a)
		}
	}
	return judgeBest(rates, batches, byRate), nil
}

// takeAccuracy trains and returns the mean test accuracy, in percent, over the last
// fifth of the steps; that of a guess where the network diverges.
func takeAccuracy(ctx context.Context, n *Network[float32], batch int, rate float64, steps int) (float64, error) {
	from := steps * 4 / 5
	every := max((steps-from)/bestLooks, 1)
	var seen []float64
	err := n.Take(ctx, Course{
		Batch: batch, LR: rate, Steps: steps, Every: 1,
		Hook: func(step int) error {
			if step > from && (step-from)%every == 0 {
				_, a := n.Evaluate(n.Test, n.Tests)
				seen = append(seen, 100*a)
			}
			return nil
		},
	})
	if errors.Is(err, measure.ErrDiverged) {
		return 100 / float64(n.Classes), nil
	}
	return stat.Mean(seen, nil), err
}

// interior returns, for every network, the accuracy at the batch size between the ends
// that is best for the mean of the other networks, less that at either end.
// accuracies are by batch size and network.
func interior(accuracies [][]float64) (overSmallest, overLargest []float64) {
	last := len(accuracies) - 1
	for i := range accuracies[0] {
		best, at := math.Inf(-1), 0
		for b := 1; b < last; b++ {
			sum := 0.0
			for j, a := range accuracies[b] {
				if j != i {
					sum += a
				}
			}
			if sum > best {
				best, at = sum, b
			}
		}
		overSmallest = append(overSmallest, accuracies[at][i]-accuracies[0][i])
		overLargest = append(overLargest, accuracies[at][i]-accuracies[last][i])
	}
	return overSmallest, overLargest
}

// bestBatches returns the batch size with the highest accuracy of each network.
func bestBatches(batches []int, accuracies [][]float64) []float64 {
	var list []float64
	for i := range accuracies[0] {
		best := slices.MaxFunc(accuracies, func(a, b []float64) int { return cmp.Compare(a[i], b[i]) })
		at := slices.IndexFunc(accuracies, func(a []float64) bool { return &a[0] == &best[0] })
		list = append(list, float64(batches[at]))
	}
	return list
}

// judgeBest applies the criterion to accuracies in percent by rate, batch size and
// network.
func judgeBest(rates []float64, batches []int, accuracies [][][]float64) *Outcome {
	o := &Outcome{Verdict: Confirmed}
	chart := page.Chart{
		Name: "accuracy", Title: "Test accuracy against temperature",
		Caption: []string{"Too much noise keeps SGD from the minimum; too little lets it settle in one that tests worse."},
		How:     "mean over networks with 95 % intervals, which the paired differences of the verdict are far below",
		Chart:   figure.Chart{X: figure.Axis{Label: "η/B", Log: true}, Y: figure.Axis{Label: "test accuracy (%)"}},
	}
	var said string
	var best [][]float64
	for k, rate := range rates {
		small, large := interior(accuracies[k])
		o.Verdict = All(o.Verdict, above(small), above(large))
		top := bestBatches(batches, accuracies[k])
		best = append(best, top)
		said += fmt.Sprintf("; at η = %g it is better than batch %d by %s points and than batch %d by %s, best batch %s",
			rate, batches[0], spanOf(small), batches[len(batches)-1], spanOf(large), factorOf(logs(top)))
		o.Measured = append(o.Measured,
			Over(fmt.Sprintf("best intermediate batch over batch %d, points of accuracy, η = %g", batches[0], rate), small, "above 0"),
			Over(fmt.Sprintf("best intermediate batch over batch %d, points of accuracy, η = %g", batches[len(batches)-1], rate), large, "above 0"),
			Over(fmt.Sprintf("best temperature η/B, η = %g", rate), apply(top, func(b float64) float64 { return rate / b }), ""))
		var x []float64
		var y [][]float64
		for b := len(batches) - 1; b >= 0; b-- {
			x, y = append(x, rate/float64(batches[b])), append(y, accuracies[k][b])
		}
		chart.Series = append(chart.Series, spread(fmt.Sprintf("η = %g", rate), x, y))
	}
	if len(rates) > 1 {
		last := len(rates) - 1
		by := math.Log(rates[last] / rates[0])
		power := apply(logRatios(best[last], best[0]), func(x float64) float64 { return x / by })
		o.Measured = append(o.Measured, Over("exponent of η in the best batch size", power, "1"))
	}
	o.Why = fmt.Sprintf("An intermediate batch size has to test better than the smallest and than the largest (95 %% intervals above zero)%s.", said)
	o.Charts = []page.Chart{chart}
	return o
}
