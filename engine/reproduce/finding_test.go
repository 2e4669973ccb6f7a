package reproduce

import (
	"math"
	"testing"
)

// The interval of 1, 2, 3 is 2 ± t·1/√3 with t = 4.302653, the 97.5 % quantile of
// Student's t with two degrees of freedom (any table).
func TestIntervalIsStudents(t *testing.T) {
	low, high := Interval([]float64{1, 2, 3})
	half := 4.302652729911275 / math.Sqrt(3)
	if math.Abs(low-(2-half)) > 1e-9 || math.Abs(high-(2+half)) > 1e-9 {
		t.Errorf("%v to %v, want 2 ± %v", low, high, half)
	}
	if low, high = Interval([]float64{1}); !math.IsInf(low, -1) || !math.IsInf(high, 1) {
		t.Errorf("one value has the interval %v to %v", low, high)
	}
}

func TestDecideSaysNoAndNothing(t *testing.T) {
	for _, c := range []struct {
		values    []float64
		low, high float64
		want      Verdict
	}{
		{[]float64{1.0, 1.01, 0.99}, 0.9, 1.1, Confirmed},
		{[]float64{1.0, 1.01, 0.99}, 0.5, 0.9, Contradicted},
		{[]float64{1.0, 1.01, 0.99}, 1.1, math.Inf(1), Contradicted},
		{[]float64{1.0, 1.01, 0.99}, 0.99, 2, Undecided},   // astride an end
		{[]float64{1.0, 1.5, 0.5}, 0.9, 1.1, Undecided},    // too noisy
		{[]float64{1}, 0, 2, Undecided},                    // one seed tells nothing
		{[]float64{1, math.NaN(), 1}, 0.9, 1.1, Undecided}, // no number
		{[]float64{1, 1, 1}, 1, 1, Confirmed},              // exactly
		{[]float64{3, 3, 3}, 0, math.Nextafter(3, 0), Contradicted},
	} {
		if got := Decide(c.values, c.low, c.high); got != c.want {
			t.Errorf("%v within %v to %v is %s, want %s", c.values, c.low, c.high, got, c.want)
		}
	}
}

func TestAllIsContradictedByAnyPartAndConfirmedByAll(t *testing.T) {
	for _, c := range []struct {
		parts []Verdict
		want  Verdict
	}{
		{[]Verdict{Confirmed, Confirmed}, Confirmed},
		{[]Verdict{Confirmed, Undecided}, Undecided},
		{[]Verdict{Undecided, Contradicted, Confirmed}, Contradicted},
	} {
		if got := All(c.parts...); got != c.want {
			t.Errorf("%v is %s, want %s", c.parts, got, c.want)
		}
	}
	if If(true) != Confirmed || If(false) != Contradicted {
		t.Error("If")
	}
}
