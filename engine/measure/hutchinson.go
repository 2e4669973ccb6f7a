package measure

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// quadratic returns zᵀHz for the index-th Rademacher probe z of a seed:
// entries ±1 with equal probability, so that E[zᵀHz] = tr H (Hutchinson 1990).
// z and hz are scratch of the length of θ.
func quadratic[T engine.Float](o *Objective[T], seed, index uint64, z, hz []T) float64 {
	o.s.Signs(z, rng.New(rng.Probes, seed, index))
	o.Product(hz, z)
	return o.s.Dot(z, hz)
}

// mean returns the mean of x and its standard error; ok is false for the
// error of fewer than two values.
func mean(x []float64) (m, stderr float64, ok bool) {
	for _, v := range x {
		m += v
	}
	n := float64(len(x))
	m /= n
	if len(x) < 2 {
		return m, 0, false
	}
	ss := 0.0
	for _, v := range x {
		ss += (v - m) * (v - m)
	}
	return m, math.Sqrt(ss / (n - 1) / n), true
}
