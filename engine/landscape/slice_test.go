package landscape

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"testing"

	"sgflow/engine/problem"
)

func TestSliceHasTheLossAndAccuracyOfItsPoints(t *testing.T) {
	c := small(t)
	p, s := opened[float64](t, c)
	o, indices := objective(p, s)
	origin := append([]float64(nil), s.Params()...)
	slice := &Slice[float64]{Origin: origin, Directions: [][]float64{normals(68, 1), normals(68, 2)}}
	xs, ys := []float64{-0.3, 0, 0.7}, []float64{0, 0.4}
	g, err := Evaluate(context.Background(), o, indices, slice, xs, ys, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Loss) != 2 || len(g.Loss[0]) != 3 || g.Gaps != 0 {
		t.Fatalf("grid %+v", g)
	}
	for j, y := range ys {
		for i, x := range xs {
			theta := make([]float64, 68)
			for k := range theta {
				theta[k] = origin[k] + x*slice.Directions[0][k] + y*slice.Directions[1][k]
			}
			loss, accuracy := loopLoss(theta, p.Train)
			near(t, "the loss", g.Loss[j][i], loss, 1e-12)
			near(t, "the accuracy", g.Accuracy[j][i], accuracy, 1e-12)
		}
	}
	// At (0, 0) it is the loss at the point, to the bit, and the point is back.
	if loss, _ := o.Forward(indices); g.Loss[0][1] != loss {
		t.Errorf("at the point the slice has %v, the loss is %v", g.Loss[0][1], loss)
	}
	for k, x := range s.Params() {
		if x != origin[k] {
			t.Fatal("the parameters are not those of the point")
		}
	}
}

func TestLossOfALinearModelWithSquaredErrorIsAParabola(t *testing.T) {
	c := small(t)
	c.Model, c.Loss = "mlp:9-3", problem.MSE
	p, s := opened[float64](t, c)
	o, indices := objective(p, s)
	d := normals(30, 3)
	slice := &Slice[float64]{Origin: append([]float64(nil), s.Params()...), Directions: [][]float64{d}}
	// L(a) = L + a·gᵀd + ½a²·dᵀHd, exactly.
	loss, _ := o.Gradient(indices, false)
	var slope, bend float64
	hd := make([]float64, len(d))
	for k, g := range o.Grad() {
		slope += g * d[k]
	}
	o.Product(hd, d)
	for k, x := range hd {
		bend += x * d[k]
	}
	xs := steps(-2, 2, 9)
	g, err := Evaluate(context.Background(), o, indices, slice, xs, nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range xs {
		near(t, "the loss", g.Loss[0][i], loss+a*slope+a*a*bend/2, 1e-12)
	}
	if xs[4] != 0 || len(g.Loss) != 1 {
		t.Errorf("the points are %v, rows %d", xs, len(g.Loss))
	}
}

func TestLossesThatAreNotFiniteAreGaps(t *testing.T) {
	c := small(t)
	c.Model, c.DType = "mlp:9-5-3", problem.Float32 // relu: its logits overflow
	p, s := opened[float32](t, c)
	o, indices := objective(p, s)
	d := make([]float32, len(s.Params()))
	for i := range d {
		d[i] = 1
	}
	slice := &Slice[float32]{Origin: append([]float32(nil), s.Params()...), Directions: [][]float32{d}}
	g, err := Evaluate(context.Background(), o, indices, slice, []float64{0, 1e30}, nil, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if g.Gaps != 1 || !math.IsNaN(g.Accuracy[0][1]) || math.IsNaN(g.Loss[0][0]) {
		t.Fatalf("grid %+v", g)
	}
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var back Grid
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Loss[0][0] != g.Loss[0][0] || !math.IsNaN(back.Loss[0][1]) || back.Gaps != 1 {
		t.Errorf("%s comes back as %+v", text, back)
	}
}

func TestEvaluateEndsWithItsContext(t *testing.T) {
	p, s := opened[float64](t, small(t))
	o, indices := objective(p, s)
	ctx, cancel := context.WithCancel(context.Background())
	slice := &Slice[float64]{Origin: append([]float64(nil), s.Params()...), Directions: [][]float64{normals(68, 1)}}
	_, err := Evaluate(ctx, o, indices, slice, steps(-1, 1, 5), nil, func(done, _ int) {
		if done == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestLineStepsHoldBothEnds(t *testing.T) {
	for _, n := range []int{2, 3, 11, 30, 31, 100} {
		for _, beyond := range []float64{0, 0.1, 0.5, 3} {
			list := lineSteps(beyond, n)
			zero, one := false, false
			for i, x := range list {
				zero, one = zero || x == 0, one || x == 1
				if i > 0 && !(x > list[i-1]) {
					t.Errorf("%d points beyond %v: %v", n, beyond, list)
				}
			}
			if len(list) != n || !zero || !one {
				t.Errorf("%d points beyond %v: %v", n, beyond, list)
			}
		}
	}
}
