package reproduce

import (
	"math"
	"testing"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// rescueRuns are runs of three networks with small batch at 95 %, the large batch at
// plain, and what steps and the best rate make of it; luck of the networks is spread.
func rescueRuns(plain, steps, rate, spread float64) []*rescueRun {
	var runs []*rescueRun
	for _, luck := range around(0, spread) {
		r := &rescueRun{
			small: ended{95, 0.1}, plain: ended{plain + luck, 0.5}, steps: ended{steps + luck, 0.1},
			smaller: []ended{{95, 0.2}},
		}
		for k := range rescueRates {
			// The last diverges; of the others the second has the least loss.
			e := ended{90, 0.4 + math.Abs(float64(k-1))}
			if k == 1 {
				e.accuracy = rate - luck
			}
			r.rates = append(r.rates, e)
		}
		r.rates[rescueRates-1] = ended{10, math.Inf(1)}
		for range rescueRates + 1 {
			r.larger = append(r.larger, ended{80, 0.7})
		}
		runs = append(runs, r)
	}
	return runs
}

func TestLargeBatchRescuedVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		plain, steps, rate, spread float64
		want                       Verdict
	}{
		"rescued by both":       {90, 95, 94.5, 0.05, Confirmed},
		"not by steps":          {90, 91, 94.5, 0.05, Contradicted},
		"not by the rate":       {90, 95, 92, 0.05, Contradicted},
		"nothing to rescue":     {96, 96, 96, 0.05, Contradicted},
		"a gap that may be nil": {94.5, 95, 95, 1, Undecided},
		"shares that may be 1":  {90, 94, 94, 0.4, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeRescue(rescueRuns(c.plain, c.steps, c.rate, c.spread)), c.want)
		})
	}
}

// The rate is chosen by training loss, never by test accuracy.
func TestLeastLossIgnoresAccuracy(t *testing.T) {
	got := leastLoss([]ended{{99, 0.3}, {50, 0.1}, {98, math.Inf(1)}})
	if got.accuracy != 50 {
		t.Errorf("chose the end with accuracy %g, want that with the least loss", got.accuracy)
	}
}

func TestRatioPartsHaveTheRatiosError(t *testing.T) {
	y, x := []float64{1, 3, 2, 5}, []float64{2, 5, 6, 7}
	var ys, xs []record.Opt
	for i := range y {
		ys, xs = append(ys, record.Some(y[i])), append(xs, record.Some(x[i]))
	}
	want, _ := analysis.RatioOf(ys, xs)
	got := Over("", ratioParts(y, x), "")
	stderr, _ := got.Stderr.Get()
	wantStderr, _ := want.Stderr.Get()
	if math.Abs(got.Mean-want.Mean) > 1e-12 || math.Abs(stderr-wantStderr) > 1e-12 {
		t.Errorf("%g ± %g, want %g ± %g", got.Mean, stderr, want.Mean, wantStderr)
	}
}
