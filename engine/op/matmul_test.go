package op_test

import (
	"fmt"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"

	"sgflow/engine/op"
)

func TestMatMulMultipliesTransposedOrNot(t *testing.T) {
	a := []float64{1, 2, 3, 4, 5, 6}  // [1 2 3; 4 5 6]
	b := []float64{1, 0, 2, 1, 0, -1} // [1 0; 2 1; 0 -1]
	at := []float64{1, 4, 2, 5, 3, 6}
	bt := []float64{1, 2, 0, 0, 1, -1}
	want := []float64{5, -1, 14, -1}
	for _, c := range []struct {
		o    op.MatMul
		x, y G.Value
	}{
		{op.MatMul{}, dense(a, 2, 3), dense(b, 3, 2)},
		{op.MatMul{TransA: true}, dense(at, 3, 2), dense(b, 3, 2)},
		{op.MatMul{TransB: true}, dense(a, 2, 3), dense(bt, 2, 3)},
		{op.MatMul{TransA: true, TransB: true}, dense(at, 3, 2), dense(bt, 2, 3)},
	} {
		got, shape := evaluate(t, c.o, c.x, c.y)
		if !shape.Eq([]int{2, 2}) {
			t.Errorf("%v: shape %v", c.o, shape)
		}
		wantClose(t, c.o.String(), got, want, 0)
	}
}

func TestMatMulDerivatives(t *testing.T) {
	for _, dims := range [][3]int{{2, 3, 4}, {1, 3, 2}, {1, 1, 1}} {
		m, k, n := dims[0], dims[1], dims[2]
		for _, o := range []op.MatMul{{}, {TransA: true}, {TransB: true}, {TransA: true, TransB: true}} {
			t.Run(fmt.Sprint(o, dims), func(t *testing.T) {
				r := source(1)
				a, b := leaf(r, m, k), leaf(r, k, n)
				if o.TransA {
					a.shape = []int{k, m}
				}
				if o.TransB {
					b.shape = []int{n, k}
				}
				checkDerivatives(t, []input{a, b}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(o, in[0], in[1])))
				})
			})
		}
	}
}

func TestTransposeDerivatives(t *testing.T) {
	got, shape := evaluate(t, op.Transpose{}, dense([]float64{1, 2, 3, 4, 5, 6}, 2, 3))
	if !shape.Eq([]int{3, 2}) {
		t.Errorf("shape %v", shape)
	}
	wantClose(t, "transpose", got, []float64{1, 4, 2, 5, 3, 6}, 0)
	checkDerivatives(t, []input{leaf(source(1), 2, 3)}, func(t *testing.T, in G.Nodes) *G.Node {
		return curved(t, must(t)(op.Apply(op.Transpose{}, in[0])))
	})
}

func TestMatMulErrorShowsBothShapes(t *testing.T) {
	_, err := op.MatMul{}.Do(dense(make([]float64, 6), 2, 3), dense(make([]float64, 8), 4, 2))
	if err == nil || !strings.Contains(err.Error(), "(2, 3)") || !strings.Contains(err.Error(), "(4, 2)") {
		t.Errorf("error %v", err)
	}
}
