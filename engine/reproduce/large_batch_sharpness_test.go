package reproduce

import (
	"context"
	"testing"
)

// sharpnessRuns are runs of three seeds, alike at both ends of training.
func sharpnessRuns(keskar, lambda, accuracy []float64) []*sharpnessRun {
	var runs []*sharpnessRun
	for i := range keskar {
		m := minimum{keskar: keskar[i], lambda: lambda[i], accuracy: accuracy[i], loss: sharpnessLoss, epochs: 10}
		runs = append(runs, &sharpnessRun{m, m})
	}
	return runs
}

func TestLargeBatchSharpnessVerdicts(t *testing.T) {
	small := sharpnessRuns(around(1, 0.02), around(2, 0.02), around(0.95, 0.001))
	for name, c := range map[string]struct {
		large []*sharpnessRun
		want  Verdict
	}{
		"sharper and worse":      {sharpnessRuns(around(3, 0.02), around(5, 0.02), []float64{0.931, 0.93, 0.929}), Confirmed},
		"flatter":                {sharpnessRuns(around(0.5, 0.02), around(5, 0.02), around(0.93, 0.001)), Contradicted},
		"flatter by lambda_max":  {sharpnessRuns(around(3, 0.02), around(1, 0.02), around(0.93, 0.001)), Contradicted},
		"sharper and better":     {sharpnessRuns(around(3, 0.02), around(5, 0.02), around(0.96, 0.001)), Contradicted},
		"sharper, accuracy open": {sharpnessRuns(around(3, 0.02), around(5, 0.02), []float64{0.95, 0.93, 0.96}), Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeSharpness([]int{8, 200}, small, c.large), c.want)
		})
	}
}

// Sharper only because it is not as far: the same minima at equal loss decide nothing.
func TestLargeBatchSharpnessNeedsEqualLoss(t *testing.T) {
	small := sharpnessRuns(around(1, 0.02), around(2, 0.02), around(0.95, 0.001))
	large := sharpnessRuns(around(3, 0.02), around(5, 0.02), []float64{0.931, 0.93, 0.929})
	for i := range large {
		large[i].level = small[len(small)-1-i].level // as sharp and as good, of other seeds
	}
	wantVerdict(t, judgeSharpness([]int{8, 200}, small, large), Undecided)
}

func TestTakeSharpnessEndsAtBothEnds(t *testing.T) {
	n, err := Open[float32](quickLab(t), NewSetup("mlp:784-16-10", 100, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, err := takeSharpness(context.Background(), n, 10, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	if r.epochs.epochs != sharpnessEpochs {
		t.Errorf("equal epochs are %d, want %d", r.epochs.epochs, sharpnessEpochs)
	}
	if r.level.epochs == 0 || r.level.loss > sharpnessLoss {
		t.Errorf("equal loss is %g after %d epochs, want %g at most", r.level.loss, r.level.epochs, sharpnessLoss)
	}
	for _, m := range []minimum{r.epochs, r.level} {
		if !(m.keskar > 0) || !(m.lambda > 0) || !(m.accuracy > 0.3) {
			t.Errorf("at loss %g: sharpness %g, lambda_max %g, accuracy %g", m.loss, m.keskar, m.lambda, m.accuracy)
		}
	}
}
