package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/record"
)

func opts(values ...float64) []record.Opt {
	var list []record.Opt
	for _, x := range values {
		list = append(list, record.Some(x))
	}
	return list
}

func TestMeanSkipsWhatIsAbsent(t *testing.T) {
	e, ok := MeanOf(append(opts(1, 2, 6), record.Opt{}))
	if !ok || e.Mean != 3 || e.N != 3 {
		t.Errorf("%+v, %v", e, ok)
	}
	stderr, _ := e.Stderr.Get()
	near(t, "the standard error", stderr, math.Sqrt(7.0/3), 1e-12) // s² = (4+1+9)/2
	if one, _ := MeanOf(opts(4)); !one.Stderr.IsZero() || one.Mean != 4 {
		t.Errorf("of one value: %+v", one)
	}
	if _, ok := MeanOf([]record.Opt{{}}); ok {
		t.Error("a mean of nothing")
	}
}

// The standard error of the ratio is compared with the spread of ratios of 2,000
// repetitions: to first order it is that; with 10 pairs and 20 % noise to 10 %.
func TestRatioHasTheErrorItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	const n, repeats = 10, 2000
	var sum, sumSq, said float64
	for range repeats {
		var y, x []record.Opt
		for range n {
			x = append(x, record.Some(2*(1+0.2*r.NormFloat64())))
			y = append(y, record.Some(10*(1+0.2*r.NormFloat64())))
		}
		e, ok := RatioOf(y, x)
		stderr, _ := e.Stderr.Get()
		if !ok {
			t.Fatal("no ratio")
		}
		sum, sumSq, said = sum+e.Mean/repeats, sumSq+e.Mean*e.Mean/repeats, said+stderr*stderr/repeats
	}
	near(t, "the mean ratio", sum, 5, 0.01)
	near(t, "the variance it says", said, sumSq-sum*sum, 0.1)
}

func TestRatioNeedsAPositiveDenominator(t *testing.T) {
	if _, ok := RatioOf(opts(1, 2), opts(1, -3)); ok {
		t.Error("a ratio over a negative mean")
	}
	if e, ok := RatioOf(opts(1, 5), []record.Opt{record.Some(2), {}}); !ok || e.Mean != 0.5 || e.N != 1 {
		t.Errorf("%+v, %v", e, ok)
	}
}

func TestRatioDoesNotDependOnUnits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(2, 9).Draw(r, "n")
		k := rapid.Float64Range(0.01, 100).Draw(r, "k")
		var y, x, scaled []record.Opt
		for range n {
			a, b := rapid.Float64Range(-5, 5).Draw(r, "y"), rapid.Float64Range(0.1, 5).Draw(r, "x")
			y, x, scaled = append(y, record.Some(a)), append(x, record.Some(b)), append(scaled, record.Some(k*a))
		}
		a, _ := RatioOf(y, x)
		b, _ := RatioOf(scaled, x)
		errA, _ := a.Stderr.Get()
		errB, _ := b.Stderr.Get()
		if math.Abs(b.Mean-k*a.Mean) > 1e-9*(1+math.Abs(b.Mean)) || math.Abs(errB-k*errA) > 1e-9*(1+errB) {
			r.Fatalf("%g ± %g, want %g ± %g", b.Mean, errB, k*a.Mean, k*errA)
		}
	})
}
