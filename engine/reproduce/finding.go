package reproduce

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"sgflow/engine/record"
)

// Finding is a measured number.
type Finding struct {
	Name   string     `json:"name"` // what it is, with its setting: "lambda_max·η/2, η = 0.1"
	Mean   float64    `json:"mean"` // over seeds
	Stderr record.Opt `json:"stderr,omitzero"`
	N      int        `json:"n"`
	Paper  string     `json:"paper,omitempty"` // the paper's value or bound
}

// Over is the finding of one value a seed: their mean with its standard error s/√n,
// which a single value does not have.
func Over(name string, values []float64, paper string) Finding {
	f := Finding{Name: name, N: len(values), Paper: paper}
	mean, deviation := stat.MeanStdDev(values, nil)
	f.Mean = mean
	if len(values) > 1 {
		f.Stderr = record.Some(deviation / math.Sqrt(float64(len(values))))
	}
	return f
}

// Interval returns the 95 % interval of the mean of the population that the values
// are drawn from, by Student's t; it is the whole line for fewer than two.
func Interval(values []float64) (low, high float64) {
	n := len(values)
	if n < 2 {
		return math.Inf(-1), math.Inf(1)
	}
	mean, deviation := stat.MeanStdDev(values, nil)
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975) * deviation / math.Sqrt(float64(n))
	return mean - half, mean + half
}

// Decide compares the 95 % interval of the values' mean with the range of values for
// which a claim holds: Confirmed where the interval lies within, Contradicted where
// it lies wholly outside, else Undecided.
func Decide(values []float64, low, high float64) Verdict {
	from, to := Interval(values)
	switch {
	case math.IsNaN(from) || math.IsNaN(to):
		return Undecided
	case from >= low && to <= high:
		return Confirmed
	case to < low || from > high:
		return Contradicted
	}
	return Undecided
}

// All joins the verdicts on the parts of a claim: it is contradicted where a part is,
// and confirmed where all are.
func All(parts ...Verdict) Verdict {
	joined := Confirmed
	for _, v := range parts {
		switch v {
		case Contradicted:
			return Contradicted
		case Undecided:
			joined = Undecided
		}
	}
	return joined
}

// If is the verdict on a part that is decided by a comparison without error.
func If(holds bool) Verdict {
	if holds {
		return Confirmed
	}
	return Contradicted
}
