package measure

import (
	"math"

	"sgflow/engine/record"
)

// Average is the mean x̄ of independent values x_k and its standard error
// √(Σ(x_k − x̄)²/(K(K−1))), which is absent for a single value.
type Average struct {
	Value  float64    `json:"value"`
	Stderr record.Opt `json:"stderr,omitzero"`
	Count  int        `json:"count"` // K
}

// average returns the mean of x, which is not empty.
func average(x []float64) Average {
	m, stderr, ok := mean(x)
	return Average{m, opt(stderr, ok), len(x)}
}

// within reports whether the standard error is known and at most tol·|Value|.
func (a Average) within(tol float64) bool {
	e, ok := a.Stderr.Get()
	return ok && e <= tol*math.Abs(a.Value)
}

// ratio returns Σxₖ/Σyₖ, the ratio of two means, with its standard error by the
// delta method,
//
//	√(Σ(xₖ − r·yₖ)²/(K(K−1)))/ȳ,
//
// whose bias is of order 1/K (Cochran 1977, Sampling Techniques, §2.11 and
// §6.5). x and y have the same length and ȳ > 0.
func ratio(x, y []float64) Average {
	mx, _, _ := mean(x)
	my, _, _ := mean(y)
	k := float64(len(x))
	a := Average{Value: mx / my, Count: len(x)}
	if len(x) < 2 {
		return a
	}
	ss := 0.0
	for i := range x {
		d := x[i] - a.Value*y[i]
		ss += d * d
	}
	a.Stderr = record.Some(math.Sqrt(ss/(k*(k-1))) / my)
	return a
}
