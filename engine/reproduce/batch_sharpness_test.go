package reproduce

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/problem"
)

// With all samples in a batch, batch sharpness is gᵀHg/‖g‖² of the full loss.
func TestBatchSharpnessOfAllSamplesIsTheCurvatureAlongTheGradient(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-4-3,act=tanh")
	c.Loss = problem.MSE
	const rate = 0.5
	r, err := takeBatches(context.Background(), l, c, batchSetting{batch: 60}, rate, 2)
	if err != nil {
		t.Fatal(err)
	}
	n := open[float64](t, l, c)
	h := denseHessian(n)
	n.Train.Gradient(n.All, false)
	g := mat.NewVecDense(len(n.Train.Grad()), n.Train.Grad())
	want := mat.Inner(g, h, g) / mat.Dot(g, g) * rate / 2
	if got := r.batch.y[0]; math.Abs(got-want) > 1e-4*math.Abs(want) { // float32 beside float64
		t.Errorf("%v, want %v", got, want)
	}
	var dense mat.EigenSym
	if !dense.Factorize(h, false) {
		t.Fatal("no eigenvalues")
	}
	values := dense.Values(nil)
	if top := values[len(values)-1] * rate / 2; math.Abs(r.lambda.y[0]-top) > 0.01*top {
		t.Errorf("lambda_max·η/2 is %v, want %v", r.lambda.y[0], top)
	}
}

func TestBatchSharpnessVerdicts(t *testing.T) {
	settings := []batchSetting{{8, 0.5}, {16, 0}}
	for name, c := range map[string]struct {
		late, full []float64
		want       Verdict
	}{
		"hovers":         {triple(0.95, 0.02), triple(0.4, 0.02), Confirmed},
		"stays below":    {triple(0.5, 0.02), triple(0.4, 0.02), Contradicted},
		"lambda as high": {triple(0.95, 0.02), triple(0.95, 0.02), Contradicted},
		"seeds disagree": {triple(0.95, 0.2), triple(0.4, 0.02), Undecided},
	} {
		var runs []*batchRun
		for range settings {
			for i := range c.late {
				r := &batchRun{batch: &curve{[]float64{0, 1}, []float64{0, 1}}, lambda: &curve{[]float64{0, 1}, []float64{0, 1}}, late: c.late[i], full: c.full[i]}
				runs = append(runs, r)
			}
		}
		for _, control := range runs[3:] { // it is not counted
			control.late, control.full = 0.1, 5
		}
		o := judgeBatches(settings, []uint64{0, 1, 2}, runs)
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
}
