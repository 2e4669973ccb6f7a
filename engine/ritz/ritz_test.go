package ritz

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestEigenIsTheEigenpairOfA2x2Matrix(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		number := rapid.Float64Range(-1e6, 1e6)
		a, b, c := number.Draw(r, "a"), number.Draw(r, "b"), number.Draw(r, "c")
		smaller, x, y := eigen(a, b, c)
		larger := a + c - smaller
		scale := math.Abs(a) + math.Abs(b) + math.Abs(c)
		residual := math.Hypot(a*x+b*y-larger*x, b*x+c*y-larger*y)
		if smaller > larger+1e-12*scale || math.Abs(math.Hypot(x, y)-1) > 1e-12 || residual > 1e-12*scale {
			r.Fatalf("(%g %g; %g %g): smaller %g, vector (%g, %g), residual %g", a, b, b, c, smaller, x, y, residual)
		}
	})
}

// matrix is a symmetric 3×3 matrix.
type matrix [3][3]float64

func (h *matrix) times(x [3]float64) (y [3]float64) {
	for i := range y {
		for j := range x {
			y[i] += h[i][j] * x[j]
		}
	}
	return y
}

func dot(x, y [3]float64) float64 { return x[0]*y[0] + x[1]*y[1] + x[2]*y[2] }

func (h *matrix) gram(x, y [3]float64) Gram {
	hx, hy := h.times(x), h.times(y)
	return Gram{XX: dot(x, x), XY: dot(x, y), YY: dot(y, y), XHX: dot(x, hx), XHY: dot(x, hy), YHY: dot(y, hy)}
}

// No unit vector of the span has a larger wᵀHw than Solve's; of all angles one is tried in
// each thousandth of a turn. The residual is at right angles to the span.
func TestSolveIsTheLargestOfTheSpan(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		number, size := rapid.Float64Range(-3, 3), rapid.Float64Range(0.2, 3)
		var h matrix
		for i := range 3 {
			for j := range i + 1 {
				h[i][j] = number.Draw(r, "h")
				h[j][i] = h[i][j]
			}
		}
		// h is any matrix, so the axes may be those of x and of the plane.
		sin, cos := math.Sincos(rapid.Float64Range(0.15, math.Pi-0.15).Draw(r, "angle"))
		long := size.Draw(r, "‖y‖")
		x, y := [3]float64{size.Draw(r, "‖x‖")}, [3]float64{long * cos, long * sin}
		g := h.gram(x, y)
		p := g.Solve(1e-300, Independent[float64]())
		var w [3]float64
		for i := range w {
			w[i] = p.Alpha*x[i] + p.Beta*y[i]
		}
		hw := h.times(w)
		if math.Abs(dot(w, w)-1) > 1e-9 || math.Abs(dot(w, hw)-p.Value) > 1e-9 {
			r.Fatalf("‖w‖² %v, wᵀHw %v, value %v", dot(w, w), dot(w, hw), p.Value)
		}
		for i := range hw {
			hw[i] -= p.Value * w[i]
		}
		if math.Abs(dot(hw, x)) > 1e-7 || math.Abs(dot(hw, y)) > 1e-7 {
			r.Fatalf("the residual's products with x and y: %v, %v", dot(hw, x), dot(hw, y))
		}
		least := math.Inf(1)
		for k := range 1000 {
			s, c := math.Sincos(math.Pi * float64(k) / 1000)
			xx := c*c*g.XX + 2*c*s*g.XY + s*s*g.YY
			v := (c*c*g.XHX + 2*c*s*g.XHY + s*s*g.YHY) / xx
			if v > p.Value+1e-9 {
				r.Fatalf("value %v, but %v at an angle", p.Value, v)
			}
			least = min(least, v)
		}
		if p.Other > least+1e-9 {
			r.Fatalf("the other value %v, but %v at an angle", p.Other, least)
		}
		step := Step{Plane: p, ResidualSq: dot(hw, hw)}
		var next [3]float64
		for i := range next {
			next[i] = w[i] + p.Rate*hw[i]
		}
		const rounding = 1e-12 // of wᵀr, which would be 0
		if across := dot(w, hw); math.Abs(across) > rounding {
			r.Fatalf("wᵀr is %v", across)
		}
		if n := dot(next, next); math.Abs(n-step.NextNorm()*step.NextNorm()) > 1e-9*n+2*p.Rate*rounding {
			r.Fatalf("the next vector's squared norm %v, NextNorm %v", n, step.NextNorm())
		}
	})
}

// Where the span is a line the value is that of its direction.
func TestSolveOfALine(t *testing.T) {
	h := matrix{{2, 1, 0}, {1, -1, 0}, {0, 0, 3}}
	x, none := [3]float64{3, 4, 0}, [3]float64{}
	twice := [3]float64{6, 8, 0}
	hx := h.times(x)
	value := dot(x, hx) / dot(x, x)
	for name, g := range map[string]Gram{"x alone": h.gram(x, none), "y alone": h.gram(none, x), "one direction": h.gram(x, twice)} {
		p := g.Solve(1e-300, Independent[float64]())
		if norm := p.Alpha*math.Sqrt(g.XX) + p.Beta*math.Sqrt(g.YY); math.Abs(p.Value-value) > 1e-12 || !math.IsInf(p.Other, 1) || math.Abs(norm-1) > 1e-12 {
			t.Errorf("%s: %+v, want the value %v", name, p, value)
		}
		if want := 1 / value; math.Abs(p.Rate-want) > 1e-12 {
			t.Errorf("%s: rate %v, want %v", name, p.Rate, want)
		}
	}
	if p := (Gram{XX: 1, XHX: 0}).Solve(1e-300, Independent[float64]()); p.Rate != 0 {
		t.Errorf("the rate of a matrix that is zero is %v", p.Rate)
	}
}

// Products that are off by their type's rounding put the values of nearly parallel vectors off by
// little.
func TestSolveOfRoundedProducts(t *testing.T) {
	for name, c := range map[string]struct{ independent, off, most float64 }{
		"float32": {Independent[float32](), 1e-7, 5e-4}, "float64": {Independent[float64](), 2e-16, 1e-9},
	} {
		rapid.Check(t, func(r *rapid.T) {
			noise := func() float64 { return c.off * rapid.Float64Range(-1, 1).Draw(r, "noise") }
			sin, cos := math.Sincos(math.Pow(10, rapid.Float64Range(-8, 0).Draw(r, "log10 of the angle")))
			x, y := [3]float64{1}, [3]float64{100 * cos, 100 * sin}
			hx, hy := x, y // of the unit matrix
			for i := range 3 {
				hx[i] += noise()
				hy[i] += 100 * noise()
			}
			g := Gram{XX: dot(x, x), XY: dot(x, y), YY: dot(y, y), XHX: dot(x, hx), XHY: dot(x, hy), YHY: dot(y, hy)}
			if p := g.Solve(1e-300, c.independent); math.Abs(p.Value-1) > c.most {
				r.Fatalf("%s: value %v, want 1", name, p.Value)
			}
		})
	}
}
