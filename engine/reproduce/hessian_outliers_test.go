package reproduce

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// spiked returns 20 eigenvalues of which count are outliers.
func spiked(count int) (values []float64) {
	for i := range outliersLook {
		v := 2 / math.Pow(float64(i+2), 0.5)
		if i < count {
			v += 6 - 0.3*float64(i)
		}
		values = append(values, v)
	}
	return values
}

func TestOutliersOfASpikedSpectrumAreCounted(t *testing.T) {
	for count := 1; count < 15; count++ {
		if got, ratio := outliers(spiked(count)); got != count || ratio < 2 {
			t.Errorf("%d outliers above a gap of %v, want %d", got, ratio, count)
		}
	}
	if got, _ := outliers([]float64{5, 4, 1, 0.9, -3}); got != 2 {
		t.Errorf("%d outliers above values that are partly negative, want 2", got)
	}
	if got, ratio := outliers([]float64{1, 0, 0}); got != 0 || ratio != 0 {
		t.Errorf("%d outliers above zeros", got)
	}
}

func TestSpectrumTopIsThatOfTheDenseHessian(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-4-3")
	r, err := takeSpectrum(context.Background(), l, c, 40)
	if err != nil {
		t.Fatal(err)
	}
	n := open[float64](t, l, c)
	for _, part := range []struct {
		got   []float64
		steps int
	}{{r.initial, 0}, {r.trained, 40}} {
		if err := n.Take(context.Background(), Course{Batch: 32, LR: 0.05, Steps: part.steps}); err != nil {
			t.Fatal(err)
		}
		var dense mat.EigenSym
		if !dense.Factorize(denseHessian(n), false) {
			t.Fatal("no eigenvalues")
		}
		want := dense.Values(nil)
		for i, v := range part.got {
			// Residuals are at most 0.1 % of the largest, so that values far above that are
			// told apart and right; float32 beside float64.
			if w := want[len(want)-1-i]; w > 0.02*want[len(want)-1] && math.Abs(v-w) > 2e-3*want[len(want)-1] {
				t.Errorf("after %d steps eigenvalue %d is %v, want %v", part.steps, i, v, w)
			}
		}
		if len(part.got) != outliersLook {
			t.Errorf("%d eigenvalues", len(part.got))
		}
	}
}

func TestOutlierVerdicts(t *testing.T) {
	numbers := []int{3, 5, 7, 10}
	for name, c := range map[string]struct {
		count func(k, seed int) int
		want  Verdict
	}{
		"one a class":         {func(k, _ int) int { return k }, Confirmed},
		"one less":            {func(k, _ int) int { return k - 1 }, Confirmed},
		"always ten":          {func(int, int) int { return 10 }, Contradicted},
		"always one":          {func(int, int) int { return 1 }, Contradicted},
		"twice as many, near": {func(k, _ int) int { return 2*k - 6 }, Contradicted},
		"three more":          {func(k, _ int) int { return k + 3 }, Contradicted},
		"seeds disagree":      {func(k, seed int) int { return k - 1 + (k-5)*(seed-1)/3 }, Undecided},
	} {
		var runs []*spectrumTop
		for _, k := range numbers {
			for seed := range 3 {
				runs = append(runs, &spectrumTop{initial: spiked(1), trained: spiked(c.count(k, seed))})
			}
		}
		o := judgeOutliers(numbers, []uint64{0, 1, 2}, runs)
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v: %s", name, o.Verdict, c.want, err, o.Why)
		}
	}
}
