package measure

import (
	"math"
	"math/bits"

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
	packed := make([][]uint64, c.Dim)
	for i := range b.a {
		atheta.SetVec(i, s.Dot(b.a[i], e.theta))
		packed[i] = signBits(b.a[i])
		for j := range i + 1 {
			gram.SetSym(i, j, float64(len(e.theta)-2*differing(packed[i], packed[j])))
		}
	}
	for j, v := range pseudoSolve(gram, atheta) {
		b.sides[j] = c.Epsilon * (math.Abs(v) + 1)
	}
	return b
}

// signBits packs the signs of x, a bit each.
func signBits[T engine.Float](x []T) []uint64 {
	packed := make([]uint64, (len(x)+63)/64)
	for i, v := range x {
		if v < 0 {
			packed[i/64] |= 1 << (i % 64)
		}
	}
	return packed
}

// differing returns in how many places packed signs differ: d of P, so that the
// product of the vectors is P − 2d.
func differing(a, b []uint64) (d int) {
	for i, x := range a {
		d += bits.OnesCount64(x ^ b[i])
	}
	return d
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
