package cpu

import (
	"math"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/optim"
	"sgflow/engine/rng"
)

// Dot returns Σ aᵢbᵢ, with products and sums in float64. a and b have the same
// length.
func (m *Machine[T]) Dot(a, b []T) float64 {
	if len(a) != len(b) {
		panic(badLengths)
	}
	return m.kernels.Dot(a, b)
}

// DistanceSq returns Σ (aᵢ − bᵢ)², in float64 throughout. a and b have the same
// length.
func (m *Machine[T]) DistanceSq(a, b []T) float64 {
	if len(a) != len(b) {
		panic(badLengths)
	}
	return m.kernels.DistanceSq(a, b)
}

// ExchangeParts stores old = x and computes for every parameter's part of them, in the
// same pass, Σ oldᵢ·xᵢ with what old was, and Σ xᵢ², each as Dot does, stored by parameter.
// old may be nil, then dots are 0.
func (m *Machine[T]) ExchangeParts(dots, normSqs []float64, old, x []T) {
	if len(x) != len(m.theta) || old != nil && len(old) != len(x) {
		panic(badVector)
	}
	k := 0
	for from, to := range m.eachParam {
		if old == nil {
			dots[k], normSqs[k] = 0, m.kernels.NormSq(x[from:to])
		} else {
			dots[k], normSqs[k] = m.kernels.Exchange(old[from:to], x[from:to])
		}
		k++
	}
}

// signs fills a slice with a Rademacher probe, chunk by chunk.
type signs[T Float] struct {
	dst    []T
	stream rng.Stream
}

// signsChunk is the number of elements of a chunk.
const signsChunk = 1 << 15

func (s *signs[T]) Do(i, _ int) {
	lo := i * signsChunk
	rng.Signs(s.dst[lo:min(lo+signsChunk, len(s.dst))], s.stream, uint64(lo))
}

// Signs fills x with the Rademacher probe of the given stream (see rng.Signs).
func (m *Machine[T]) Signs(x []T, stream rng.Stream) {
	m.signs = signs[T]{x, stream}
	m.pool.Run((len(x)+signsChunk-1)/signsChunk, &m.signs)
}

// NormSq returns Σ xᵢ², with products and sums in float64.
func (m *Machine[T]) NormSq(x []T) float64 { return m.kernels.NormSq(x) }

// Axpy computes y += αx. x and y have the same length and may be one slice.
func (m *Machine[T]) Axpy(alpha float64, x, y []T) {
	if len(x) != len(y) {
		panic(badLengths)
	}
	m.kernels.Axpy(y, T(alpha), x)
}

// Scale computes x *= α.
func (m *Machine[T]) Scale(alpha float64, x []T) { m.kernels.Scale(x, T(alpha), x) }

// Unit computes out = v/‖v‖ for v = x + βy, or 0 where ‖v‖² is below least, and stores ‖v‖² in
// normSq. All have the same length; out may be x.
func (m *Machine[T]) Unit(out, x []T, beta float64, y []T, least float64, normSq *float64) {
	if len(x) != len(out) || len(y) != len(out) {
		panic(badLengths)
	}
	m.kernels.Combine(out, 1, x, T(beta), y)
	if *normSq = m.NormSq(out); *normSq < least {
		clear(out)
		return
	}
	m.Scale(1/math.Sqrt(*normSq), out)
}

// Orthonormalize is Unit for v = x − (aᵀx/aa)·a, and stores aᵀx in dot.
func (m *Machine[T]) Orthonormalize(out, x, a []T, aa, least float64, dot, normSq *float64) {
	*dot = m.Dot(a, x)
	m.Unit(out, x, -*dot/aa, a, least, normSq)
}

// Residual computes w = αx + βy and r = α·hx + β·hy − λw, and stores Σ rᵢ² in rr and Σ uᵢwᵢ in
// uw. All have the same length; w may be x and r hx, u is neither w nor r.
func (m *Machine[T]) Residual(w, r, x, hx, y, hy, u []T, alpha, beta, lambda float64, rr, uw *float64) {
	for _, v := range [][]T{r, x, hx, y, hy, u} {
		if len(v) != len(w) {
			panic(badLengths)
		}
	}
	m.kernels.Combine(w, T(alpha), x, T(beta), y)
	m.kernels.Combine(r, T(alpha), hx, T(beta), hy)
	m.kernels.Axpy(r, T(-lambda), w)
	*rr, *uw = m.Dot(r, r), m.Dot(u, w)
}

// Step moves θ by one optimizer step along −ḡ: what optim.Step does with the
// machine's Theta and Grad, up to the rounding of its sums. velocity has P
// elements, or is nil where u.Momentum is 0.
func (m *Machine[T]) Step(velocity []T, u optim.Update) {
	if len(velocity) != len(m.theta) && (velocity != nil || u.Momentum != 0) {
		panic(badVector)
	}
	if u.Momentum == 0 {
		velocity = nil
	}
	rule := kernel.SGD{
		LR: u.LR, Momentum: u.Momentum, WeightDecay: u.WeightDecay,
		Nesterov: u.Nesterov, Decoupled: u.Decoupled,
	}
	for from, to := range m.eachParam {
		var v []T
		if velocity != nil {
			v = velocity[from:to]
		}
		m.kernels.SGD(rule, m.theta[from:to], m.grad[from:to], v)
	}
}

// Adam moves θ by one step of Adam along −ḡ: what optim.AdamStep does with the
// machine's Theta and Grad, up to rounding. The moments have P elements.
func (m *Machine[T]) Adam(first, second []T, u optim.AdamUpdate) {
	if len(first) != len(m.theta) || len(second) != len(m.theta) {
		panic(badVector)
	}
	rule := kernel.Adam{
		Decay: u.Coupled(), Shrink: u.Keep(), Beta1: u.Beta1, Beta2: u.Beta2,
		Scale: u.Scale(), Epsilon: u.Epsilon, Rate: u.Rate(),
	}
	for from, to := range m.eachParam {
		m.kernels.Adam(rule, m.theta[from:to], m.grad[from:to], first[from:to], second[from:to])
	}
}

// eachParam yields where each parameter is in θ. Optimizers go by them: a worker's share
// of each is then what it has multiplied with and made the gradient of.
func (m *Machine[T]) eachParam(yield func(from, to int) bool) {
	for _, p := range m.program.Params {
		if !yield(p.Offset, p.Offset+p.Size) {
			return
		}
	}
}
