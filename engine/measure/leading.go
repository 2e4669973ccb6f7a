package measure

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// Leading follows the largest (algebraic) eigenvalue of an operator that changes
// little from one call to the next, such as a Hessian along a path: by the Lanczos
// method from the last eigenvector. It may serve several paths, each with a vector
// of its own. It is not for concurrent use.
type Leading[T engine.Float] struct {
	a Operator[T]
	l *lanczos[T]
	x []T
}

// NewLeading returns an iteration on a that ends when the residual ‖Av − λv‖ is at
// most tol·|λ|, or after most products. Its memory is most + 2 vectors at most,
// taken as they are needed; they live as long as a's session.
func NewLeading[T engine.Float](a Operator[T], tol float64, most int) *Leading[T] {
	l := &lanczos[T]{o: a, sign: 1, k: 1, quick: true, basis: most, maxSteps: most, tol: tol}
	return &Leading[T]{a: a, l: l, x: a.Session().NewVector(size(a))}
}

// Find returns the largest eigenvalue and the residual of its unit vector, which it
// stores in v. The iteration starts from v, from a random vector of the seed where v
// is zero, plus the direction of g where g is not nil: the gradient, say, of which
// much lies along the leading eigenvectors. The error is ErrDiverged where a product
// is not finite.
func (f *Leading[T]) Find(v, g []T, seed uint64) (value, residual float64, err error) {
	s := f.a.Session()
	s.Copy(f.x, v)
	if s.NormSq(v) < leastNormSq[T]() {
		s.Signs(f.x, rng.New(rng.Probes, seed, lanczosStart))
		s.Scale(1/math.Sqrt(float64(len(v))), f.x)
	}
	if g != nil {
		if gg := s.NormSq(g); gg >= leastNormSq[T]() && finite(gg) {
			s.Axpy(1/math.Sqrt(gg), g, f.x)
		}
	}
	pairs, err := f.l.run(f.x)
	if err != nil || len(pairs) == 0 {
		return 0, 0, err
	}
	p := pairs[0]
	if !finite(p.Residual) || !finite(s.NormSq(p.Vector)) {
		return 0, 0, errProduct
	}
	s.Copy(v, p.Vector)
	return p.Value, p.Residual, nil
}
