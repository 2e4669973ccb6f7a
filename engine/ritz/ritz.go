// Package ritz solves the projection of a symmetric matrix H on the span of two vectors,
// by Rayleigh and Ritz: the unit vector w of the span with the largest wᵀHw, of which
// that is the value. Backends do it between sums over vectors, wherever those are.
package ritz

import "math"

// Gram is what is known of two vectors and their products with H; YY is theirs to give
// whatever XX is.
type Gram struct {
	XX, XY, YY    float64 // xᵀx, xᵀy, yᵀy
	XHX, XHY, YHY float64 // xᵀHx, xᵀHy, yᵀHy
}

// Plane is the solution.
type Plane struct {
	Value       float64 // λ = wᵀHw
	Other       float64 // the other value of the span, +Inf where that is a line
	Alpha, Beta float64 // w = αx + βy
	// Rate is τ with which w + τ(Hw − λw) is one step of power iteration on
	// H − (λ − 1/τ)·I, for the span's products are all that is known of H: 1/τ = λ −
	// min(θ, 0), with the other value θ, so that a negative eigenvalue does not win by its
	// magnitude. 0 where that is nothing to divide by.
	Rate float64
}

// Independent is the squared sine of the angle between x and y of T from which they span a
// plane; below it the span is that of x, whatever y is. A product with H that is off by ε of
// its norm puts the plane's values off by ε over it: by some 10⁻⁴ in float32, 10⁻¹⁰ in float64.
func Independent[T float32 | float64]() float64 {
	var x T
	if _, single := any(x).(float32); single {
		return 1e-3
	}
	return 1e-6
}

// Solve returns the solution. A vector of a squared norm below least has no direction:
// the span is the other's. One of the two has a direction. What independent says is
// Independent's.
func (g Gram) Solve(least, independent float64) Plane {
	if !(g.XX >= least) {
		p := Plane{Value: g.YHY / g.YY, Other: math.Inf(1), Beta: 1 / math.Sqrt(g.YY)}
		p.Rate = rate(p.Value, p.Other, least)
		return p
	}
	// The orthonormal basis d = x/‖x‖ and c = (y − (dᵀy)d)/δ.
	norm := math.Sqrt(g.XX)
	dHd, dy, dHy := g.XHX/g.XX, g.XY/norm, g.XHY/norm
	p := Plane{Value: dHd, Other: math.Inf(1), Alpha: 1 / norm}
	if left := g.YY - dy*dy; g.YY >= least && left > independent*g.YY {
		delta := math.Sqrt(left)
		dHc := (dHy - dy*dHd) / delta
		cHc := (g.YHY - 2*dy*dHy + dy*dy*dHd) / (delta * delta)
		smaller, a, b := eigen(dHd, dHc, cHc)
		p.Value, p.Other = dHd+cHc-smaller, smaller
		p.Alpha, p.Beta = (a-b*dy/delta)/norm, b/delta
	}
	p.Rate = rate(p.Value, p.Other, least)
	return p
}

func rate(value, other, least float64) float64 {
	if spread := value - min(other, 0); spread*spread >= least {
		return 1 / spread
	}
	return 0
}

// eigen returns the smaller eigenvalue of the symmetric matrix (a b; b c) and
// the unit eigenvector of the larger one, by one Jacobi rotation (Golub & Van
// Loan, Matrix Computations, §8.5.2).
func eigen(a, b, c float64) (smaller, x, y float64) {
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

// Step is a Plane with what a pass over the vectors finds: the residual of w, and how far w
// is from a vector u that was expected.
type Step struct {
	Plane
	ResidualSq float64 // ‖Hw − λw‖²
	Overlap    float64 // uᵀw
}

// NextNorm returns ‖w + τ(Hw − λw)‖, as w is a unit vector and its residual at right
// angles to it, up to 2τ times what rounding makes of their product.
func (s *Step) NextNorm() float64 { return math.Sqrt(1 + s.Rate*s.Rate*s.ResidualSq) }

// Guess is a vector U near to which the next w is expected, and what is known of it: two numbers,
// About[Lasts] and About[Norm].
type Guess[T float32 | float64] struct{ U, About []T }

// Indices of Guess.About, and how many there are.
const (
	Lasts = iota // 1 where the last w was close to what U was then: (uᵀw)² ≥ ½‖u‖²; else 0
	Norm         // ‖U‖
	Numbers
)

// Update stores what is known of g.U after the step that has moved it.
func (g Guess[T]) Update(s *Step) {
	norm := float64(g.About[Norm])
	g.About[Lasts], g.About[Norm] = 0, T(s.NextNorm())
	if s.Overlap*s.Overlap >= 0.5*norm*norm {
		g.About[Lasts] = 1
	}
}
