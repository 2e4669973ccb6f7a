package op_test

import (
	"fmt"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

func TestBinaryValues(t *testing.T) {
	x, y := dense([]float64{6, -4, 1}, 3), dense([]float64{2, 8, -1}, 3)
	for k, want := range map[op.BinaryKind][]float64{
		op.Add: {8, 4, 0}, op.Sub: {4, -12, 2}, op.Mul: {12, -32, -1}, op.Div: {3, -0.5, -1},
	} {
		got, _ := evaluate(t, op.Binary{Kind: k}, x, y)
		wantClose(t, k.String(), got, want, 0)
	}
}

func TestBinaryDerivatives(t *testing.T) {
	for _, k := range []op.BinaryKind{op.Add, op.Sub, op.Mul, op.Div} {
		for _, shape := range [][]int{{}, {3}, {1, 2}, {2, 1, 2, 2}} {
			t.Run(fmt.Sprint(k, shape), func(t *testing.T) {
				r := source(6)
				x, y := leaf(r, shape...), leaf(r, shape...)
				for i := range y.data { // keep divisors away from 0
					y.data[i] = 1 + y.data[i]*y.data[i]
				}
				checkDerivatives(t, []input{x, y}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(k.Of(in[0], in[1])))
				})
			})
		}
	}
}

func TestBinaryOfANodeWithItself(t *testing.T) {
	for _, k := range []op.BinaryKind{op.Add, op.Sub, op.Mul, op.Div} {
		t.Run(k.String(), func(t *testing.T) {
			checkDerivatives(t, []input{{shape: []int{3}, data: []float64{1, -2, 3}}}, func(t *testing.T, in G.Nodes) *G.Node {
				return curved(t, must(t)(k.Of(in[0], in[0])))
			})
		})
	}
}

func TestBinaryDoesNotBroadcast(t *testing.T) {
	g := G.NewGraph()
	x := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("x"))
	y := G.NewMatrix(g, tensor.Float64, G.WithShape(1, 3), G.WithName("y"))
	if _, err := op.Add.Of(x, y); err == nil {
		t.Error("no error")
	}
}

func TestScaleDerivatives(t *testing.T) {
	got, _ := evaluate(t, op.Scale{Factor: -0.5}, dense([]float64{4, 6}, 2))
	wantClose(t, "scale", got, []float64{-2, -3}, 0)
	for _, shape := range [][]int{{}, {2, 3}} {
		checkDerivatives(t, []input{leaf(source(7), shape...)}, func(t *testing.T, in G.Nodes) *G.Node {
			return curved(t, must(t)(op.Apply(op.Scale{Factor: -0.3}, in[0])))
		})
	}
}
