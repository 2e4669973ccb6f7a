package reproduce

import (
	"context"
	"math"
	"testing"
)

// criticalRuns are runs of three seeds that follow the trade-off, or steps(batch) where
// it is not nil, with noise scales around the given one.
func criticalRuns(batches []int, critical float64, scales []float64, steps func(batch float64) float64) []*criticalRun {
	if steps == nil {
		steps = func(b float64) float64 { return 100 * (1 + critical/b) }
	}
	var runs []*criticalRun
	for i, scale := range scales {
		for _, b := range batches {
			luck := 1 + 0.01*float64(i-1)
			runs = append(runs, &criticalRun{batch: b, seed: uint64(i), rate: 0.1, steps: luck * steps(float64(b)), average: scale, onTarget: 2 * scale})
		}
	}
	return runs
}

func TestCriticalBatchVerdicts(t *testing.T) {
	batches, seeds := []int{8, 16, 32, 64, 128, 256, 512}, []uint64{0, 1, 2}
	for name, c := range map[string]struct {
		scales []float64
		steps  func(float64) float64
		want   Verdict
	}{
		"as predicted":               {around(150, 5), nil, Confirmed},
		"far smaller":                {around(3, 0.1), nil, Contradicted},
		"far larger":                 {around(2000, 20), nil, Contradicted},
		"within a factor of 10, may": {[]float64{200, 500, 2000}, nil, Undecided},
		"no trade-off":               {around(150, 5), func(b float64) float64 { return 100 }, Contradicted},
		"another law": {around(150, 5), func(b float64) float64 {
			return 100 * (1 + math.Pow(50/b, 3)) * (1 + 4*math.Pow(math.Sin(2*b), 2))
		}, Contradicted},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeCritical(batches, seeds, criticalRuns(batches, 50, c.scales, c.steps)), c.want)
		})
	}
}

func TestCrossingIsOnTheLine(t *testing.T) {
	if got := crossing(10, 3, 20, 1, 2); got != 15 {
		t.Errorf("crossing %g, want 15", got)
	}
	if got := crossing(0, math.Inf(1), 1, 1, 2); got != 1 {
		t.Errorf("crossing %g of a curve that begins below, want its first point", got)
	}
}

// No rate of the grid takes fewer steps than the one that is found.
func TestRateSearchFindsTheFewestSteps(t *testing.T) {
	n, err := Open[float32](quickLab(t), NewSetup("mlp:784-8-10", 1000, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	s := &rateSearch{n: n, initial: append([]float32(nil), n.Session.Params()...), target: 1}
	ctx := context.Background()
	r, err := s.best(ctx, 50)
	if err != nil {
		t.Fatal(err)
	}
	for k := -3; k <= 4; k++ {
		rate := 0.1 * math.Exp2(float64(k))
		steps, err := s.steps(ctx, 50, rate, int(r.steps)+10)
		if err != nil {
			t.Fatal(err)
		}
		if steps < r.steps {
			t.Errorf("η = %g takes %g steps, the best found is %g at η = %g", rate, steps, r.steps, r.rate)
		}
	}
	if err := s.follow(ctx, r); err != nil {
		t.Fatal(err)
	}
	if !(r.average > 0) || !(r.onTarget > 0) {
		t.Errorf("noise scale %g on the way and %g at the target", r.average, r.onTarget)
	}
}
