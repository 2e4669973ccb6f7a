package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sgflow/engine/optim"
	"sgflow/engine/ritz"
)

func sgd(lr, momentum float64) optim.Update { return optim.Update{LR: lr, Momentum: momentum} }

// vectorLengths cross the borders of the pieces that sums are made of.
var vectorLengths = []int{0, 1, 7, 4096, 50_001}

func TestVectorOperationsAgreeWithPlainLoops(t *testing.T) {
	testVectors[float32](t)
	testVectors[float64](t)
}

func testVectors[T Float](t *testing.T) {
	var sums [2][]float64
	for threads := 1; threads <= 2; threads++ {
		m := newMachine[T](t, &newBuilder().Program, 1, threads)
		rnd := rand.New(rand.NewPCG(1, 1))
		for _, n := range vectorLengths {
			a, b := make([]float64, n), make([]float64, n)
			random(rnd, a)
			random(rnd, b)
			x, y := make([]T, n), make([]T, n)
			assign(x, a)
			assign(y, b)
			dot, norm, size := 0.0, 0.0, 0.0
			sum, scaled := make([]float64, n), make([]float64, n)
			for i := range a {
				dot += a[i] * b[i]
				norm += a[i] * a[i]
				size += math.Abs(a[i] * b[i])
				sum[i] = b[i] - 0.75*a[i]
				scaled[i] = 1.25 * a[i]
			}
			gotDot, gotNorm := m.Dot(x, y), m.NormSq(x)
			sums[threads-1] = append(sums[threads-1], gotDot, gotNorm)
			// Both are sums in float64 of exact (float32) or once rounded
			// products, in another order.
			if math.Abs(gotDot-dot) > 1e-12*size || math.Abs(gotNorm-norm) > 1e-12*norm {
				t.Errorf("%d elements: a·b %v, want %v; ‖a‖² %v, want %v", n, gotDot, dot, gotNorm, norm)
			}
			m.Axpy(-0.75, x, y)
			compare(t, "axpy", y, sum, tolerance[T]())
			m.Scale(1.25, x)
			compare(t, "scale", x, scaled, tolerance[T]())
		}
	}
	sameBits(t, "sums", sums[1], sums[0])
}

// What makes several operations one has the bits of these.
func TestCombinedVectorOperationsAreTheirParts(t *testing.T) {
	testCombined[float32](t)
	testCombined[float64](t)
}

func testCombined[T Float](t *testing.T) {
	m := newMachine[T](t, &newBuilder().Program, 1, 2)
	rnd := rand.New(rand.NewPCG(1, 3))
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12*math.Abs(want) {
			t.Errorf("%s is %v, %v by its parts", what, got, want)
		}
	}
	for _, n := range []int{2, 1023, 1025, 50_001} {
		var v [5][]T
		for k := range v {
			x := make([]float64, n)
			random(rnd, x)
			v[k] = make([]T, n)
			assign(v[k], x)
		}
		x, hx, y, hy, u := v[0], v[1], v[2], v[3], v[4]
		for _, least := range []float64{1e-9, 2 * m.NormSq(x)} { // as it is, and x being none
			var step ritz.Step
			yy, yHy := m.NormSq(y), m.Dot(y, hy)
			g := ritz.Gram{XX: m.NormSq(x), XY: m.Dot(x, y), YY: yy, XHX: m.Dot(x, hx), XHY: m.Dot(x, hy), YHY: yHy}
			p := g.Solve(least, ritz.Independent[T]())
			w, r := slices.Clone(x), slices.Clone(hx)
			for _, c := range [][2][]T{{w, y}, {r, hy}} {
				m.Scale(p.Alpha, c[0])
				m.Axpy(p.Beta, c[1], c[0])
			}
			m.Axpy(-p.Value, w, r)
			next := slices.Clone(w)
			m.Axpy(p.Rate, r, next)
			for _, old := range [][]T{u, w} { // one that does not last, and one that does
				guess := ritz.Guess[T]{U: slices.Clone(old), About: []T{ritz.Norm: T(math.Sqrt(m.NormSq(old)))}}
				m.Ritz(guess, x, hx, y, hy, &yy, &yHy, least, &step)
				if !slices.Equal(guess.U, next) || step.Plane != p {
					t.Errorf("Ritz of %d elements is not that of its parts", n)
				}
				near("‖r‖²", step.ResidualSq, m.NormSq(r))
				near("uᵀw", step.Overlap, m.Dot(old, w))
				if lasts := guess.About[ritz.Lasts] != 0; lasts != slices.Equal(old, w) || guess.About[ritz.Norm] != T(step.NextNorm()) {
					t.Errorf("after Ritz of %d elements, u being w: %v, the guess is %v", n, slices.Equal(old, w), guess.About)
				}
			}
		}

		yy := 1.7
		rest, norm := slices.Clone(hy), math.Sqrt(m.NormSq(hy))
		m.Scale(1/norm, rest)
		m.Axpy(-m.Dot(y, hy)/yy/norm, y, rest)
		unit := slices.Clone(u)
		m.Scale(1.0/4, unit)
		for _, c := range []struct {
			what      string
			lasts     T
			yy, least float64
			want      []T
		}{
			{"the rest of hy", 0, yy, 1e-9, rest},
			{"u, which lasts", 1, yy, 1e-9, unit},
			{"u, as y is too short", 0, yy, 1.8, unit},
			{"nothing, as hy is too short", 0, 3 * norm * norm, 2 * norm * norm, make([]T, n)},
		} {
			d := make([]T, n)
			d[0] = 7
			var yHy float64
			m.Direction(d, ritz.Guess[T]{U: u, About: []T{ritz.Lasts: c.lasts, ritz.Norm: 4}}, y, hy, &c.yy, c.least, &yHy)
			if !slices.Equal(d, c.want) || yHy != m.Dot(y, hy) {
				t.Errorf("Direction of %d elements is not %s", n, c.what)
			}
		}
	}
}

