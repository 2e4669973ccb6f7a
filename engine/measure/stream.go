package measure

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/ritz"
)

// eigenStream follows the largest eigenvalue of a Hessian that changes from
// step to step, at one Hessian-vector product a step beside H·ḡ.
//
// Each step is a Rayleigh–Ritz projection on the span of ḡ and one more
// direction d: the eigenpair (λ, w) of the projected 2×2 problem with the
// larger λ is the estimate, ‖Hw − λw‖ its residual. Which d depends on whether
// the top eigenvector lasts from step to step:
//
//   - While it does (full batches, a fixed subset), d = u, the vector of the
//     step before moved by one step of power iteration on H − (λ − 1/τ)·I from
//     the products already at hand: u = w + τ(Hw − λw), with 1/τ = λ − min(θ₂, 0)
//     and θ₂ the other Ritz value, shifted so that a negative eigenvalue does
//     not win by its magnitude. The estimate then converges over the steps.
//   - Where every batch has its own (wᵀu)² < ½, d is the residual of ḡ, which
//     makes the step two steps of Lanczos' method from ḡ.
//
// All of a step is queued; its numbers are there by the next wait for the device.
type eigenStream[T engine.Float] struct {
	u     []T       // where the next top eigenvector is expected
	flags []float64 // warm and lasts, below, as numbers that a checkpoint holds, and ‖u‖²

	d, hd []T // room for the second direction, which may be u, and its product
	step  ritz.Step
}

// Indices of flags.
const (
	warm   = iota // u holds a direction
	lasts         // w was close to u at the last step
	normSq        // ‖u‖²
)

// longestSq is the squared norm from which u is made a unit vector again. Its products are
// divided by its norm, which is near to 1 unless an eigenvalue of much less than its residual
// was the largest.
const longestSq = 1 << 20

// lambdaMaxVector names the last point's top eigenvector.
const lambdaMaxVector = "lambda_max.vector"

// resume makes e go on from what the point remembers.
func (e *eigenStream[T]) resume(p *Point[T]) {
	const state = "lambda_max.state"
	n := len(p.o.Grad())
	e.u, _ = p.vector(lambdaMaxVector, n)
	if e.flags = p.list(state); len(e.flags) < 3 { // checkpoints once had two, as u was a unit vector
		e.flags = append(e.flags, []float64{0, 0, 1}[len(e.flags):]...)
		p.remember(state, e.flags)
	}
	e.d, e.hd = p.o.vector(e.d, n), p.o.vector(e.hd, n)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// estimate is a Ritz pair's value and residual.
type estimate struct{ value, residual float64 }

// begin takes the gradient, its product hg = H·ḡ and gg, where ‖ḡ‖² is by the next Wait, and
// queues the step, and gHg = ḡᵀHḡ. ḡ has a direction, or u is warm.
func (e *eigenStream[T]) begin(o *Objective[T], g, hg []T, gg, gHg *float64) {
	s, least := o.Session(), leastNormSq[T]()
	x := e.u
	if e.flags[lasts] == 0 {
		x = e.d
		s.Reject(x, hg, g, e.u, gg, least, gHg)
	} else {
		s.DotTo(gHg, g, hg)
	}
	o.Product(e.hd, x)
	s.Ritz(e.u, x, e.hd, g, hg, gg, gHg, least, &e.step)
}

// finish returns the estimate of the step that was begun and waited for.
func (e *eigenStream[T]) finish(s *engine.Session[T]) estimate {
	overlap := e.step.Overlap
	e.flags[lasts] = flag(e.flags[warm] == 1 && overlap*overlap >= 0.5*e.flags[normSq])
	e.flags[warm], e.flags[normSq] = 1, e.step.NextNormSq()
	if n := e.flags[normSq]; n >= longestSq && finite(n) {
		s.Scale(1/math.Sqrt(n), e.u)
		e.flags[normSq] = 1
	}
	return estimate{e.step.Value, math.Sqrt(e.step.ResidualSq)}
}
