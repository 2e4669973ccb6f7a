package measure

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// subspaceBox is C in the space spanned by random columns, the rows of a.
type subspaceBox[T engine.Float] struct {
	e     *excursion[T]
	a     [][]T     // Aᵀ: Dim rows of P entries ±1
	sides []float64 // ε(|(A⁺θ)_j| + 1)
}

func newSubspaceBox[T engine.Float](e *excursion[T], c KeskarConfig) *subspaceBox[T] {
	s := e.o.s
	b := &subspaceBox[T]{e: e, a: make([][]T, c.Dim), sides: make([]float64, c.Dim)}
	for j := range b.a {
		b.a[j] = make([]T, len(e.theta))
		s.Signs(b.a[j], rng.New(rng.Probes, c.Seed, subspaceProbes+uint64(j)))
	}
	gram, atheta := mat.NewSymDense(c.Dim, nil), mat.NewVecDense(c.Dim, nil)
	for i := range b.a {
		atheta.SetVec(i, s.Dot(b.a[i], e.theta))
		for j := i; j < c.Dim; j++ {
			gram.SetSym(i, j, s.Dot(b.a[i], b.a[j]))
		}
	}
	for j, v := range pseudoSolve(gram, atheta) {
		b.sides[j] = c.Epsilon * (math.Abs(v) + 1)
	}
	return b
}

// pseudoSolve returns M⁺b for a positive semi-definite M: that M⁻¹b for a
// regular one, and where columns of A depend on each other, as they can in few
// dimensions, the shortest solution.
func pseudoSolve(m mat.Symmetric, b *mat.VecDense) []float64 {
	n := m.SymmetricDim()
	var e mat.EigenSym
	out := mat.NewVecDense(n, nil)
	if !e.Factorize(m, true) {
		return out.RawVector().Data
	}
	values := e.Values(nil)
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	for k, v := range values {
		if v > 1e-12*values[n-1] {
			column := vectors.ColView(k)
			out.AddScaledVec(out, mat.Dot(column, b)/v, column)
		}
	}
	return out.RawVector().Data
}

func (b *subspaceBox[T]) dim() int { return len(b.a) }

func (b *subspaceBox[T]) place(z []float64) {
	s := b.e.o.s
	theta := s.Params()
	clear(theta)
	for j, v := range z {
		if v != 0 {
			s.Axpy(b.sides[j]*v, b.a[j], theta)
		}
	}
	s.Axpy(1, b.e.theta, theta)
}

func (b *subspaceBox[T]) pull(out []float64, grad []T) {
	for j := range out {
		out[j] = b.sides[j] * b.e.o.s.Dot(b.a[j], grad)
	}
}