func TestStepIsTheOptimizersStep(t *testing.T) {
	testStep[float32](t)
	testStep[float64](t)
}

func testStep[T Float](t *testing.T) {
	for _, u := range []optim.Update{
		{LR: 0.1},
		{LR: 0.1, WeightDecay: 0.01},
		{LR: 0.1, WeightDecay: 0.01, Decoupled: true},
		{LR: 0.1, Momentum: 0.9},
		{LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.01},
		{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01, Decoupled: true},
	} {
		b := newBuilder()
		_, _, _, _, _ = b.param(40_003)
		m := newMachine[T](t, &b.Program, 1, 2)
		rnd := rand.New(rand.NewPCG(2, 2))
		theta, grad, velocity := make([]float64, 40_003), make([]float64, 40_003), make([]float64, 40_003)
		for _, s := range [][]float64{theta, grad, velocity} {
			random(rnd, s)
		}
		v := make([]T, len(velocity))
		assign(m.Theta(), theta)
		assign(m.Grad(), grad)
		assign(v, velocity)
		for range 3 {
			m.Step(v, u)
			optim.Step(theta, grad, velocity, u)
		}
		compare(t, "theta", m.Theta(), theta, tolerance[T]())
		compare(t, "velocity", v, velocity, tolerance[T]())
	}
}

func TestAdamIsTheOptimizersStep(t *testing.T) {
	testAdam[float32](t)
	testAdam[float64](t)
}

func testAdam[T Float](t *testing.T) {
	const n = 40_003
	for _, u := range []optim.AdamUpdate{
		{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		{LR: 0.01, Beta1: 0.5, Beta2: 0.9, Epsilon: 1e-3, WeightDecay: 0.1},
		{LR: 0.01, Beta1: 0, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.1, Decoupled: true},
	} {
		b := newBuilder()
		_, _, _, _, _ = b.param(n)
		m := newMachine[T](t, &b.Program, 1, 2)
		rnd := rand.New(rand.NewPCG(2, 2))
		theta, grad := make([]float64, n), make([]float64, n)
		first, second := make([]float64, n), make([]float64, n)
		random(rnd, theta)
		assign(m.Theta(), theta)
		f, s := make([]T, n), make([]T, n)
		for u.Step = 1; u.Step <= 3; u.Step++ {
			random(rnd, grad)
			assign(m.Grad(), grad)
			m.Adam(f, s, u)
			optim.AdamStep(theta, grad, first, second, u)
		}
		// Gradients near 0 are divided by roots near 0: their rounding in m, over ε
		// beside a root of the same rounding, is at most lr·a few times tolerance.
		compare(t, "theta", m.Theta(), theta, tolerance[T]())
		compare(t, "first moment", f, first, tolerance[T]())
		compare(t, "second moment", s, second, tolerance[T]())
	}
}
