package reproduce

import (
	"context"
	"math"
	"slices"
	"testing"
)

func TestRescaledNetworksAreTheSameFunction(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-5-3")
	r, err := takeRescaled(context.Background(), l, c, 30)
	if err != nil {
		t.Fatal(err)
	}
	if r.difference > 1e-12 || r.lost != 0 {
		t.Errorf("logits differ by %v, accuracies by %v", r.difference, r.lost)
	}
	n := open[float64](t, l, c)
	if err := n.Take(context.Background(), Course{Batch: 32, LR: 0.1, Steps: 30}); err != nil {
		t.Fatal(err)
	}
	lambda, err := n.LambdaMax(context.Background(), n.All)
	if err != nil {
		t.Fatal(err)
	}
	one := slices.Index(rescaleAlphas, 1)
	if math.Abs(r.lambda[one]-lambda) > 1e-9*lambda {
		t.Errorf("lambda_max at α = 1 is %v, want %v", r.lambda[one], lambda)
	}
	if first, last := r.lambda[0], r.lambda[len(r.lambda)-1]; first < 100*lambda || last < 100*lambda {
		t.Errorf("lambda_max is %v and %v at the ends, %v at α = 1", first, last, lambda)
	}
}

func TestRescalingChangesTheFunctionOfATanhNetwork(t *testing.T) {
	r, err := takeRescaled(context.Background(), smallLab(t, 1), smallSetup("mlp:16-5-3,act=tanh"), 30)
	if err != nil {
		t.Fatal(err)
	}
	if r.difference < 0.1 {
		t.Errorf("logits differ by %v only", r.difference)
	}
	if o := judgeRescaled([]uint64{0, 1, 2}, []*rescaled{r, r, r}); o.Verdict != Contradicted {
		t.Errorf("the verdict is %s", o.Verdict)
	}
}

func TestRescaledVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		growth     []float64 // of lambda_max
		difference float64
		want       Verdict
	}{
		"grows":          {[]float64{5000, 6000, 7000}, 1e-15, Confirmed},
		"other function": {[]float64{5000, 6000, 7000}, 1e-6, Contradicted},
		"stays":          {[]float64{2, 2.1, 2.2}, 1e-15, Contradicted},
		"seeds disagree": {[]float64{20, 200, 2000}, 1e-15, Undecided},
	} {
		var runs []*rescaled
		for _, g := range c.growth {
			r := &rescaled{lambda: make([]float64, len(rescaleAlphas)), difference: c.difference}
			for k := range r.lambda {
				r.lambda[k] = 3
			}
			r.lambda[0] = 3 * g
			runs = append(runs, r)
		}
		o := judgeRescaled([]uint64{0, 1, 2}, runs)
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
}
