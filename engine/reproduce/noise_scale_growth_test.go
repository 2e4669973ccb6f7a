package reproduce

import (
	"context"
	"math"
	"testing"
)

// growthRuns are runs with the given noise scales.
func growthRuns(start, late []float64) []*growthRun {
	var runs []*growthRun
	for i := range start {
		runs = append(runs, &growthRun{scale: &curve{[]float64{1, 2}, []float64{start[i], late[i]}}, start: start[i], late: late[i], whole: late[i]})
	}
	return runs
}

func TestNoiseScaleGrowthVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		start, late []float64
		want        Verdict
	}{
		"tens to a thousand":           {around(40, 2), around(1000, 50), Confirmed},
		"tens to tens":                 {around(40, 2), around(60, 3), Contradicted},
		"hundreds to thousands":        {around(300, 10), around(9000, 100), Contradicted},
		"fivefold":                     {around(80, 2), around(400, 10), Contradicted},
		"a thousand, give or take all": {around(40, 2), []float64{60, 1000, 9000}, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeGrowth([]uint64{0, 1, 2}, growthRuns(c.start, c.late)), c.want)
		})
	}
}

// The noise scale of a run is tr Σ/‖G‖² from the gradients of single samples.
func TestNoiseAtAgreesWithSingleSamples(t *testing.T) {
	l := quickLab(t)
	n, err := Open[float32](l, NewSetup("mlp:784-8-10", 64, 3))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	noise, signal := noiseAt(n, n.All)
	grads, mean := singleGradients(t, n)
	variance, norm := 0.0, 0.0
	for j := range mean {
		norm += mean[j] * mean[j]
		for _, g := range grads {
			variance += (g[j] - mean[j]) * (g[j] - mean[j]) / float64(len(grads)-1)
		}
	}
	norm -= variance / float64(len(grads))
	const tolerance = 1e-3 // float32 gradients
	if math.Abs(noise/variance-1) > tolerance || math.Abs(signal/norm-1) > tolerance {
		t.Errorf("tr Σ %g and ‖G‖² %g, want %g and %g", noise, signal, variance, norm)
	}
}

func TestGrowthOfAShortRun(t *testing.T) {
	l := quickLab(t)
	n, err := Open[float32](l, NewSetup("mlp:784-16-10", 1000, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, err := takeGrowth(context.Background(), l, n, 1, Course{Batch: 50, LR: 0.1, Steps: 100}, n.All)
	if err != nil {
		t.Fatal(err)
	}
	if r.scale.x[0] != 1 || r.scale.x[len(r.scale.x)-1] != 101 {
		t.Errorf("points from %g to %g, want 1 to 101", r.scale.x[0], r.scale.x[len(r.scale.x)-1])
	}
	if r.start != r.scale.y[0] || !(r.late > r.start) {
		t.Errorf("noise scale from %g (%g at the first point) to %g: no growth in the first 100 steps", r.start, r.scale.y[0], r.late)
	}
}
