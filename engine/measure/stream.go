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
type eigenStream[T engine.Float] struct {
	u     []T       // where the next top eigenvector is expected, of unit norm
	flags []float64 // warm and lasts, below, as numbers that a checkpoint holds
	d, hd []T       // scratch: the second direction and its product
}

// Indices of flags.
const (
	warm  = iota // u holds a direction
	lasts        // w was close to u at the last step
)

// lambdaMaxVector names the last point's top eigenvector.
const lambdaMaxVector = "lambda_max.vector"

// newEigenStream continues the stream that the point remembers.
func newEigenStream[T engine.Float](p *Point[T]) eigenStream[T] {
	const state = "lambda_max.state"
	u, _ := p.vector(lambdaMaxVector, len(p.o.Grad()))
	flags := p.list(state)
	if flags == nil {
		flags = make([]float64, 2)
		p.remember(state, flags)
	}
	return eigenStream[T]{u: u, flags: flags, d: p.temporary(0), hd: p.temporary(1)}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// estimate is a Ritz pair's value and residual.
type estimate struct{ value, residual float64 }

// step takes the gradient, its product hg = H·ḡ, gg = ‖ḡ‖² and gHg = ḡᵀHḡ and
// returns the estimate at this point; ok is false where ḡ has no direction and no earlier
// direction is known.
func (e eigenStream[T]) step(o *Objective[T], g, hg []T, gg, gHg float64) (est estimate, ok bool) {
	s := o.Session()
	isWarm := e.flags[warm] == 1
	directed := gg >= leastNormSq[T]()
	if !directed && !isWarm {
		return est, false
	}
	if isWarm && (e.flags[lasts] == 1 || !directed) {
		s.Copy(e.d, e.u)
	} else {
		s.Copy(e.d, hg)
		s.Axpy(-gHg/gg, g, e.d)
		if nn := s.NormSq(e.d); nn >= leastNormSq[T]() {
			s.Scale(1/math.Sqrt(nn), e.d)
		} else { // ḡ is an eigenvector
			s.Copy(e.d, g)
			s.Scale(1/math.Sqrt(gg), e.d)
		}
	}
	o.Product(e.hd, e.d)
	dHd := s.Dot(e.d, e.hd)
	est.value = dHd
	theta2 := math.Inf(1)
	a, b := 1.0, 0.0 // w = a·d + b·ḡ, of unit norm
	if dg := s.Dot(e.d, g); directed && gg-dg*dg > 1e-6*gg {
		// Orthonormal basis d, c = (ḡ − (dᵀḡ)d)/δ; Hc from the two products.
		delta := math.Sqrt(gg - dg*dg)
		dHg := s.Dot(e.d, hg)
		dHc := (dHg - dg*dHd) / delta
		cHc := (gHg - 2*dg*dHg + dg*dg*dHd) / (delta * delta)
		var x, y float64
		theta2, x, y = ritz2(dHd, dHc, cHc)
		est.value = dHd + cHc - theta2
		a, b = x-y*dg/delta, y/delta
	}
	// d becomes w, and hd its residual Hw − λw, from the products.
	if b != 0 {
		s.Scale(a, e.d)
		s.Axpy(b, g, e.d)
		s.Scale(a, e.hd)
		s.Axpy(b, hg, e.hd)
	}
	s.Axpy(-est.value, e.d, e.hd)
	est.residual = math.Sqrt(s.NormSq(e.hd))

	overlap, _ := s.Exchange(e.u, e.d)
	e.flags[lasts] = flag(isWarm && overlap*overlap >= 0.5)
	if spread := est.value - min(theta2, 0); spread*spread >= leastNormSq[T]() && est.residual > 0 {
		s.Axpy(1/spread, e.hd, e.u)
		s.Scale(1/math.Sqrt(s.NormSq(e.u)), e.u)
	}
	e.flags[warm] = 1
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
