package measure

import (
	"context"
	"fmt"
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// EigenConfig says which eigenvalues to find and how well. Zero values are the
// defaults.
type EigenConfig struct {
	K           int     // how many; default 1
	Smallest    bool    // the algebraically smallest ones, not the largest
	Tol         float64 // relative residual; default 1e-5 (float64: 1e-7)
	MaxProducts int     // most products to find them with; default 1000
	Seed        uint64  // of the random start
	// Progress, if not nil, is called before every product of the iteration
	// with how many were made of at most MaxProducts.
	Progress func(done, most int)
}

func (c *EigenConfig) setDefaults(double bool) {
	if c.K < 1 {
		c.K = 1
	}
	if c.Tol <= 0 {
		c.Tol = 1e-5
		if double {
			c.Tol = 1e-7
		}
	}
	if c.MaxProducts < 1 {
		c.MaxProducts = 1000
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// Eigenpairs finds the K algebraically largest (or smallest) eigenvalues of A
// and their vectors, best first, by the Lanczos method with full
// reorthogonalisation and thick restarts (Wu & Simon 2000) from a random
// start, until every residual is at most Tol times the largest value's
// magnitude. Values and residuals are those of the vectors by one more product
// each: λ = vᵀAv and ‖Av − λv‖, within which an eigenvalue of A lies. A multiple
// eigenvalue can come back fewer times than it is there: the Krylov space of
// one start holds one vector of each eigenspace.
//
// Memory is 2K + 29 vectors of parameters. The error is the context's where it
// is cancelled, ErrDiverged where a product is not finite, and
// ErrNotConverged, with the pairs so far, after MaxProducts products.
func Eigenpairs[T engine.Float](ctx context.Context, a Operator[T], c EigenConfig) ([]Eigenpair[T], error) {
	c.setDefaults(isDouble[T]())
	s := a.Session()
	l := &lanczos[T]{o: a, sign: 1, k: c.K, basis: 2*c.K + 28, tol: c.Tol, maxSteps: c.MaxProducts}
	if c.Smallest {
		l.sign = -1
	}
	l.tick = func() error {
		c.Progress(l.steps, c.MaxProducts)
		if !finite(s.NormSq(l.w)) { // what is left of the last product
			return errProduct
		}
		return ctx.Err()
	}
	// A random start has a component along every eigenvector.
	start, x := rng.New(rng.Probes, c.Seed, lanczosStart), make([]T, size(a))
	for i := range x {
		x[i] = T(start.NormFloat64())
	}
	pairs, err := l.run(x)
	if err != nil {
		return nil, err
	}
	if !finite(s.NormSq(l.w)) {
		return nil, errProduct
	}
	for i := range pairs {
		e := &pairs[i]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a.Apply(x, e.Vector)
		e.Value = s.Dot(e.Vector, x)
		s.Axpy(-e.Value, e.Vector, x)
		e.Residual = math.Sqrt(s.NormSq(x))
		if !finite(e.Residual) {
			return nil, errProduct
		}
	}
	if !l.converged {
		return pairs, fmt.Errorf("%w: %d products, residual %.2g", ErrNotConverged, l.steps, pairs[len(pairs)-1].Residual)
	}
	return pairs, nil
}
