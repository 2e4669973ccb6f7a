package op_test

import (
	"fmt"
	"math"
	"testing"

	G "gorgonia.org/gorgonia"

	"sgflow/engine/op"
)

// allFuncs lists every Func with points of its domain, kinks left out.
var allFuncs = map[op.Func][]float64{
	op.ReLU:    {-2, -0.1, 0.3, 4},
	op.Tanh:    {-30, -2, -0.1, 0, 0.3, 4},
	op.Sigmoid: {-30, -2, -0.1, 0, 0.3, 4},
	op.GELU:    {-50, -9, -2, -0.1, 0, 0.3, 4, 50},
	op.Exp:     {-3, 0, 1.5},
	op.Log:     {0.2, 1, 7},
	op.Square:  {-3, 0, 1.5},
	op.Sqrt:    {0.2, 1, 7},
	op.Inverse: {-2, 0.4, 3},
	op.Neg:     {-3, 0, 1.5},
}

func TestUnaryValues(t *testing.T) {
	for f, want := range map[op.Func]func(float64) float64{
		op.ReLU:    func(x float64) float64 { return math.Max(x, 0) },
		op.Tanh:    func(x float64) float64 { return 1 - 2/(math.Exp(2*x)+1) },
		op.Sigmoid: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
		op.GELU:    func(x float64) float64 { return x / 2 * (1 + math.Erf(x/math.Sqrt2)) },
		op.Exp:     math.Exp,
		op.Log:     math.Log,
		op.Square:  func(x float64) float64 { return math.Pow(x, 2) },
		op.Sqrt:    func(x float64) float64 { return math.Pow(x, 0.5) },
		op.Inverse: func(x float64) float64 { return math.Pow(x, -1) },
		op.Neg:     func(x float64) float64 { return 0 - x },
	} {
		for _, x := range allFuncs[f] {
			// The formulas differ from the implementation's by cancellation of
			// a few ulps of 1.
			wantClose(t, fmt.Sprint(f, x), []float64{op.Unary{Fn: f}.Eval(x)}, []float64{want(x)}, 4e-15*(1+math.Abs(x)))
		}
	}
}

// Each order is the derivative of the one before, by central differences of
// step h: error about h²·f‴ + ε·|f|/h.
func TestUnaryOrdersAreDerivatives(t *testing.T) {
	const h = 1e-5
	for f, points := range allFuncs {
		for order := 1; order <= f.MaxOrder(); order++ {
			for _, x := range points {
				below := op.Unary{Fn: f, Order: order - 1}
				fd := (below.Eval(x+h) - below.Eval(x-h)) / (2 * h)
				got := op.Unary{Fn: f, Order: order}.Eval(x)
				if math.Abs(got-fd) > 1e-6*(1+math.Abs(fd)) {
					t.Errorf("%v order %d at %v: %v, differences give %v", f, order, x, got, fd)
				}
			}
		}
	}
}

func TestUnaryDerivativesThroughGraphs(t *testing.T) {
	for f, points := range allFuncs {
		x := input{shape: []int{1, len(points)}, data: points}
		for order := 0; order <= min(f.MaxOrder(), 1); order++ {
			t.Run(fmt.Sprint(f, order), func(t *testing.T) {
				checkDerivatives(t, []input{x}, func(t *testing.T, in G.Nodes) *G.Node {
					return curved(t, must(t)(op.Apply(op.Unary{Fn: f, Order: order}, in[0])))
				})
			})
		}
		t.Run(fmt.Sprint(f, " of a scalar"), func(t *testing.T) {
			checkDerivatives(t, []input{{data: points[1:2]}}, func(t *testing.T, in G.Nodes) *G.Node {
				return curved(t, must(t)(f.Of(in[0])))
			})
		})
	}
}

func TestUnaryIsNotDifferentiableWhereTheNextDerivativeIsZero(t *testing.T) {
	for f := range allFuncs {
		for order := 0; order <= f.MaxOrder(); order++ {
			zero := f == op.ReLU && order == 1 || f == op.Neg && order == 1 || f == op.Square && order == 2
			if got := (op.Unary{Fn: f, Order: order}).DiffWRT(1)[0]; got == zero {
				t.Errorf("%v order %d: DiffWRT %v", f, order, got)
			}
		}
	}
}

func TestUnaryRejectsUnknownOrders(t *testing.T) {
	x := dense([]float64{1}, 1)
	for _, o := range []op.Unary{{Fn: op.Tanh, Order: 4}, {Fn: op.ReLU, Order: 2}, {Fn: op.Neg, Order: -1}, {Fn: 200}} {
		if _, err := o.Do(x); err == nil {
			t.Errorf("%v: no error", o)
		}
		if !math.IsNaN(o.Eval(1)) {
			t.Errorf("%v: Eval is a number", o)
		}
	}
}

func TestReLUPassesNaNOn(t *testing.T) {
	if !math.IsNaN(op.Unary{Fn: op.ReLU}.Eval(math.NaN())) {
		t.Error("relu(NaN) is a number")
	}
}
