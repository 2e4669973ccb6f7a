package measure

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
)

// empiricalFisher is the operator of EmpiricalFisher.
type empiricalFisher[T engine.Float] struct {
	o       *Objective[T]
	dots    []float64
	partial []T
	sums    []float64
}

// EmpiricalFisher returns the operator of the empirical Fisher matrix of the
// samples of o's last Gradient, the uncentred second moment of their gradients
// with the labels of the data,
//
//	F = (1/n) Σ gᵢgᵢᵀ
//
// (Kunstner, Balles & Hennig 2019, arXiv:1905.12558, eq. 3). Its trace is
// fisher_trace. A product is gᵢᵀv of all samples and their sum with these
// weights, on the factors that the gradient leaves behind; samples go one at a
// time where the program has none. The error is ErrCoupled.
func EmpiricalFisher[T engine.Float](o *Objective[T]) (Operator[T], error) {
	if o.s.Program().BatchCoupled {
		return nil, ErrCoupled
	}
	return &empiricalFisher[T]{o: o}, nil
}

// Session returns the objective's.
func (f *empiricalFisher[T]) Session() *engine.Session[T] { return f.o.s }

// Apply computes out = (1/n) Σ gᵢ(gᵢᵀv). ḡ is as before when it returns.
func (f *empiricalFisher[T]) Apply(out, v []T) {
	o, s := f.o, f.o.s
	total := len(o.indices)
	factored := s.Program().Factored()
	if factored && o.fits() {
		o.eachGradient(func(_, n int) { f.part(out, v, n, total) })
		return
	}
	if &v[0] == &s.Grad()[0] {
		v = o.savedGrad() // gradients of parts of the set go over the session's
	}
	f.partial, f.sums = grow(f.partial, len(out)), grow(f.sums, len(out))
	clear(f.sums)
	if factored {
		o.eachGradient(func(_, n int) {
			f.part(f.partial, v, n, total)
			addScaled(s, f.sums, f.partial, 1)
		})
	} else {
		o.eachSample(func(int) { addScaled(s, f.sums, s.Grad(), s.Dot(s.Grad(), v)/float64(total)) })
	}
	store(s, out, f.sums)
}

// part computes out = (1/total) Σ gᵢ(gᵢᵀv) for the n samples of the session's last
// Gradient.
func (f *empiricalFisher[T]) part(out, v []T, n, total int) {
	f.dots = grow(f.dots, n)
	f.o.s.SampleDots(f.dots, v)
	for i := range f.dots {
		f.dots[i] /= float64(total)
	}
	f.o.s.CombineSamples(out, f.dots)
}

// EmpiricalFisherEigenvalues returns the n largest eigenvalues of the empirical
// Fisher matrix of the samples of o's last Gradient, largest first, exactly:
// they are those of the n×n matrix gᵢᵀgⱼ/n, and all others are 0. It costs less
// than a gradient beside the O(n³) of a dense eigenproblem. ok is false where
// the session has no room for all samples or the program mixes them.
func EmpiricalFisherEigenvalues[T engine.Float](o *Objective[T]) (values []float64, ok bool) {
	n := len(o.indices)
	gram := make([]float64, n*n)
	if !o.SampleGram(gram) {
		return nil, false
	}
	for i := range gram {
		gram[i] /= float64(n)
	}
	if values, ok = eigenvaluesOf(gram, n); !ok {
		return nil, false
	}
	slices.Reverse(values)
	return values[:min(n, o.s.Program().NumParams)], true
}

// eigenvaluesOf returns the eigenvalues of the symmetric n×n matrix a, ascending,
// and overwrites a; ok is false for a matrix with NaN or Inf. In gonum 0.17
// mat.EigenSym without vectors panics where a part of the matrix that splits off
// is below 1e-122, so that samples that are fitted far better than others would
// end a run. Here the matrix is scaled to 1 and lifted by 2⁻⁶⁰, which is far below
// its rounding, but leaves no part so small.
func eigenvaluesOf(a []float64, n int) (values []float64, ok bool) {
	const lift = 0x1p-60
	largest := 0.0
	for _, x := range a {
		if !finite(x) {
			return nil, false
		}
		largest = max(largest, math.Abs(x))
	}
	_, exponent := math.Frexp(largest)
	for i, x := range a {
		a[i] = math.Ldexp(x, -exponent)
	}
	for i := range n {
		a[i*n+i] += lift
	}
	var e mat.EigenSym
	if !e.Factorize(mat.NewSymDense(n, a), false) {
		return nil, false
	}
	values = e.Values(nil)
	for i, x := range values {
		values[i] = math.Ldexp(x-lift, exponent)
	}
	return values, true
}
