package measure

import (
	"context"
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

func mustPairs(t testing.TB, a Operator[float64], c EigenConfig) []Eigenpair[float64] {
	t.Helper()
	pairs, err := Eigenpairs(context.Background(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	return pairs
}

func TestEigenpairsAreThoseOfTheDenseHessian(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		o.Gradient(indices, false)
		h := symmetric(formed(o))
		want := eigenvalues(t, h)
		p := len(want)
		scale := math.Max(-want[0], want[p-1])
		top := mustPairs(t, o, EigenConfig{K: 5, Tol: 1e-9})
		bottom := mustPairs(t, o, EigenConfig{K: 2, Smallest: true, Tol: 1e-9})
		for i, e := range top {
			// A value's error is below the residual's square over the gap.
			if math.Abs(e.Value-want[p-1-i]) > 1e-8*scale || e.Residual > 1e-8*scale {
				t.Errorf("value %d = %.12g (residual %.2g), dense %.12g", i, e.Value, e.Residual, want[p-1-i])
			}
			v, hv := mat.NewVecDense(p, e.Vector), mat.NewVecDense(p, nil)
			hv.MulVec(h, v)
			hv.AddScaledVec(hv, -e.Value, v)
			near(t, "norm", mat.Norm(v, 2), 1, 1e-12)
			if d := math.Abs(mat.Norm(hv, 2) - e.Residual); d > 1e-12*scale {
				t.Errorf("the residual is off by %g", d)
			}
		}
		for i, e := range bottom {
			if math.Abs(e.Value-want[i]) > 1e-8*scale {
				t.Errorf("value %d from below = %.12g, dense %.12g", i, e.Value, want[i])
			}
		}
	})
}

// The eigenvalues of cA are c times as large; a negative c turns their order.
func TestEigenvaluesScale(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	values := []float64{5, -3, 2, 1, -0.5}
	a := spectral(t, o.s, values, 4)
	rapid.Check(t, func(r *rapid.T) {
		c := factor(r)
		scaled := mat.NewSymDense(len(o.s.Params()), nil)
		scaled.ScaleSym(c, a.a)
		m := &matrix{s: o.s, a: scaled}
		top := mustPairs(t, m, EigenConfig{K: 2, Smallest: c < 0})
		bottom := mustPairs(t, m, EigenConfig{K: 2, Smallest: c > 0})
		for _, e := range []struct{ got, want float64 }{
			{top[0].Value, 5 * c}, {top[1].Value, 2 * c}, {bottom[0].Value, -3 * c}, {bottom[1].Value, -0.5 * c},
		} {
			if math.Abs(e.got-e.want) > 1e-10*5*math.Abs(c) {
				r.Errorf("%g·A: eigenvalue %g, want %g", c, e.got, e.want)
			}
		}
	})
}

func TestMoreEigenvaluesThanThereAreGivesAll(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	p := len(o.s.Params())
	values := make([]float64, p)
	for i := range values {
		values[i] = float64(i) - 5
	}
	pairs := mustPairs(t, spectral(t, o.s, values, 4), EigenConfig{K: 3 * p})
	if len(pairs) != p {
		t.Fatalf("%d pairs of %d", len(pairs), p)
	}
	for i, e := range pairs {
		if math.Abs(e.Value-values[p-1-i]) > 1e-10*float64(p) {
			t.Errorf("value %d = %g, want %g", i, e.Value, values[p-1-i])
		}
	}
}

func TestEigenpairsReportsWhatItCannotFind(t *testing.T) {
	o := objective[float64](t, larger["relu"], pool)
	a := spectral(t, o.s, decaying(len(o.s.Params())), 4)
	pairs, err := Eigenpairs[float64](context.Background(), a, EigenConfig{K: 10, MaxProducts: 12})
	if !errors.Is(err, ErrNotConverged) || len(pairs) != 10 || a.products != 12+10 {
		t.Errorf("error %v, %d pairs, %d products", err, len(pairs), a.products)
	}
	for _, e := range pairs { // some eigenvalue lies within each residual
		nearest := math.Inf(1)
		for _, v := range decaying(len(o.s.Params())) {
			nearest = min(nearest, math.Abs(v-e.Value))
		}
		if nearest > e.Residual+1e-12 {
			t.Errorf("no eigenvalue within %g of %g", e.Residual, e.Value)
		}
	}
	a.products = 0
	if _, err := Eigenpairs[float64](cancelAfter(7), a, EigenConfig{}); !errors.Is(err, context.Canceled) || a.products != 7 {
		t.Errorf("error %v after %d products", err, a.products)
	}
	nan := spectral(t, o.s, []float64{math.NaN()}, 4)
	if _, err := Eigenpairs[float64](context.Background(), nan, EigenConfig{}); !errors.Is(err, ErrDiverged) {
		t.Errorf("error %v for a matrix that is not finite", err)
	}
	zero := mustPairs(t, spectral(t, o.s, nil, 4), EigenConfig{K: 3})
	if len(zero) != 1 || zero[0].Value != 0 || zero[0].Residual != 0 {
		t.Errorf("pairs of the zero matrix: %+v", zero)
	}
}
