package study

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// apart is how two paths of vectors are apart: of weights, or of predictions.
type apart struct {
	distance analysis.Estimate
	mean     record.Opt // ‖E(a − b)‖², estimated without bias
}

// compare returns how far the vectors a, one for each seed, are from the vectors b of
// the same seeds; a path without noise has one vector, for all seeds. Distances are
// multiplied by scale, their squares by its square. sum is room for a vector.
//
// With differences D_s of n > 1 seeds, Σ_{s≠r} D_s·D_r/(n(n−1)) has the expectation
// ‖E D‖², however the two paths of a seed depend on each other.
func compare[T engine.Float](a, b [][]T, scale float64, sum []float64) apart {
	n := max(len(a), len(b))
	distances := make([]record.Opt, n)
	clear(sum)
	squares := 0.0
	for s := range n {
		square := 0.0
		x, y := a[s%len(a)], b[s%len(b)]
		for i := range x {
			d := float64(x[i]) - float64(y[i])
			square += d * d
			sum[i] += d
		}
		squares += square
		distances[s] = record.Some(scale * math.Sqrt(square))
	}
	e, _ := analysis.MeanOf(distances)
	of := apart{distance: e}
	total := 0.0
	for _, x := range sum {
		total += x * x
	}
	if n > 1 {
		of.mean = record.Some(scale * scale * (total - squares) / float64(n*(n-1)))
	}
	return of
}

// rootOf returns √n.
func rootOf(n int) float64 { return math.Sqrt(float64(n)) }

// spread returns how far the vectors of different seeds are from each other: the
// mean over pairs of the n seeds. Pairs that share a seed are not independent; the
// standard error, by leaving out one seed at a time (the jackknife), allows for that.
func spread[T engine.Float](a [][]T, scale float64) (e analysis.Estimate, ok bool) {
	n := len(a)
	if n < 2 {
		return e, false
	}
	of := make([]float64, n) // sums of the distances from a seed to all others
	total := 0.0
	for s := range n {
		for r := range s {
			square := 0.0
			for i := range a[s] {
				d := float64(a[s][i]) - float64(a[r][i])
				square += d * d
			}
			d := scale * math.Sqrt(square)
			of[s] += d
			of[r] += d
			total += d
		}
	}
	e = analysis.Estimate{Mean: total / float64(n*(n-1)/2), N: n}
	if n > 2 {
		sum, mean := 0.0, 0.0
		without := make([]float64, n)
		for s := range n {
			without[s] = (total - of[s]) / float64((n-1)*(n-2)/2)
			mean += without[s] / float64(n)
		}
		for _, x := range without {
			sum += (x - mean) * (x - mean)
		}
		e.Stderr = record.Some(math.Sqrt(sum * float64(n-1) / float64(n)))
	}
	return e, true
}
