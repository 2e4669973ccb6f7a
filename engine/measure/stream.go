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
//   - While it does (full batches, a fixed subset), d = u/‖u‖, with the vector of the
//     step before moved by one step of power iteration on H − (λ − 1/τ)·I from
//     the products already at hand: u = w + τ(Hw − λw), with 1/τ = λ − min(θ₂, 0)
//     and θ₂ the other Ritz value, shifted so that a negative eigenvalue does
//     not win by its magnitude. The estimate then converges over the steps.
//   - Where every batch has its own (wᵀu)² < ½, d is the residual of ḡ, which
//     makes the step two steps of Lanczos' method from ḡ.
//
// All of a step is queued, whichever d it takes; its numbers are there by the next wait for the
// device.
type eigenStream[T engine.Float] struct {
	guess ritz.Guess[T] // u
	d, hd []T           // room for the second direction and its product
	step  ritz.Step
}

// lambdaMaxVector names the last point's top eigenvector.
const lambdaMaxVector = "lambda_max.vector"

// resume makes e go on from what the point remembers: at first from a random direction, so that
// there is one where ḡ has none.
func (e *eigenStream[T]) resume(p *Point[T]) {
	const about, older = "lambda_max.guess", "lambda_max.state"
	n := len(p.o.Grad())
	var fresh bool
	e.guess.U, _ = p.vector(lambdaMaxVector, n)
	if e.guess.About, fresh = p.vector(about, ritz.Numbers); fresh {
		p.o.s.Wait()
		e.guess.About[ritz.Norm] = 1
		if state := p.list(older); state != nil { // of a checkpoint, once: whether u holds a direction and lasts, and ‖u‖², of late
			e.guess.About[ritz.Lasts] = T(state[1])
			if len(state) > 2 {
				e.guess.About[ritz.Norm] = T(math.Sqrt(state[2]))
			}
			p.forget(older)
		} else {
			randomDirection(p, e.guess.U)
		}
	}
	e.d, e.hd = p.o.vector(e.d, n), p.o.vector(e.hd, n)
}

// estimate is a Ritz pair's value and residual.
type estimate struct{ value, residual float64 }

// queue takes the gradient, its product hg = H·ḡ and gg, where ‖ḡ‖² is by the next Wait, and
// queues the step, and gHg = ḡᵀHḡ.
func (e *eigenStream[T]) queue(o *Objective[T], g, hg []T, gg, gHg *float64) {
	s, least := o.Session(), leastNormSq[T]()
	s.Direction(e.d, e.guess, g, hg, gg, least, gHg)
	o.Product(e.hd, e.d)
	s.Ritz(e.guess, e.d, e.hd, g, hg, gg, gHg, least, &e.step)
}

// estimate returns what the step says that was queued and waited for.
func (e *eigenStream[T]) estimate() estimate {
	return estimate{e.step.Value, math.Sqrt(e.step.ResidualSq)}
}
