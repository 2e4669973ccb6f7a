package measure

import (
	"context"
	"errors"

	"sgflow/engine"
	"sgflow/engine/program"
)

// ErrNoLogits is returned where a quantity needs derivatives at the logits and
// the program's loss is not an op.Loss of them and nothing else
// (program.Program.HasLogitLoss), or was compiled without curvature.
var ErrNoLogits = errors.New("measure: the program's loss is not one of logits that it knows")

// ErrCoupled is returned where a quantity needs gradients of single samples and
// the program mixes samples.
var ErrCoupled = errors.New("measure: the program mixes samples, whose own gradients do not exist then")

// logitOperator is the matrix (1/n) Σ JᵢᵀBᵢJᵢ for the samples of an objective's
// last Gradient, Jᵢ = ∂zᵢ/∂θ being the Jacobian of the logits and Bᵢ a symmetric
// classes×classes matrix for each sample.
type logitOperator[T engine.Float] struct {
	o             *Objective[T]
	classes       int
	kind          program.LossKind
	afterGradient bool // J·v needs a backward pass before it
	// curve computes u = Bᵢuᵢ, row by row, for the samples from … to−1 of the set,
	// which the session holds.
	curve func(u []T, from, to int)

	u       []T // Jv of the samples in the session
	partial []T
	sums    []float64
	pulled  [][]float64 // ‖Jᵢᵀuᵢ‖² of each parameter and sample in the session
	weights []float64   // of the terms of each sample's Bᵢ, for GaussNewtonTrace
}

func newLogitOperator[T engine.Float](o *Objective[T]) (*logitOperator[T], error) {
	p := o.s.Program()
	at, ok := p.LogitLoss()
	if !ok || !p.HasProduct() {
		return nil, ErrNoLogits
	}
	_, _, after := p.Tangent(at)
	return &logitOperator[T]{o: o, classes: at.Classes, kind: at.Kind, afterGradient: after}, nil
}

// Session returns the objective's.
func (a *logitOperator[T]) Session() *engine.Session[T] { return a.o.s }

// Apply computes out = (1/n) Σ Jᵢᵀ(Bᵢ(Jᵢv)): a tangent, what is between, a
// pullback, and a Forward before where another set went through the session. ḡ
// is as before when it returns.
func (a *logitOperator[T]) Apply(out, v []T) {
	o := a.o
	if o.fits() {
		a.each(func(from, n int) { a.part(out, v, from, n) })
		return
	}
	if &v[0] == &o.s.Grad()[0] {
		v = o.savedGrad() // gradients of parts of the set may go over the session's
	}
	a.partial, a.sums = grow(a.partial, len(out)), grow(a.sums, len(out))
	clear(a.sums)
	a.each(func(from, n int) {
		a.part(a.partial, v, from, n)
		addScaled(o.s, a.sums, a.partial, float64(n)/float64(len(o.indices)))
	})
	store(o.s, out, a.sums)
}

// each runs f, which pulls back, for every chunk of the set.
func (a *logitOperator[T]) each(f func(from, n int)) {
	if a.afterGradient {
		a.o.eachGradient(f)
		a.o.stale = true
		return
	}
	a.o.eachForward(true, f)
}

// part computes out = (1/n) Σ JᵢᵀBᵢJᵢv for the n samples in the session.
func (a *logitOperator[T]) part(out, v []T, from, n int) {
	a.u = grow(a.u, n*a.classes)
	a.o.s.Tangent(a.u, v)
	a.curve(a.u, from, from+n)
	a.o.s.Pullback(out, a.u, false)
}

// eachNorms runs f for parts of the set, n samples from number from on, that
// norms then takes. It ends with the context's error, or with ErrCoupled where
// samples' gradients do not exist.
func (a *logitOperator[T]) eachNorms(ctx context.Context, f func(from, n int)) (err error) {
	o := a.o
	unless := func(from, n int) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			f(from, n)
		}
	}
	switch {
	case o.s.Program().BatchCoupled:
		return ErrCoupled
	case len(o.unruled) == 0:
		o.eachForward(true, unless)
	default: // no rule gives some norms of more than one sample at once
		o.loaded = false
		for i := range o.indices {
			o.fill(o.indices[i : i+1])
			o.s.Forward(1)
			unless(i, 1)
		}
	}
	return err
}

// norms returns ‖Jᵢᵀuᵢ‖² of each parameter for the n samples in the session and
// u, n×classes. It is valid until the next call.
func (a *logitOperator[T]) norms(u []T, n int) [][]float64 {
	s := a.o.s
	params := s.Program().Params
	ruled := len(a.o.unruled) == 0
	a.partial = grow(a.partial, s.Program().NumParams)
	s.Pullback(a.partial, u, ruled)
	if a.pulled == nil {
		a.pulled = make([][]float64, len(params))
	}
	for k, p := range params {
		if ruled {
			a.pulled[k] = s.SampleNorms(k)
			continue
		}
		a.pulled[k] = grow(a.pulled[k], 1)
		a.pulled[k][0] = s.NormSq(a.partial[p.Offset : p.Offset+p.Size])
	}
	return a.pulled
}
