package measure

import (
	"context"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/rng"
)

// relu is 9-16-10-3 with ReLU: 363 parameters.
func relu(kind op.LossKind) net {
	return func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{
			param(g, "fc1.weight", 16, 9), param(g, "fc1.bias", 16),
			param(g, "fc2.weight", 10, 16), param(g, "fc2.bias", 10), param(g, "fc3.weight", 3, 10), param(g, "fc3.bias", 3),
		}
		h := do(op.ReLU.Of(do(op.Dense(x, p[0], p[1]))))
		h = do(op.ReLU.Of(do(op.Dense(h, p[2], p[3]))))
		return do(kind.Of(do(op.Dense(h, p[4], p[5])), y)), p
	}
}

// convolutional has two convolutions, one padded and one strided, GELU and an
// average pool before two dense layers: 511 parameters.
func convolutional(kind op.LossKind) net {
	return func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{
			param(g, "conv1.weight", 4, 1, 2, 2), param(g, "conv1.bias", 4),
			param(g, "conv2.weight", 8, 4, 2, 2), param(g, "conv2.bias", 8),
			param(g, "fc1.weight", 28, 8), param(g, "fc1.bias", 28), param(g, "fc2.weight", 3, 28), param(g, "fc2.bias", 3),
		}
		h := do(op.ReshapeTo(x, x.Shape()[0], 1, side, side))
		h = do(op.GELU.Of(do(op.Conv2D(h, p[0], p[1], 1, 1))))
		h = do(op.GELU.Of(do(op.Conv2D(h, p[2], p[3], 2, 0))))
		h = do(op.Flatten(do(op.AvgPool2D(h, 2, 2))))
		h = do(op.GELU.Of(do(op.Dense(h, p[4], p[5]))))
		return do(kind.Of(do(op.Dense(h, p[6], p[7])), y)), p
	}
}

// larger are networks of a few hundred parameters.
var larger = map[string]net{
	"relu": relu(op.CrossEntropy), "relu-mse": relu(op.MSE),
	"conv": convolutional(op.CrossEntropy), "conv-mse": convolutional(op.MSE),
}

// everyNet runs f for all test networks, their sets in one chunk and in several.
func everyNet(t *testing.T, f func(t *testing.T, o *Objective[float64])) {
	for _, list := range []map[string]net{nets, larger} {
		for name, build := range list {
			for _, c := range []struct {
				name     string
				capacity int
			}{{"whole", pool}, {"chunks", 4}} {
				t.Run(name+"/"+c.name, func(t *testing.T) { f(t, objective[float64](t, build, c.capacity)) })
			}
		}
	}
}

// matrix is a dense operator of the size of a session's parameters.
type matrix struct {
	s        *engine.Session[float64]
	a        *mat.SymDense
	products int
}

func (m *matrix) Apply(out, v []float64) {
	m.products++
	mat.NewVecDense(len(out), out).MulVec(m.a, mat.NewVecDense(len(v), v))
}

func (m *matrix) Session() *engine.Session[float64] { return m.s }

// spectral returns Q·diag(values)·Qᵀ for a random orthogonal Q, values being
// filled up with zeros to the size of the session's parameters.
func spectral(t *testing.T, s *engine.Session[float64], values []float64, seed uint64) *matrix {
	t.Helper()
	p := len(s.Params())
	stream := rng.New(rng.Weights, seed, 99)
	random := mat.NewDense(p, p, nil)
	for i := range p {
		for j := range p {
			random.Set(i, j, stream.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(random)
	var q, scaled, a mat.Dense
	qr.QTo(&q)
	diagonal := make([]float64, p)
	copy(diagonal, values)
	scaled.Mul(&q, mat.NewDiagDense(p, diagonal))
	a.Mul(&scaled, q.T())
	return &matrix{s: s, a: symmetric(&a)}
}

// symmetric returns (A + Aᵀ)/2.
func symmetric(a mat.Matrix) *mat.SymDense {
	p, _ := a.Dims()
	out := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			out.SetSym(i, j, (a.At(i, j)+a.At(j, i))/2)
		}
	}
	return out
}

// formed returns the matrix of an operator from its products with the unit
// vectors.
func formed(a Operator[float64]) *mat.Dense {
	p := size(a)
	out := mat.NewDense(p, p, nil)
	e, column := make([]float64, p), make([]float64, p)
	for j := range p {
		e[j] = 1
		a.Apply(column, e)
		e[j] = 0
		out.SetCol(j, column)
	}
	return out
}

// closeTo fails unless no entry of got is further from want than tol times
// want's largest entry.
func closeTo(t *testing.T, what string, got, want mat.Matrix, tol float64) {
	t.Helper()
	var d mat.Dense
	d.Sub(got, want)
	if off, scale := mat.Norm(&d, math.Inf(1)), mat.Norm(want, math.Inf(1)); !(off <= tol*scale) {
		t.Errorf("%s is off by %.2g of its norm, allowed %.2g", what, off/scale, tol)
	}
}

func sumOf(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum
}

// cancelled is a context that ends after so many questions for its error.
type cancelled struct {
	context.Context
	after int
}

func (c *cancelled) Err() error {
	if c.after--; c.after < 0 {
		return context.Canceled
	}
	return nil
}

func cancelAfter(n int) *cancelled { return &cancelled{context.Background(), n} }

// unchanged runs f and fails unless parameters and gradient have the same bits
// afterwards and a product along the gradient the same value to rounding.
func unchanged(t *testing.T, o *Objective[float64], f func()) {
	t.Helper()
	s := o.s
	theta, grad := slices.Clone(s.Params()), slices.Clone(o.Grad())
	before, after := make([]float64, len(grad)), make([]float64, len(grad))
	o.Product(before, grad)
	f()
	if !slices.Equal(s.Params(), theta) {
		t.Error("the parameters changed")
	}
	if !slices.Equal(o.Grad(), grad) {
		t.Error("the gradient changed")
	}
	o.Product(after, grad)
	if !slices.Equal(before, after) {
		t.Error("a product with the Hessian changed")
	}
	if !slices.Equal(o.Grad(), grad) {
		t.Error("the gradient changed with the product")
	}
}
