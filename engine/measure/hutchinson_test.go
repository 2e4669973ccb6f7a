package measure

import (
	"context"
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

func mustTrace(t testing.TB, a Operator[float64], c TraceConfig) TraceEstimate {
	t.Helper()
	r, err := Hutchinson(context.Background(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExactTraceIsThatOfTheDenseHessian(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		h := hessian(o, indices)
		o.Gradient(indices, false)
		trace, frobeniusSq, err := ExactTrace[float64](context.Background(), o, nil)
		if err != nil {
			t.Fatal(err)
		}
		// Finite differences of gradients carry an error of about 1e-10 of the
		// largest entries.
		near(t, "trace", trace, mat.Trace(h), 1e-7)
		near(t, "frobenius_sq", frobeniusSq, square(mat.Norm(h, 2)), 1e-7)
	})
}

func TestExactTraceOfAMatrix(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	a := spectral(t, o.s, []float64{5, -3, 2, 1e-3}, 1)
	trace, frobeniusSq, err := ExactTrace[float64](context.Background(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "trace", trace, 4.001, 1e-12)
	near(t, "frobenius_sq", frobeniusSq, 25+9+4+1e-6, 1e-12)
}

// For one probe the variance of zᵀAz is 2Σ_{i≠j} A_ij² and that of ‖Az‖², which is
// zᵀA²z, the same of A².
func TestHutchinsonHasItsMeanAndVariance(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	a := spectral(t, o.s, []float64{5, -3, 2, 1, 1, 0.5, -0.1}, 2)
	r := mustTrace(t, a, TraceConfig{Probes: 4000, Seed: 3})
	variance := func(m mat.Matrix) float64 {
		p, _ := m.Dims()
		v := 2 * square(mat.Norm(m, 2))
		for i := range p {
			v -= 2 * square(m.At(i, i))
		}
		return v
	}
	var a2 mat.Dense
	a2.Mul(a.a, a.a)
	for _, c := range []struct {
		what     string
		got      Average
		want     float64
		variance float64
	}{
		{"trace", r.Trace, mat.Trace(a.a), variance(a.a)},
		{"frobenius_sq", r.FrobeniusSq, square(mat.Norm(a.a, 2)), variance(&a2)},
	} {
		e := value(t, "error", c.got.Stderr)
		if math.Abs(c.got.Value-c.want) > 4*e {
			t.Errorf("%s = %g ± %g, is %g", c.what, c.got.Value, e, c.want)
		}
		// The variance of 4000 values is known to a few percent: √(κ/4000), the
		// kurtosis κ of a quadratic form in signs being below 12 (9 + 3).
		near(t, c.what+" variance", e*e*4000, c.variance, 4*math.Sqrt(12.0/4000))
	}
	if a.products != 4000 || r.Trace.Count != 4000 {
		t.Errorf("%d products for 4000 probes, %d counted", a.products, r.Trace.Count)
	}
	f := r.Frobenius()
	near(t, "frobenius", f.Value, math.Sqrt(r.FrobeniusSq.Value), 1e-15)
	near(t, "frobenius error", value(t, "error", f.Stderr)/f.Value, value(t, "error", r.FrobeniusSq.Stderr)/r.FrobeniusSq.Value/2, 1e-12)
}

// Every probe gives the trace of a diagonal matrix exactly.
func TestHutchinsonIsExactForADiagonalMatrix(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	p := len(o.s.Params())
	a := &matrix{s: o.s, a: mat.NewSymDense(p, nil)}
	for i := range p {
		a.a.SetSym(i, i, float64(i)-3)
	}
	r := mustTrace(t, a, TraceConfig{Probes: 3})
	near(t, "trace", r.Trace.Value, mat.Trace(a.a), 1e-14)
	near(t, "frobenius_sq", r.FrobeniusSq.Value, square(mat.Norm(a.a, 2)), 1e-14)
	if e := value(t, "error", r.Trace.Stderr); e > 1e-12 {
		t.Errorf("standard error %g", e)
	}
	if one := mustTrace(t, a, TraceConfig{Probes: 1}); !one.Trace.Stderr.IsZero() || !one.Frobenius().Stderr.IsZero() {
		t.Error("a single probe has a standard error")
	}
	zero := mustTrace(t, &matrix{s: o.s, a: mat.NewSymDense(p, nil)}, TraceConfig{Probes: 3})
	if f := zero.Frobenius(); f.Value != 0 || value(t, "error", f.Stderr) != 0 {
		t.Errorf("the norm of the zero matrix is %g ± %v", f.Value, f.Stderr)
	}
}

// tr cA = c·tr A and ‖cA‖² = c²‖A‖², with the same probes to rounding.
func TestHutchinsonScales(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	a := spectral(t, o.s, []float64{5, -3, 2}, 4)
	want := mustTrace(t, a, TraceConfig{Probes: 5})
	rapid.Check(t, func(r *rapid.T) {
		c := factor(r)
		scaled := mat.NewSymDense(len(o.s.Params()), nil)
		scaled.ScaleSym(c, a.a)
		got := mustTrace(t, &matrix{s: o.s, a: scaled}, TraceConfig{Probes: 5})
		// The trace is a sum with cancellation of terms below 10·c.
		if math.Abs(got.Trace.Value-c*want.Trace.Value) > 1e-12*10*math.Abs(c) ||
			math.Abs(got.FrobeniusSq.Value-c*c*want.FrobeniusSq.Value) > 1e-12*c*c*want.FrobeniusSq.Value {
			r.Errorf("%g·A: trace %g, squared norm %g", c, got.Trace.Value, got.FrobeniusSq.Value)
		}
	})
}

// factor draws a number between ±1e-3 and ±1e3.
func factor(r *rapid.T) float64 {
	c := math.Pow(10, rapid.Float64Range(-3, 3).Draw(r, "log c"))
	if rapid.Bool().Draw(r, "negative") {
		return -c
	}
	return c
}

func TestTracesStopWhereTheyAreCancelled(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	for name, run := range map[string]func(ctx context.Context, a Operator[float64]) error{
		"hutchinson": func(ctx context.Context, a Operator[float64]) error {
			_, err := Hutchinson(ctx, a, TraceConfig{})
			return err
		},
		"hutch++": func(ctx context.Context, a Operator[float64]) error {
			_, err := HutchPP(ctx, a, TraceConfig{})
			return err
		},
		"exact": func(ctx context.Context, a Operator[float64]) error {
			_, _, err := ExactTrace(ctx, a, nil)
			return err
		},
	} {
		for _, products := range []int{0, 5, 15} {
			a := spectral(t, o.s, []float64{5, -3, 2}, 4)
			if err := run(cancelAfter(products), a); !errors.Is(err, context.Canceled) || a.products != products {
				t.Errorf("%s: error %v after %d products, cancelled after %d", name, err, a.products, products)
			}
		}
		nan := spectral(t, o.s, []float64{math.NaN()}, 4)
		if err := run(context.Background(), nan); !errors.Is(err, ErrDiverged) {
			t.Errorf("%s: error %v for a matrix that is not finite", name, err)
		}
	}
}

func TestRatioHasTheErrorOfTheDeltaMethod(t *testing.T) {
	// All ratios equal: the ratio is exact whatever the denominators.
	a := ratio([]float64{2, 6, 1}, []float64{1, 3, 0.5})
	if a.Value != 2 || value(t, "error", a.Stderr) != 0 || a.Count != 3 {
		t.Errorf("%+v", a)
	}
	// Denominators all 1: the mean and its error.
	b, want := ratio([]float64{1, 2, 6}, []float64{1, 1, 1}), average([]float64{1, 2, 6})
	near(t, "value", b.Value, want.Value, 1e-15)
	near(t, "error", value(t, "error", b.Stderr), value(t, "error", want.Stderr), 1e-15)
	if one := ratio([]float64{3}, []float64{2}); one.Value != 1.5 || !one.Stderr.IsZero() {
		t.Errorf("%+v", one)
	}
}
