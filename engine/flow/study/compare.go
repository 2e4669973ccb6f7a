package study

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// apart is how far the vectors a_s of a path's seeds are from the vectors b_r of
// another's: weights, or predictions. A path without noise has one vector.
type apart [][]float64 // ‖a_s − b_r‖

// between returns the distances, times scale.
func between[T engine.Float](a, b [][]T, scale float64) apart {
	d := make(apart, len(a))
	for s, x := range a {
		for _, y := range b {
			square := 0.0
			for i := range x {
				e := float64(x[i]) - float64(y[i])
				square += e * e
			}
			d[s] = append(d[s], scale*math.Sqrt(square))
		}
	}
	return d
}

// seeds returns of how many seeds d is.
func (d apart) seeds() int { return max(len(d), len(d[0])) }

// at returns the distance of a's seed s from b's seed r.
func (d apart) at(s, r int) float64 { return d[s%len(d)][r%len(d[0])] }

// sameSeed returns the mean distance of vectors of the same seed.
func (d apart) sameSeed() analysis.Estimate {
	list := make([]record.Opt, d.seeds())
	for s := range list {
		list[s] = record.Some(d.at(s, s))
	}
	e, _ := analysis.MeanOf(list)
	return e
}

// otherSeed returns the mean distance of vectors of different seeds, those but the
// left-out one; of two single vectors, their distance. ok is false where there are
// not two seeds.
func (d apart) otherSeed(left int) (mean float64, ok bool) {
	n := d.seeds()
	if n == 1 {
		return d[0][0], true
	}
	count := 0
	for s := range n {
		for r := range n {
			if s != r && s != left && r != left {
				mean += d.at(s, r)
				count++
			}
		}
	}
	return mean / float64(count), count > 0
}

// spread returns how far the vectors of a path's different seeds are from each other,
// d being between them; false for a single seed.
func spread(d apart) (e analysis.Estimate, ok bool) {
	if d.seeds() < 2 {
		return e, false
	}
	return jackknife(d.seeds(), func(left int) (float64, bool) { return d.otherSeed(left) })
}

// energy returns the energy distance 2E‖a − b‖ − E‖a − a′‖ − E‖b − b′‖ of two paths,
// each expectation over independent seeds: 0 where both have the same distribution,
// above otherwise (Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018). As the
// estimate has no bias, it may be negative. cross is between the two paths, a and b
// between the seeds of each, randomA and randomB say which of them depends on the
// seed. ok is false where one that does has a single one.
func energy(cross, a, b apart, randomA, randomB bool) (e analysis.Estimate, ok bool) {
	if randomA && a.seeds() < 2 || randomB && b.seeds() < 2 {
		return e, false
	}
	return jackknife(cross.seeds(), func(left int) (float64, bool) {
		sum, ok := cross.otherSeed(left)
		sum *= 2
		for _, own := range []struct {
			apart
			random bool
		}{{a, randomA}, {b, randomB}} {
			if own.random {
				within, enough := own.otherSeed(left)
				sum, ok = sum-within, ok && enough
			}
		}
		return sum, ok
	})
}

// jackknife returns what of says of all n seeds, with the standard error that follows
// from what it says of all but one, as pairs that share a seed are not independent:
// √((n−1)/n Σ(x₍ᵢ₎ − x̄)²) (Efron & Stein 1981). of is asked to leave out seed −1 for
// none.
func jackknife(n int, of func(left int) (float64, bool)) (e analysis.Estimate, ok bool) {
	e.N = n
	if e.Mean, ok = of(-1); !ok {
		return e, false
	}
	mean, list := 0.0, make([]float64, n)
	for left := range list {
		x, enough := of(left)
		if !enough {
			return e, true
		}
		list[left] = x
		mean += x / float64(n)
	}
	sum := 0.0
	for _, x := range list {
		sum += (x - mean) * (x - mean)
	}
	if n > 1 {
		e.Stderr = record.Some(math.Sqrt(sum * float64(n-1) / float64(n)))
	}
	return e, true
}

// meanSquare returns an estimate of ‖E(a − b)‖² without bias, times scale squared;
// absent for one seed. sum is room for a vector. With differences D_s of n > 1 seeds,
// Σ_{s≠r} D_s·D_r/(n(n−1)) has that expectation, however the two paths of a seed
// depend on each other.
func meanSquare[T engine.Float](a, b [][]T, scale float64, sum []float64) record.Opt {
	n := max(len(a), len(b))
	if n < 2 {
		return record.Opt{}
	}
	clear(sum)
	squares, total := 0.0, 0.0
	for s := range n {
		x, y := a[s%len(a)], b[s%len(b)]
		for i := range x {
			d := float64(x[i]) - float64(y[i])
			squares += d * d
			sum[i] += d
		}
	}
	for _, x := range sum {
		total += x * x
	}
	return record.Some(scale * scale * (total - squares) / float64(n*(n-1)))
}

// rootOf returns √n.
func rootOf(n int) float64 { return math.Sqrt(float64(n)) }
