//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// logits is what a machine knows of a program's LogitLoss.
type logits struct {
	classes int
	loss    *loss
	tangent struct {
		curvature, product []bound
		afterGradient      bool
		ready              bool // curvature has run since the last backward pass
		u                  operand
	}
	seed     seed
	pullback []bound        // the Gradient phase with seed in place of the loss's gradient
	room     driver.Pointer // n×classes
	saved    driver.Pointer // ḡ during a Pullback
}

// seed starts a backward pass from u/n.
type seed struct {
	m       *Machine
	out     operand
	u       driver.Pointer
	classes int
}

func (s *seed) run(n int) {
	s.m.launch("seed of a backward pass", s.m.kernels.scale, elements(n*s.classes), driver.Ptr(s.out.p), driver.Ptr(s.u), driver.Int(n*s.classes), driver.Float32(1/float32(n)))
}

// bindLogits resolves the LogitLoss, once all phases are bound.
func (b *binder) bindLogits() *logits {
	p, m := b.p, b.m
	at, ok := p.LogitLoss()
	if !ok {
		return nil
	}
	l := &logits{classes: at.Classes}
	l.loss, _ = m.phases[program.Forward][at.Loss].(*loss)
	l.room = b.alloc("logits", m.capacity*at.Classes*real)
	l.saved = b.alloc("gradient", p.NumParams*real)
	l.seed = seed{m, b.real(p.Phases[program.Gradient][at.Grad].(*program.LossGrad).Out, each(at.Classes)), l.room, at.Classes}
	for _, in := range m.phases[program.Gradient] {
		l.pullback = append(l.pullback, untaken(in))
	}
	l.pullback[at.Grad] = &l.seed
	if at.Hess < 0 {
		return l
	}
	t := &l.tangent
	t.u = b.real(p.Phases[program.HessianProduct][at.Hess].(*program.LossHess).U, each(at.Classes))
	var curvature, product []int
	curvature, product, t.afterGradient = p.Tangent(at)
	for _, k := range curvature {
		t.curvature = append(t.curvature, m.phases[program.Curvature][k])
	}
	for _, k := range product {
		t.product = append(t.product, untaken(m.phases[program.HessianProduct][k]))
	}
	return l
}

// untaken returns the product that in stands for, as a pass without the loss needs it.
func untaken(in bound) bound {
	if t, ok := in.(*taken); ok {
		return t.product
	}
	return in
}

// logitLoss returns what there is, and panics where there is none or where no
// samples have been run.
func (m *Machine) logitLoss() *logits {
	switch {
	case m.logit == nil:
		panic(noLogitLoss)
	case m.loaded == 0:
		panic(noForward)
	}
	return m.logit
}

// checkLogits panics unless v has an element for each logit of the last run.
func (m *Machine) checkLogits(v []float32) {
	if len(v) != m.loaded*m.logit.classes {
		panic(badLogits)
	}
}

// Tangent computes out = J·v, the derivative of the logits of the last run's n
// samples along v, at the θ of that run: out is n×classes, row i Jᵢv, and v has P
// elements. θ and the inputs must not have changed since. The run may be a Forward,
// a Gradient or a Pullback.
func (m *Machine) Tangent(out, v []float32) {
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
	n := m.loaded
	m.read(m.buffers.vector, v)
	if !t.ready && len(t.curvature) > 0 {
		m.graph(run{what: "curvature of logits", n: n}, func() { m.runList(t.curvature, n) })
	}
	t.ready = true
	m.graph(run{what: "tangent", n: n}, func() { m.runList(t.product, n) })
	m.write(out, t.u.p)
}

// Pullback computes out = (1/n) Σ Jᵢᵀuᵢ for the n samples of the last run, at the θ of
// that run: u is n×classes, row i uᵢ, and out has P elements. With noise, Norms are
// ‖Jᵢᵀuᵢ‖² afterwards. θ and the inputs must not have changed since the run, which
// may be a Forward, a Gradient or a Pullback.
//
// Grad keeps the last Gradient's result, but its backward pass is overwritten:
// Product needs another Gradient then, and SampleDots and the others speak of the
// Jᵢᵀuᵢ.
func (m *Machine) Pullback(out, u []float32, noise bool) {
	l := m.logitLoss()
	m.checkVector(out)
	m.checkLogits(u)
	n, grad, bytes := m.loaded, address(m.buffers.grad), m.program.NumParams*real
	m.batch, m.pulled, m.noise = n, true, noise
	m.changed()
	m.read(l.room, u)
	m.graph(run{what: "pullback", n: n, noise: noise}, func() {
		m.copy("saving the gradient", l.saved, grad, bytes)
		m.backward(l.pullback, n)
	})
	m.copy("writing a vector", m.overwrite(1, out), grad, bytes)
	m.copy("restoring the gradient", grad, l.saved, bytes)
	m.done()
}

// LossGradient computes ∂ℓᵢ/∂zᵢ for the n samples of the last run, not divided by n:
// softmax(zᵢ) − yᵢ for cross-entropy, zᵢ − yᵢ for mse. out is n×classes.
func (m *Machine) LossGradient(out []float32) {
	l := m.logitLoss()
	m.checkLogits(out)
	l.loss.queueGrad("gradient at the logits", l.room, l.loss.y.p, 0, 1, m.loaded)
	m.write(out, l.room)
}

// LossCurvature computes Hᵢuᵢ with Hᵢ = ∂²ℓᵢ/∂zᵢ² for the n samples of the last run, not
// divided by n: pᵢ∘uᵢ − pᵢ⟨pᵢ,uᵢ⟩ with pᵢ = softmax(zᵢ) for cross-entropy, uᵢ for mse.
// out and u are n×classes and may be one slice.
func (m *Machine) LossCurvature(out, u []float32) {
	l := m.logitLoss()
	m.checkLogits(out)
	m.checkLogits(u)
	m.read(l.room, u)
	l.loss.queueHess("curvature at the logits", l.room, l.room, 0, 1, m.loaded)
	m.write(out, l.room)
}

// SampleLosses stores ℓᵢ of the n samples of the last run in dst, which has n
// elements; their mean is Loss.
func (m *Machine) SampleLosses(dst []float64) {
	l := m.logitLoss()
	m.checkSamples(dst, m.loaded)
	m.Wait()
	if m.err == nil {
		m.check(driver.Download(m.ctx, "losses of samples", dst, l.loss.each))
	}
	if m.err != nil {
		for i := range dst {
			dst[i] = math.NaN()
		}
	}
}
