package measure

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
)

// subspaceBox is C in the space spanned by the random columns of a.
type subspaceBox[T engine.Float] struct {
	e     *excursion[T]
	a     *signMatrix[T]
	sides []float64 // ε(|(A⁺θ)_j| + 1)
	x     []float64 // scratch: coordinates that are not scaled
}

// subspace is the matrix A of a random subspace, kept for the next point of a
// run, and what A⁺ takes.
type subspace[T engine.Float] struct {
	a    *signMatrix[T]
	gram *mat.SymDense
}

// subspace returns the subspace of a dimension and a seed.
func (o *Objective[T]) subspace(dim int, seed uint64) *subspace[T] {
	if a := o.space.a; a == nil || a.m != dim || a.seed != seed {
		a = newSignMatrix(o.s, dim, seed, subspaceProbes)
		o.space = subspace[T]{a, a.gram()}
	}
	return &o.space
}

func newSubspaceBox[T engine.Float](e *excursion[T], c KeskarConfig) *subspaceBox[T] {
	space := e.o.subspace(c.Dim, c.Seed)
	b := &subspaceBox[T]{e: e, a: space.a, sides: make([]float64, c.Dim), x: make([]float64, c.Dim)}
	b.a.transposed(b.x, e.theta)
	for j, v := range pseudoSolve(space.gram, mat.NewVecDense(c.Dim, b.x)) {
		b.sides[j] = c.Epsilon * (math.Abs(v) + 1)
	}
	return b
}

func (b *subspaceBox[T]) dim() int { return len(b.sides) }

func (b *subspaceBox[T]) place(z []float64) {
	for j, v := range z {
		b.x[j] = b.sides[j] * v
	}
	b.a.times(b.e.o.s.Params(), b.e.theta, b.x)
}

func (b *subspaceBox[T]) pull(out []float64, grad []T) {
	b.a.transposed(out, grad)
	for j := range out {
		out[j] *= b.sides[j]
	}
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
