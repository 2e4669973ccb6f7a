package op_test

import (
	"fmt"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"sgflow/engine/op"
)

func dims(t testing.TB, shape ...int) op.Dims {
	t.Helper()
	d, err := op.NewDims(shape...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSumAndBroadcastValues(t *testing.T) {
	x := dense([]float64{1, 2, 3, 4, 5, 6}, 2, 3)
	shape := dims(t, 2, 3)
	for _, c := range []struct {
		axes      op.Axes
		mean      bool
		want      []float64
		wantShape tensor.Shape
	}{
		{op.AxesOf(0), false, []float64{5, 7, 9}, tensor.Shape{3}},
		{op.AxesOf(1), false, []float64{6, 15}, tensor.Shape{2}},
		{op.AxesOf(1), true, []float64{2, 5}, tensor.Shape{2}},
		{op.AxesOf(0, 1), false, []float64{21}, tensor.Shape{}},
		{op.AllAxes(2), true, []float64{3.5}, tensor.Shape{}},
	} {
		o := op.Sum{Shape: shape, Axes: c.axes, Mean: c.mean}
		got, s := evaluate(t, o, x)
		if !s.Eq(c.wantShape) {
			t.Errorf("%v: shape %v", o, s)
		}
		wantClose(t, o.String(), got, c.want, 0)
	}
	got, s := evaluate(t, op.Broadcast{Shape: shape, Axes: op.AxesOf(0), Mean: true}, dense([]float64{2, 4, 6}, 3))
	if !s.Eq(tensor.Shape{2, 3}) {
		t.Errorf("shape %v", s)
	}
	wantClose(t, "broadcast", got, []float64{1, 2, 3, 1, 2, 3}, 0)
}

func TestSumAndBroadcastDerivatives(t *testing.T) {
	for _, c := range []struct {
		shape []int
		axes  op.Axes
	}{
		{[]int{3}, op.AxesOf(0)}, {[]int{2, 3}, op.AxesOf(0)}, {[]int{2, 3}, op.AxesOf(1)}, {[]int{2, 3}, op.AxesOf(0, 1)},
		{[]int{1, 1}, op.AxesOf(0, 1)}, {[]int{2, 3, 2, 1}, op.AxesOf(0, 2, 3)}, {[]int{1, 3, 2}, op.AxesOf(0, 2)},
	} {
		for _, mean := range []bool{false, true} {
			shape := dims(t, c.shape...)
			var rest []int
			for i, n := range c.shape {
				if !c.axes.Has(i) {
					rest = append(rest, n)
				}
			}
			t.Run(fmt.Sprint(shape, c.axes, mean), func(t *testing.T) {
				checkDerivatives(t, []input{leaf(source(8), c.shape...)}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(op.Sum{Shape: shape, Axes: c.axes, Mean: mean}, in[0])))
				})
				checkDerivatives(t, []input{leaf(source(9), rest...)}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(op.Broadcast{Shape: shape, Axes: c.axes, Mean: mean}, in[0])))
				})
			})
		}
	}
}

func TestSumAndBroadcastAreAdjoint(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		shape := rapid.SliceOfN(rapid.IntRange(1, 4), 1, op.MaxRank).Draw(rt, "shape")
		axes := op.Axes(rapid.IntRange(1, 1<<len(shape)-1).Draw(rt, "axes"))
		mean := rapid.Bool().Draw(rt, "mean")
		r := source(rapid.Uint64().Draw(rt, "seed"))
		sum := op.Sum{Shape: dims(t, shape...), Axes: axes, Mean: mean}
		x := normals(r, sum.Shape.Size())
		down, small := evaluate(t, sum, dense(x, shape...))
		y := normals(r, len(down))
		up, _ := evaluate(t, op.Broadcast(sum), dense(y, small...))
		wantClose(t, sum.String(), []float64{dot(down, y)}, []float64{dot(x, up)}, 1e-13)
	})
}

func TestSumRejectsAxesThatTheShapeLacks(t *testing.T) {
	x := dense([]float64{1, 2}, 2)
	for _, axes := range []op.Axes{0, op.AxesOf(1), op.AxesOf(0, -1), op.AxesOf(0, 300)} {
		if _, err := (op.Sum{Shape: dims(t, 2), Axes: axes}).Do(x); err == nil {
			t.Errorf("axes %v: no error", axes)
		}
	}
	if _, err := (op.Sum{Shape: dims(t, 3), Axes: 1}).Do(x); err == nil {
		t.Error("another shape: no error")
	}
	if _, err := (op.Sum{Shape: op.Dims{N: 9}, Axes: 1}).Do(x); err == nil {
		t.Error("rank 9: no error")
	}
}

func TestNewDimsRejects(t *testing.T) {
	for _, shape := range [][]int{{1, 2, 3, 4, 5}, {0}, {2, -1}} {
		if _, err := op.NewDims(shape...); err == nil {
			t.Errorf("%v: no error", shape)
		}
	}
}

func TestReshapeDerivatives(t *testing.T) {
	got, s := evaluate(t, op.Reshape{Shape: dims(t, 3, 2)}, dense([]float64{1, 2, 3, 4, 5, 6}, 2, 3))
	if !s.Eq(tensor.Shape{3, 2}) {
		t.Errorf("shape %v", s)
	}
	wantClose(t, "reshape", got, []float64{1, 2, 3, 4, 5, 6}, 0)
	for _, to := range [][]int{{6}, {3, 2}, {1, 2, 1, 3}} {
		checkDerivatives(t, []input{leaf(source(10), 2, 3)}, func(t *testing.T, in G.Nodes) *G.Node {
			return curved(t, must(t)(op.ReshapeTo(in[0], to...)))
		})
	}
	if _, err := (op.Reshape{Shape: dims(t, 5)}).Do(dense(make([]float64, 6), 6)); err == nil {
		t.Error("another size: no error")
	}
	if _, err := (op.Reshape{Shape: dims(t, 1)}).Do(dense(make([]float64, 1))); err == nil {
		t.Error("a scalar: no error")
	}
}

func TestReshapeCopies(t *testing.T) {
	x := []float64{1, 2}
	v, err := op.Reshape{Shape: dims(t, 2, 1)}.Do(dense(x, 2))
	if err != nil {
		t.Fatal(err)
	}
	v.Data().([]float64)[0] = 7
	if x[0] != 1 {
		t.Error("the result shares memory with the input")
	}
}
