package analysis

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"sgflow/engine/record"
)

// Estimate is a mean over runs that differ in their seed.
type Estimate struct {
	Mean   float64    `json:"mean"`
	Stderr record.Opt `json:"stderr,omitzero"` // s/√n; absent for n = 1
	N      int        `json:"n"`
}

// MeanOf returns the mean of the values that are there and its standard error.
// It reports whether there are any.
func MeanOf(values []record.Opt) (Estimate, bool) {
	list := present(values)
	if len(list) == 0 {
		return Estimate{}, false
	}
	mean, deviation := stat.MeanStdDev(list, nil)
	e := Estimate{Mean: mean, N: len(list)}
	if len(list) > 1 {
		e.Stderr = some(stat.StdErr(deviation, float64(len(list))))
	}
	return e, finite(mean)
}

// RatioOf returns the ratio r = Σy/Σx of the pairs of which both are there, and
// its standard error √(Σ(y − r·x)²/(n(n−1)))/x̄ (Cochran, Sampling Techniques,
// 1977, eq. 2.39). It is far less biased than the mean of the ratios. It reports
// false where there is no pair or x̄ ≤ 0.
func RatioOf(y, x []record.Opt) (Estimate, bool) {
	var ys, xs []float64
	for i := range y {
		a, okA := y[i].Get()
		b, okB := x[i].Get()
		if okA && okB {
			ys, xs = append(ys, a), append(xs, b)
		}
	}
	if len(ys) == 0 {
		return Estimate{}, false
	}
	n := float64(len(ys))
	mean := stat.Mean(xs, nil)
	if mean <= 0 {
		return Estimate{}, false
	}
	e := Estimate{Mean: stat.Mean(ys, nil) / mean, N: len(ys)}
	if len(ys) > 1 {
		sum := 0.0
		for i := range ys {
			d := ys[i] - e.Mean*xs[i]
			sum += d * d
		}
		e.Stderr = some(math.Sqrt(sum/(n*(n-1))) / mean)
	}
	return e, finite(e.Mean)
}

// present returns the values that are there.
func present(values []record.Opt) []float64 {
	var list []float64
	for _, v := range values {
		if x, ok := v.Get(); ok {
			list = append(list, x)
		}
	}
	return list
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// some returns x, absent where it is not finite.
func some(x float64) record.Opt {
	if !finite(x) {
		return record.Opt{}
	}
	return record.Some(x)
}

// level is that of all intervals.
const level = 0.95

// tQuantile returns the quantile of Student's t with df degrees of freedom that
// a two-sided interval of the level reaches to.
func tQuantile(df int) float64 {
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(df)}.Quantile((1 + level) / 2)
}

// twoSided returns the probability that |T| > |t| for Student's T with df
// degrees of freedom.
func twoSided(t, df float64) float64 {
	return 2 * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Survival(math.Abs(t))
}
