package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"sgflow/engine/optim"
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
