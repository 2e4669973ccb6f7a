package measure

import (
	"context"
	"fmt"
	"math"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// The numbers of the streams of rng.Probes. Hutchinson's probes count from 0,
// and what else is random has ranges of its own; see noiseStream for one more.
const (
	lanczosStart   = 1 << 40
	sketchProbes   = 3 << 40
	subspaceProbes = 4 << 40
	followProbes   = 5 << 40
	curveProbes    = 1 << 56
)

// TraceConfig says how many products a trace may take. Zero values are the
// defaults.
type TraceConfig struct {
	Probes int // products, one a probe; default DefaultProbes
	Seed   uint64
	First  uint64 // number of the first probe of the seed
	// Progress, if not nil, is called before every product.
	Progress func(done, total int)
}

// DefaultProbes is the default of TraceConfig.Probes.
const DefaultProbes = 32

func (c *TraceConfig) setDefaults() {
	if c.Probes < 1 {
		c.Probes = DefaultProbes
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// TraceEstimate is what random probes say of a symmetric matrix A.
type TraceEstimate struct {
	Trace       Average // tr A
	FrobeniusSq Average // ‖A‖_F² = tr A²
}

// Frobenius returns ‖A‖_F with its standard error by the delta method, half
// the relative error of the square.
func (t TraceEstimate) Frobenius() Average {
	f := Average{Value: math.Sqrt(t.FrobeniusSq.Value), Count: t.FrobeniusSq.Count}
	if e, ok := t.FrobeniusSq.Stderr.Get(); ok {
		if f.Value > 0 { // else all products were 0, and so is e
			e /= 2 * f.Value
		}
		f.Stderr = record.Some(e)
	}
	return f
}

// Hutchinson estimates trace and Frobenius norm of A by the same Probes
// products with vectors z of independent entries ±1:
//
//	tr A = E[zᵀAz],  ‖A‖_F² = E‖Az‖²
//
// both without bias (Hutchinson 1990; Avron & Toledo 2011). The variances are
// 2Σ_{i≠j} A_ij² and 2Σ_{i≠j} (A²)_ij² for one probe. A cancelled context ends it
// with the context's error, a product that is not finite with ErrDiverged.
func Hutchinson[T engine.Float](ctx context.Context, a Operator[T], c TraceConfig) (TraceEstimate, error) {
	c.setDefaults()
	z, az := make([]T, size(a)), make([]T, size(a))
	quadratics, norms := make([]float64, c.Probes), make([]float64, c.Probes)
	for k := range quadratics {
		c.Progress(k, c.Probes)
		if err := ctx.Err(); err != nil {
			return TraceEstimate{}, err
		}
		quadratics[k] = quadratic(a, c.Seed, c.First+uint64(k), z, az)
		norms[k] = a.Session().NormSq(az)
		if !finite(norms[k]) {
			return TraceEstimate{}, errProduct
		}
	}
	return TraceEstimate{Trace: average(quadratics), FrobeniusSq: average(norms)}, nil
}

// errProduct is what ends an iteration that left the finite numbers.
var errProduct = fmt.Errorf("%w: a product with a vector is not finite", ErrDiverged)

// ExactTrace returns tr A and ‖A‖_F² by P products with the unit vectors:
// Σᵢ (Aeᵢ)ᵢ and Σᵢ ‖Aeᵢ‖². The errors are those of Hutchinson.
func ExactTrace[T engine.Float](ctx context.Context, a Operator[T], progress func(done, total int)) (trace, frobeniusSq float64, err error) {
	e, ae := make([]T, size(a)), make([]T, size(a))
	for i := range e {
		if progress != nil {
			progress(i, len(e))
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		e[i] = 1
		a.Apply(ae, e)
		e[i] = 0
		trace += float64(ae[i])
		frobeniusSq += a.Session().NormSq(ae)
		if !finite(frobeniusSq) {
			return 0, 0, errProduct
		}
	}
	return trace, frobeniusSq, nil
}

// quadratic returns zᵀAz for the index-th Rademacher probe z of a seed:
// entries ±1 with equal probability, so that E[zᵀAz] = tr A (Hutchinson 1990).
// z and az are scratch of P elements and hold probe and product afterwards.
func quadratic[T engine.Float](a Operator[T], seed, index uint64, z, az []T) float64 {
	a.Session().Signs(z, rng.New(rng.Probes, seed, index))
	a.Apply(az, z)
	return a.Session().Dot(z, az)
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
