package cpu

import (
	"math"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/optim"
	"sgflow/engine/ritz"
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

// Direction makes d the second direction of the next projection, beside y: guess.U as a unit
// vector where that lasts or ‖y‖² is below least, else (hy − (yᵀhy/yy)·y)/‖hy‖, or 0 where ‖hy‖²
// is below least. It stores yᵀhy in yHy. All have the same length.
func (m *Machine[T]) Direction(d []T, guess ritz.Guess[T], y, hy []T, yy *float64, least float64, yHy *float64) {
	if len(guess.U) != len(d) || len(y) != len(d) || len(hy) != len(d) {
		panic(badLengths)
	}
	*yHy = m.Dot(y, hy)
	if guess.About[ritz.Lasts] != 0 || *yy < least {
		m.kernels.Scale(d, 1/guess.About[ritz.Norm], guess.U)
		return
	}
	hh := m.NormSq(hy)
	if hh < least {
		clear(d)
		return
	}
	norm := math.Sqrt(hh)
	m.kernels.Combine(d, T(1/norm), hy, T(-*yHy / *yy / norm), y)
}

// Ritz projects a matrix on the span of x and y by ritz.Gram's Solve, given their products hx
// and hy with it, yy = ‖y‖² and yHy, and moves guess: U = w + τr with w = αx + βy and r = α·hx +
// β·hy − λw. ‖r‖², uᵀw with what U was, and the solution are stored in step. All have the same
// length.
func (m *Machine[T]) Ritz(guess ritz.Guess[T], x, hx, y, hy []T, yy, yHy *float64, least float64, step *ritz.Step) {
	for _, v := range [][]T{x, hx, y, hy} {
		if len(v) != len(guess.U) {
			panic(badLengths)
		}
	}
	g := ritz.Gram{XX: m.NormSq(x), XY: m.Dot(x, y), YY: *yy, XHX: m.Dot(x, hx), XHY: m.Dot(x, hy), YHY: *yHy}
	step.Plane = g.Solve(least, ritz.Independent[T]())
	step.ResidualSq, step.Overlap = m.kernels.Follow(guess.U, kernel.Combination[T]{
		Alpha: T(step.Alpha), Beta: T(step.Beta), Lambda: T(step.Value), Rate: T(step.Rate), X: x, HX: hx, Y: y, HY: hy,
	})
	guess.Update(step)
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
