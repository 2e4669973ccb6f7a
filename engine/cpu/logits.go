package cpu

import (
	"slices"

	"sgflow/engine/program"
)

// logits is what a machine knows of a program's LogitLoss.
type logits[T Float] struct {
	classes int
	loss    sampleLoss[T]
	tangent struct {
		curvature, product []bound
		afterGradient      bool
		ready              bool // curvature has run since the last backward pass
		u                  operand[T]
	}
	seed     seed[T]
	pullback []bound // the Gradient phase with seed in place of the loss's gradient
}

// sampleLoss is a bound program.Loss: what it can say of single samples after
// the Forward phase.
type sampleLoss[T Float] interface {
	losses() []float64           // of the samples; the first n are of the last run
	gradient(out []T, n int)     // out = ∇ℓᵢ(zᵢ)
	curvature(out, u []T, n int) // out = ∇²ℓᵢ(zᵢ)·uᵢ
}

// bindLogits resolves the LogitLoss, once all phases are bound.
func (b *binder[T]) bindLogits() *logits[T] {
	p := b.p
	at, ok := p.LogitLoss()
	if !ok {
		return nil
	}
	l := &logits[T]{classes: at.Classes}
	l.loss, _ = b.m.phases[program.Forward][at.Loss].(sampleLoss[T])
	l.seed.out = b.real(p.Phases[program.Gradient][at.Grad].(*program.LossGrad).Out, each(at.Classes))
	pullback := slices.Clone(b.m.phases[program.Gradient])
	pullback[at.Grad] = &l.seed
	l.pullback = b.chain(pullback, p.Chains(p.Phases[program.Gradient]))
	if at.Hess < 0 {
		return l
	}
	t := &l.tangent
	t.u = b.real(p.Phases[program.HessianProduct][at.Hess].(*program.LossHess).U, each(at.Classes))
	var curvature, product []int
	curvature, product, t.afterGradient = p.Tangent(at)
	t.curvature = b.part(program.Curvature, curvature)
	t.product = b.part(program.HessianProduct, product)
	return l
}

// part is the instructions of a phase that at names, ready to run.
func (b *binder[T]) part(ph program.Phase, at []int) []bound {
	chains := b.p.Chains(b.p.Phases[ph])
	list, of := make([]bound, len(at)), make([]int, len(at))
	for k, i := range at {
		list[k], of[k] = b.m.phases[ph][i], chains[i]
	}
	return b.chain(list, of)
}

// seed starts a backward pass from u/n.
type seed[T Float] struct {
	out operand[T]
	u   []T // of the Pullback in progress
}

func (s *seed[T]) run(n int) {
	out, factor := s.out.at(n), 1/float64(n)
	for i, v := range s.u {
		out[i] = T(factor * float64(v))
	}
}

// logitLoss returns what there is, and panics where there is none or where no
// samples have been run.
func (m *Machine[T]) logitLoss() *logits[T] {
	switch {
	case m.logit == nil:
		panic(noLogitLoss)
	case m.loaded == 0:
		panic(noForward)
	}
	return m.logit
}

// checkLogits panics unless v has an element for each logit of the last run.
func (m *Machine[T]) checkLogits(v []T) {
	if len(v) != m.loaded*m.logit.classes {
		panic(badLogits)
	}
}

// Tangent computes out = J·v, the derivative of the logits of the last run's n
// samples along v, at the θ of that run: out is n×classes, row i Jᵢv with
// Jᵢ = ∂zᵢ/∂θ, and v has P elements. θ and the inputs must not have changed
// since. The run may be a Forward, a Gradient or a Pullback. It costs about two
// fifths of Product, of whose instructions it runs some.
func (m *Machine[T]) Tangent(out, v []T) {
	l := m.logitLoss()
	t := &l.tangent
	switch {
	case !m.program.HasProduct():
		panic(noHessian)
	case t.afterGradient && m.batch == 0:
		panic(noGradient)
	}
	m.checkLogits(out)
	m.checkVector(v)
	if !t.ready {
		runList(t.curvature, m.loaded)
		t.ready = true
	}
	m.vector = v
	runList(t.product, m.loaded)
	m.vector = nil
	copy(out, t.u.at(m.loaded))
}

// Pullback computes out = (1/n) Σ Jᵢᵀuᵢ for the n samples of the last run, with
// Jᵢ = ∂zᵢ/∂θ at the θ of that run: u is n×classes, row i uᵢ, and out has P
// elements. With noise, Norms are ‖Jᵢᵀuᵢ‖² afterwards. θ and the inputs must not
// have changed since the run, which may be a Forward, a Gradient or a Pullback.
// It costs what a Gradient does less its Forward.
//
// Grad keeps the last Gradient's result, but its backward pass is overwritten:
// Product needs another Gradient then, and SampleDots and the others speak of the
// Jᵢᵀuᵢ.
func (m *Machine[T]) Pullback(out, u []T, noise bool) {
	l := m.logitLoss()
	m.checkVector(out)
	m.checkLogits(u)
	m.pulled, l.seed.u = true, u
	grad := m.grad
	m.grad = out
	m.backward(l.pullback, noise)
	m.grad, l.seed.u = grad, nil
}

// LossGradient computes ∂ℓᵢ/∂zᵢ for the n samples of the last run, not divided
// by n: softmax(zᵢ) − yᵢ for cross-entropy, zᵢ − yᵢ for mse. out is n×classes.
func (m *Machine[T]) LossGradient(out []T) {
	l := m.logitLoss()
	m.checkLogits(out)
	l.loss.gradient(out, m.loaded)
}

// LossCurvature computes Hᵢuᵢ with Hᵢ = ∂²ℓᵢ/∂zᵢ² for the n samples of the last
// run, not divided by n: pᵢ∘uᵢ − pᵢ⟨pᵢ,uᵢ⟩ with pᵢ = softmax(zᵢ) for
// cross-entropy, uᵢ for mse. out and u are n×classes and may be one slice.
func (m *Machine[T]) LossCurvature(out, u []T) {
	l := m.logitLoss()
	m.checkLogits(out)
	m.checkLogits(u)
	l.loss.curvature(out, u, m.loaded)
}

// SampleLosses stores ℓᵢ of the n samples of the last run in dst, which has n
// elements; their mean is Loss.
func (m *Machine[T]) SampleLosses(dst []float64) {
	l := m.logitLoss()
	m.checkSamples(dst, m.loaded)
	copy(dst, l.loss.losses())
}
