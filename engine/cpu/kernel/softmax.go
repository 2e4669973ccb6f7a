package kernel

import "math"

// SoftmaxRow stores p_j = exp z_j / Σ_l exp z_l and returns log Σ_l exp z_l, for
// a z of at least one element. The largest element is subtracted first, so
// nothing overflows; a NaN makes all of p NaN. Exponentials have the precision
// of T, the rest is in float64. Tasks call it, with their worker; others with 0.
func (k *Kernels[T]) SoftmaxRow(p []float64, z []T, worker int) (logSumExp float64) {
	top := largest(z)
	e := k.scratch(worker, 2, len(z))
	k.vec.expMinus(e, z, top)
	var sum float64
	for _, v := range e {
		sum += float64(v)
	}
	share := 1 / sum
	p = p[:len(e)]
	for j, v := range e {
		p[j] = share * float64(v)
	}
	return float64(top) + math.Log(sum)
}

// largest is the largest element of a row; NaN if it has one.
func largest[T Float](z []T) T {
	m := z[0]
	for _, v := range z[1:] {
		if v > m || v != v {
			m = v
		}
	}
	return m
}
