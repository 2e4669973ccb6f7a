package reproduce

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/problem"
)

// triple returns three values around a center.
func triple(center, width float64) []float64 {
	return []float64{center - width, center, center + width}
}

func TestEdgeFollowsLambdaMaxOfTheFullLoss(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-4-3,act=tanh")
	c.Loss = problem.MSE
	const rate = 0.5
	r, err := takeEdge(context.Background(), l, c, rate, 30, 10)
	if err != nil {
		t.Fatal(err)
	}
	// The same path in float64, with dense Hessians.
	n := open[float64](t, l, c)
	for k := range 4 {
		var dense mat.EigenSym
		if !dense.Factorize(denseHessian(n), false) {
			t.Fatal("no eigenvalues")
		}
		values := dense.Values(nil)
		if want := values[len(values)-1] * rate / 2; math.Abs(r.lambda.y[k]-want) > 0.01*want || r.lambda.x[k] != float64(10*k)*rate {
			t.Errorf("lambda_max·η/2 is %v at %v, want %v", r.lambda.y[k], r.lambda.x[k], want)
		}
		if k == 3 {
			break
		}
		for step := range 10 {
			loss, _ := n.Train.Gradient(n.All, false)
			if got := r.loss.y[10*k+step]; math.Abs(got-loss) > 1e-5*loss {
				t.Errorf("step %d: loss %v, want %v", 10*k+step, got, loss)
			}
			n.Session.Axpy(-rate, n.Train.Grad(), n.Session.Params())
		}
	}
	if late := (r.lambda.y[2] + r.lambda.y[3]) / 2; math.Abs(r.late-late) > 1e-12 || r.start != r.lambda.y[0] {
		t.Errorf("start %v, late %v, want %v, %v", r.start, r.late, r.lambda.y[0], late)
	}
	if fall := r.loss.y[29] / r.loss.y[20]; r.fall != fall { // a tenth of ten steps is one
		t.Errorf("the loss falls to %v, want %v", r.fall, fall)
	}
	if _, accuracy := n.Evaluate(n.Train, n.All); math.Abs(r.accuracy-accuracy) > 1.5/60 { // float32 may flip a sample
		t.Errorf("accuracy %v, want %v", r.accuracy, accuracy)
	}
}

// edgeRuns are runs of three seeds with the given averages.
func edgeRuns(start, late, fall []float64) (runs []*edgeRun) {
	for i := range late {
		runs = append(runs, &edgeRun{
			lambda: &curve{[]float64{0, 1}, []float64{start[i], late[i]}}, loss: &curve{[]float64{0}, []float64{1}},
			start: start[i], late: late[i], fall: fall[i],
		})
	}
	return runs
}

func TestEdgeVerdicts(t *testing.T) {
	seeds := []uint64{0, 1, 2}
	for name, c := range map[string]struct {
		start, late, fall []float64
		want              Verdict
	}{
		"hovers":           {triple(0.3, 0.01), triple(1.05, 0.01), triple(0.7, 0.1), Confirmed},
		"stays below":      {triple(0.3, 0.01), triple(0.6, 0.01), triple(0.7, 0.1), Contradicted},
		"goes beyond":      {triple(0.3, 0.01), triple(1.6, 0.01), triple(0.7, 0.1), Contradicted},
		"starts there":     {triple(1, 0.01), triple(1.05, 0.01), triple(0.7, 0.1), Contradicted},
		"loss rises":       {triple(0.3, 0.01), triple(1.05, 0.01), []float64{0.9, 0.9, 1.1}, Contradicted},
		"seeds disagree":   {triple(0.3, 0.01), triple(1.05, 0.3), triple(0.7, 0.1), Undecided},
		"start undecided":  {triple(0.75, 0.2), triple(1.05, 0.01), triple(0.7, 0.1), Undecided},
		"just at the edge": {triple(0.3, 0.01), triple(0.9, 0.01), triple(0.7, 0.1), Undecided},
	} {
		o := judgeEdge([]float64{0.1}, seeds, edgeRuns(c.start, c.late, c.fall))
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
	// One rate that holds does not make up for one that does not.
	both := append(edgeRuns(triple(0.3, 0.01), triple(1.05, 0.01), triple(0.7, 0.1)), edgeRuns(triple(0.3, 0.01), triple(0.5, 0.01), triple(0.7, 0.1))...)
	if o := judgeEdge([]float64{0.1, 0.2}, seeds, both); o.Verdict != Contradicted {
		t.Errorf("%s with one of two rates below", o.Verdict)
	}
}

func TestHighestIsTheLargestRunningMean(t *testing.T) {
	if got := highest([]float64{9, 0, 0, 4, 5, 6, 1}, 3); got != 5 {
		t.Errorf("%v, want 5", got)
	}
	if got := highest([]float64{1, 2}, 3); !math.IsInf(got, -1) {
		t.Errorf("%v of too few", got)
	}
}

func TestFallVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		peak, end []float64
		want      Verdict
	}{
		"reaches and falls": {triple(1.05, 0.01), triple(0.1, 0.01), Confirmed},
		"never reaches":     {triple(0.6, 0.01), triple(0.1, 0.01), Contradicted},
		"stays":             {triple(1.05, 0.01), triple(1, 0.01), Contradicted},
		"seeds disagree":    {triple(1.05, 0.01), triple(0.4, 0.3), Undecided},
	} {
		var runs []*edgeRun
		for i := range c.peak {
			r := &edgeRun{lambda: &curve{}, loss: &curve{[]float64{0}, []float64{1}}, accuracy: 1}
			for k := range 50 {
				y := 0.3
				switch {
				case k >= 10 && k < 20:
					y = c.peak[i]
				case k >= 45:
					y = c.end[i]
				}
				r.lambda.add(float64(k), y)
			}
			runs = append(runs, r)
		}
		o := judgeFall(0.1, []uint64{0, 1, 2}, runs)
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
}
