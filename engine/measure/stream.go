package measure

import (
	"math"

	"sgflow/engine"
)

// eigenStream follows the largest eigenvalue of a Hessian that changes a
// little from step to step, at one Hessian-vector product a step beside H·ḡ.
//
// Each step is a Rayleigh–Ritz projection on the span of ḡ and the vector u
// of the step before: the eigenpair (λ, w) of the projected 2×2 problem with
// the largest λ is the estimate, ‖Hw − λw‖ its residual. The next u is
// w + τ(Hw − λw), one step of power iteration on H − (λ − 1/τ)·I from the
// products already at hand, with 1/τ = λ − min(θ₂, 0) and θ₂ the other Ritz
// value: shifted so that a negative eigenvalue does not win by its magnitude.
type eigenStream[T engine.Float] struct {
	u, hu []T
	warm  bool // u holds a direction
}

// estimate is a Ritz pair's value and residual.
type estimate struct{ value, residual float64 }

// step takes the gradient and its product hg = H·ḡ, and returns the estimate
// at this point; ok is false where there is no direction at all (ḡ = 0 and no
// u). Scratch w has the length of θ. hg may be overwritten.
func (e *eigenStream[T]) step(o *Objective[T], g, hg, w []T) (est estimate, ok bool) {
	s := o.Session()
	gg := s.NormSq(g)
	if !e.warm {
		if gg == 0 {
			return est, false
		}
		copy(e.u, g)
		s.Scale(1/math.Sqrt(gg), e.u)
	}
	o.Product(e.hu, e.u)
	a, theta2 := 1.0, math.Inf(1) // w = a·u + b·ḡ
	b := 0.0
	uHu := s.Dot(e.u, e.hu)
	if ug := s.Dot(e.u, g); gg-ug*ug > 1e-6*gg {
		// Orthonormal basis u, d = (ḡ − (uᵀḡ)u)/δ; Hd from the two products.
		delta := math.Sqrt(gg - ug*ug)
		uHg := s.Dot(e.u, hg)
		gHg := s.Dot(g, hg)
		uHd := (uHg - ug*uHu) / delta
		dHd := (gHg - 2*ug*uHg + ug*ug*uHu) / (delta * delta)
		var x, y float64
		theta2, x, y = ritz2(uHu, uHd, dHd)
		a, b = x-y*ug/delta, y/delta
	}
	// w and Hw from the products, renormalised against rounding.
	copy(w, e.u)
	s.Scale(a, w)
	s.Scale(a, e.hu)
	if b != 0 {
		s.Axpy(b, g, w)
		s.Axpy(b, hg, e.hu)
	}
	n := math.Sqrt(s.NormSq(w))
	s.Scale(1/n, w)
	s.Scale(1/n, e.hu)
	est.value = s.Dot(w, e.hu)
	s.Axpy(-est.value, w, e.hu) // the residual r
	est.residual = math.Sqrt(s.NormSq(e.hu))
	// The next direction.
	copy(e.u, w)
	if spread := est.value - min(theta2, 0); spread > 0 {
		s.Axpy(1/spread, e.hu, e.u)
		s.Scale(1/math.Sqrt(s.NormSq(e.u)), e.u)
	}
	e.warm = true
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
