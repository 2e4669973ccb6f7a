package measure

import (
	"context"
	"math"
	"testing"
)

func mustHutchPP(t *testing.T, a Operator[float64], c TraceConfig) HutchPPEstimate {
	t.Helper()
	r, err := HutchPP(context.Background(), a, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// decaying returns p values 1/i².
func decaying(p int) []float64 {
	values := make([]float64, p)
	for i := range values {
		values[i] = 1 / square(float64(i+1))
	}
	return values
}

func TestHutchPPIsExactForALowRank(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	values := []float64{5, -3, 2, 1e-3}
	r := mustHutchPP(t, spectral(t, o.s, values, 1), TraceConfig{Probes: 18})
	near(t, "trace", r.Trace.Value, sumOf(values), 1e-12)
	if e := value(t, "error", r.Trace.Stderr); e > 1e-12 {
		t.Errorf("standard error %g", e)
	}
	if r.Rank < 4 || r.Rank > 6 {
		t.Errorf("rank %d of a matrix of rank 4 by 6 products", r.Rank)
	}
	zero := mustHutchPP(t, spectral(t, o.s, nil, 1), TraceConfig{Probes: 9})
	if zero.Trace.Value != 0 || zero.Rank != 0 {
		t.Errorf("the zero matrix has trace %g and rank %d", zero.Trace.Value, zero.Rank)
	}
}

func TestHutchPPBeatsHutchinsonAtEqualProducts(t *testing.T) {
	o := objective[float64](t, larger["relu"], pool)
	values := decaying(len(o.s.Params()))
	a := spectral(t, o.s, values, 3)
	trace := sumOf(values)
	const trials, products = 60, 30
	var pp, plain, bias float64
	covered := 0
	for seed := range uint64(trials) {
		a.products = 0
		r := mustHutchPP(t, a, TraceConfig{Probes: products, Seed: seed})
		if a.products > products || a.products != r.Products {
			t.Fatalf("%d products, %d counted, %d allowed", a.products, r.Products, products)
		}
		h := mustTrace(t, a, TraceConfig{Probes: products, Seed: seed})
		pp += square(r.Trace.Value - trace)
		bias += r.Trace.Value - trace
		plain += square(h.Trace.Value - trace)
		if math.Abs(r.Trace.Value-trace) <= 2*value(t, "error", r.Trace.Stderr) {
			covered++
		}
	}
	// By theory: Hutchinson's variance is 2‖A‖²/30 ≈ 0.072, so an error of 0.27;
	// beyond the 10 largest of these values Σ1/i⁴ is 2.5e-4 instead of 1.08, and
	// with 10 probes the error is about 0.27·√(2.5e-4/1.08·3) = 0.007.
	if ratio := math.Sqrt(pp / plain); ratio > 0.1 {
		t.Errorf("the error is %.3g of Hutchinson's", ratio)
	}
	if deviation := math.Sqrt(pp) / trials; math.Abs(bias/trials) > 4*deviation {
		t.Errorf("mean error %g, its deviation is %g", bias/trials, deviation)
	}
	// ±2 standard errors of 10 values cover 92 % (Student's t, 9 degrees of
	// freedom), with a standard deviation of 3.5 % in 60 trials.
	if covered < trials*82/100 {
		t.Errorf("%d of %d intervals of ±2 standard errors hold the trace", covered, trials)
	}
}

func TestHutchPPKeepsToItsProducts(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	p := len(o.s.Params())
	a := spectral(t, o.s, decaying(p), 5)
	for probes := 3; probes < 3*p+9; probes++ {
		a.products = 0
		r := mustHutchPP(t, a, TraceConfig{Probes: probes})
		if a.products > probes || r.Products != a.products || r.Rank > p {
			t.Errorf("%d products of %d, %d counted, rank %d", a.products, probes, r.Products, r.Rank)
		}
		if k := probes / 3; k >= p { // Q is a basis of everything
			near(t, "trace", r.Trace.Value, sumOf(decaying(p)), 1e-12)
		}
	}
}

func TestHutchPPOfTheHessian(t *testing.T) {
	for name, build := range larger {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, 7)
			o.Gradient(samples(15), false)
			trace, _, err := ExactTrace[float64](context.Background(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := mustHutchPP(t, o, TraceConfig{Probes: 60, Seed: 1})
			if e := value(t, "error", r.Trace.Stderr); math.Abs(r.Trace.Value-trace) > 4*e {
				t.Errorf("trace %g ± %g, exact %g", r.Trace.Value, e, trace)
			}
		})
	}
}
