package measure

import (
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
			addScaled(f.sums, f.partial, 1)
		})
	} else {
		o.eachSample(func(int) { addScaled(f.sums, s.Grad(), s.Dot(s.Grad(), v)/float64(total)) })
	}
	round(out, f.sums)
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
	m := mat.NewSymDense(n, gram)
	m.ScaleSym(1/float64(n), m)
	var e mat.EigenSym
	if !e.Factorize(m, false) {
		return nil, false
	}
	values = e.Values(nil)
	slices.Reverse(values)
	return values[:min(n, o.s.Program().NumParams)], true
}
