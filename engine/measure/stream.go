package measure

import (
	"math"

	"sgflow/engine"
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
// A step is two calls, so that one wait for a device serves other quantities too: begin
// queues d, its product and the numbers that make the 2×2 problem; finish solves it and
// queues w with its residual, for which it waits. What makes the next u stays queued.
type eigenStream[T engine.Float] struct {
	u     []T       // where the next top eigenvector is expected, of unit norm
	flags []float64 // warm and lasts, below, as numbers that a checkpoint holds

	// Of the step that has begun.
	none  bool // there is no direction to begin with
	made  bool // d was made of ḡ's residual, and is not u
	d, hd []T  // room for the second direction or w, and its product or w's residual
	x     []T  // the second direction: d or u

	madeSq       float64 // the squared norm of ḡ's residual
	dHd, dg, dHg float64
	rr, overlap  float64 // ‖Hw − λw‖², uᵀw
	nextSq       float64 // the squared norm of the next u, before it is 1
}

// Indices of flags.
const (
	warm  = iota // u holds a direction
	lasts        // w was close to u at the last step
)

// lambdaMaxVector names the last point's top eigenvector.
const lambdaMaxVector = "lambda_max.vector"

// resume makes e go on from what the point remembers.
func (e *eigenStream[T]) resume(p *Point[T]) {
	const state = "lambda_max.state"
	n := len(p.o.Grad())
	e.u, _ = p.vector(lambdaMaxVector, n)
	if e.flags = p.list(state); e.flags == nil {
		e.flags = make([]float64, 2)
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

// begin takes the gradient, its product hg = H·ḡ and gg = ‖ḡ‖², and queues what finish
// needs, and gHg = ḡᵀHḡ.
func (e *eigenStream[T]) begin(o *Objective[T], g, hg []T, gg float64, gHg *float64) {
	s := o.Session()
	isWarm := e.flags[warm] == 1
	directed := gg >= leastNormSq[T]()
	e.none = !directed && !isWarm
	e.made = directed && (!isWarm || e.flags[lasts] == 0)
	if e.made {
		s.Orthonormalize(e.d, hg, g, gg, leastNormSq[T](), gHg, &e.madeSq)
		e.x = e.d
	} else {
		s.DotTo(gHg, g, hg)
		e.x = e.u
	}
	if !e.none {
		e.multiply(o, g, hg)
	}
}

// multiply queues the product of the second direction and what it makes with ḡ.
func (e *eigenStream[T]) multiply(o *Objective[T], g, hg []T) {
	s := o.Session()
	o.Product(e.hd, e.x)
	s.DotTo(&e.dHd, e.x, e.hd)
	s.DotTo(&e.dg, e.x, g)
	s.DotTo(&e.dHg, e.x, hg)
}

// finish takes what begin did, which was waited for, and gHg = ḡᵀHḡ, and returns the
// estimate at this point; ok is false where ḡ has no direction and no earlier direction is
// known.
func (e *eigenStream[T]) finish(o *Objective[T], g, hg []T, gg, gHg float64) (est estimate, ok bool) {
	if e.none {
		return est, false
	}
	s := o.Session()
	if e.made && !(e.madeSq >= leastNormSq[T]()) { // ḡ is an eigenvector
		s.Copy(e.d, g)
		s.Scale(1/math.Sqrt(gg), e.d)
		e.multiply(o, g, hg)
		s.Wait()
	}
	dHd, dg := e.dHd, e.dg
	est.value = dHd
	theta2 := math.Inf(1)
	a, b := 1.0, 0.0 // w = a·d + b·ḡ, of unit norm
	if gg >= leastNormSq[T]() && gg-dg*dg > 1e-6*gg {
		// Orthonormal basis d, c = (ḡ − (dᵀḡ)d)/δ; Hc from the two products.
		delta := math.Sqrt(gg - dg*dg)
		dHc := (e.dHg - dg*dHd) / delta
		cHc := (gHg - 2*dg*e.dHg + dg*dg*dHd) / (delta * delta)
		var x, y float64
		theta2, x, y = ritz2(dHd, dHc, cHc)
		est.value = dHd + cHc - theta2
		a, b = x-y*dg/delta, y/delta
	}
	w, r := e.d, e.hd
	if b != 0 {
		s.Residual(w, r, e.x, e.hd, g, hg, e.u, a, b, est.value, &e.rr, &e.overlap)
	} else {
		w = e.x
		s.Axpy(-est.value, w, r)
		s.DotTo(&e.rr, r, r)
		s.DotTo(&e.overlap, e.u, w)
	}
	s.Wait()
	est.residual = math.Sqrt(e.rr)

	e.flags[lasts] = flag(e.flags[warm] == 1 && e.overlap*e.overlap >= 0.5)
	e.flags[warm] = 1
	if spread := est.value - min(theta2, 0); spread*spread >= leastNormSq[T]() && est.residual > 0 {
		s.Unit(e.u, w, 1/spread, r, 0, &e.nextSq)
	} else {
		s.Copy(e.u, w)
	}
	return est, true
}

// ritz2 returns the smaller eigenvalue of the symmetric matrix (a b; b c) and
// the unit eigenvector of the larger one, by one Jacobi rotation (Golub & Van
// Loan, Matrix Computations, §8.5.2).
func ritz2(a, b, c float64) (smaller, x, y float64) {
	cos, sin := 1.0, 0.0
	low, high := a, c
	if b != 0 {
		tau := (c - a) / (2 * b)
		t := 1 / (math.Abs(tau) + math.Sqrt(1+tau*tau))
		if tau < 0 {
			t = -t
		}
		cos = 1 / math.Sqrt(1+t*t)
		sin = t * cos
		low, high = a-t*b, c+t*b
	}
	if low > high { // the rotated first axis belongs to the larger value
		return high, cos, -sin
	}
	return low, sin, cos
}
