package kernel

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// lengths around the widths of vectors and chunks.
var lengths = []int{0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 1000, sumChunk + 3, 2*flatChunk + 77}

func testFlat[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(31)
	u := unit[T]()
	for _, n := range lengths {
		x, y, z := random[T](r, n), random[T](r, n), random[T](r, n)
		for name, op := range map[string]struct {
			do   func(dst []T)
			want func(i int) float64
		}{
			"mul":          {func(d []T) { k.Mul(d, x, y) }, func(i int) float64 { return float64(x[i]) * float64(y[i]) }},
			"add":          {func(d []T) { k.Add(d, x, y) }, func(i int) float64 { return float64(x[i]) + float64(y[i]) }},
			"sub":          {func(d []T) { k.Sub(d, x, y) }, func(i int) float64 { return float64(x[i]) - float64(y[i]) }},
			"scale":        {func(d []T) { k.Scale(d, 0.3, x) }, func(i int) float64 { return float64(T(0.3)) * float64(x[i]) }},
			"axpy":         {func(d []T) { copy(d, z); k.Axpy(d, -0.7, x) }, func(i int) float64 { return float64(z[i]) + float64(T(-0.7))*float64(x[i]) }},
			"combine":      {func(d []T) { k.Combine(d, 0.3, z, -0.7, x) }, func(i int) float64 { return float64(T(0.3)*z[i]) + float64(T(-0.7))*float64(x[i]) }},
			"mul in place": {func(d []T) { copy(d, x); k.Mul(d, d, y) }, func(i int) float64 { return float64(x[i]) * float64(y[i]) }},
			"sub in place": {func(d []T) { copy(d, y); k.Sub(d, x, d) }, func(i int) float64 { return float64(x[i]) - float64(y[i]) }},
		} {
			d := newGuarded[T](n)
			op.do(d.s)
			d.check(t, name)
			for i, v := range d.s {
				if w := op.want(i); math.Abs(float64(v)-w) > 2*u {
					t.Fatalf("%s of %d: element %d is %v, want %v", name, n, i, v, w)
				}
			}
		}
		var dot, norm, size float64
		for i := range x {
			dot += float64(x[i]) * float64(y[i])
			norm += float64(x[i]) * float64(x[i])
			size += math.Abs(float64(x[i]) * float64(y[i]))
		}
		// Products of float32 are exact in float64; 0x1p-53 a rounding otherwise.
		if got := k.Dot(x, y); math.Abs(got-dot) > float64(n)*0x1p-52*size {
			t.Fatalf("dot of %d: %v, want %v", n, got, dot)
		}
		var apart float64
		for i := range x {
			apart += (float64(x[i]) - float64(y[i])) * (float64(x[i]) - float64(y[i]))
		}
		if got := k.DistanceSq(x, y); math.Abs(got-apart) > float64(n)*0x1p-52*apart {
			t.Fatalf("squared distance of %d: %v, want %v", n, got, apart)
		}
		if got := k.NormSq(x); math.Abs(got-norm) > float64(n)*0x1p-52*norm {
			t.Fatalf("norm of %d: %v, want %v", n, got, norm)
		}
		old := newGuarded[T](n)
		copy(old.s, y)
		gotDot, gotNorm := k.Exchange(old.s, x)
		old.check(t, "exchange")
		if math.Abs(gotDot-dot) > float64(n)*0x1p-52*size || math.Abs(gotNorm-norm) > float64(n)*0x1p-52*norm || !slices.Equal(old.s, x) {
			t.Fatalf("exchange of %d: dot %v and norm %v, want %v and %v, and a copy", n, gotDot, gotNorm, dot, norm)
		}
	}
}

func TestFlatOperationsMatchPlainLoops(t *testing.T) {
	everyPath(t, testFlat[float32], testFlat[float64])
}

// refActivation is f, f′ and f″ by definition, in float64.
func refActivation(a Activation, x float64) (f, d, c float64) {
	switch a {
	case ReLU:
		if x > 0 {
			return x, 1, 0
		}
		return 0, 0, 0
	case Tanh:
		y := math.Tanh(x)
		return y, 1 - y*y, -2 * y * (1 - y*y)
	case Sigmoid:
		y := 1 / (1 + math.Exp(-x))
		return y, y * (1 - y), y * (1 - y) * (1 - 2*y)
	case GELU:
		cdf, pdf := 0.5*(1+math.Erf(x/math.Sqrt2)), math.Exp(-x*x/2)/math.Sqrt(2*math.Pi)
		return x * cdf, cdf + x*pdf, (2 - x*x) * pdf
	}
	return x, 1, 0
}

func testActivations[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(32)
	u := unit[T]()
	for _, n := range lengths {
		for a := Identity; a <= GELU; a++ {
			x, dy := random[T](r, n), random[T](r, n)
			for i := range x {
				x[i] *= 12
			}
			y, d, c := newGuarded[T](n), newGuarded[T](n), newGuarded[T](n)
			k.Activate(a, y.s, x)
			ref := y.s
			if a == GELU {
				ref = x
			}
			k.ActGrad(a, d.s, dy, ref)
			k.ActCurve(a, c.s, dy, ref)
			name := fmt.Sprintf("%v of %d", a, n)
			for _, g := range []*guarded[T]{y, d, c} {
				g.check(t, name)
			}
			for i := range x {
				f, f1, f2 := refActivation(a, float64(x[i]))
				// y is rounded, and 1−y² and the like magnify that by at most 4.
				for j, p := range [][2]float64{{float64(y.s[i]), f}, {float64(d.s[i]), float64(dy[i]) * f1}, {float64(c.s[i]), float64(dy[i]) * f2}} {
					if tol := 6 * u * (1 + math.Abs(p[1])); !(math.Abs(p[0]-p[1]) <= tol) {
						t.Fatalf("%s: derivative %d at %v is %v, want %v", name, j, x[i], p[0], p[1])
					}
				}
			}
		}
	}
}

func TestActivationsMatchTheirDefinitions(t *testing.T) {
	everyPath(t, testActivations[float32], testActivations[float64])
}

func TestActivationsOfExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, p := range Available() {
		k := newKernels[float32](t, p, 1)
		for a, want := range map[Activation][4]float32{
			ReLU: {0, inf, nan, 1e30}, Tanh: {-1, 1, nan, 1}, Sigmoid: {0, 1, nan, 1},
		} {
			for _, n := range []int{4, 20} {
				x, y := make([]float32, n), make([]float32, n)
				copy(x, []float32{-inf, inf, nan, 1e30})
				k.Activate(a, y, x)
				for i, w := range want {
					if y[i] != w && !(w != w && y[i] != y[i]) {
						t.Errorf("%s: %v(%v) = %v, want %v", p, a, x[i], y[i], w)
					}
				}
			}
		}
	}
}

func testSGD[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(33)
	for _, n := range lengths {
		for bits := range 8 {
			s := SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 0.02, Nesterov: bits&1 > 0, Decoupled: bits&2 > 0}
			w0, g, v0 := random[T](r, n), random[T](r, n), random[T](r, n)
			w, v := guardedLike(w0), guardedLike(v0)
			velocity := v.s
			if bits&4 > 0 {
				velocity = nil
			}
			k.SGD(s, w.s, g, velocity)
			w.check(t, "w")
			v.check(t, "v")
			for i := range w0 {
				x, d, u := float64(w0[i]), float64(g[i]), 0.0
				if s.Decoupled {
					x -= s.LR * s.WeightDecay * x
				} else {
					d += s.WeightDecay * x
				}
				step := d
				if velocity != nil {
					u = s.Momentum*float64(v0[i]) + d
					step = u
					if s.Nesterov {
						step = d + s.Momentum*u
					}
				} else {
					u = float64(v0[i])
				}
				x -= s.LR * step
				// Values are below 3 and there are fewer than ten roundings.
				if tol := 30 * unit[T](); math.Abs(float64(w.s[i])-x) > tol || math.Abs(float64(v.s[i])-u) > tol {
					t.Fatalf("%+v of %d: parameter %d is %v, velocity %v, want %v, %v", s, n, i, w.s[i], v.s[i], x, u)
				}
			}
		}
	}
}

func TestSGDFollowsItsEquations(t *testing.T) {
	everyPath(t, testSGD[float32], testSGD[float64])
}

func testAdam[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(35)
	for _, n := range lengths {
		u := Adam{Decay: 0.02, Shrink: 0.97, Beta1: 0.9, Beta2: 0.75, Scale: 1.5, Epsilon: 1e-3, Rate: 0.1}
		w0, g, m0, v0 := random[T](r, n), random[T](r, n), random[T](r, n), random[T](r, n)
		for i := range v0 { // a second moment is not negative
			v0[i] *= v0[i]
		}
		w, m, v := guardedLike(w0), guardedLike(m0), guardedLike(v0)
		k.Adam(u, w.s, g, m.s, v.s)
		w.check(t, "w")
		m.check(t, "m")
		v.check(t, "v")
		for i := range w0 {
			d := float64(g[i]) + u.Decay*float64(w0[i])
			first := u.Beta1*float64(m0[i]) + (1-u.Beta1)*d
			second := u.Beta2*float64(v0[i]) + (1-u.Beta2)*d*d
			x := u.Shrink*float64(w0[i]) - u.Rate*first/(u.Scale*math.Sqrt(second)+u.Epsilon)
			// Values are below 10, quotients below 1/√(1−β₂) = 2 of m's share and
			// |m|/(√β₂·|v₀|½) of its past, in which v is rounded relative to itself:
			// fewer than ten roundings of values below 100.
			tol := 300 * unit[T]() * max(1, math.Abs(first)/(u.Scale*math.Sqrt(second)+u.Epsilon))
			if math.Abs(float64(w.s[i])-x) > tol || math.Abs(float64(m.s[i])-first) > tol || math.Abs(float64(v.s[i])-second) > tol {
				t.Fatalf("%d elements: parameter %d is %v, moments %v, %v, want %v, %v, %v", n, i, w.s[i], m.s[i], v.s[i], x, first, second)
			}
		}
	}
}

func TestAdamFollowsItsEquations(t *testing.T) {
	everyPath(t, testAdam[float32], testAdam[float64])
}

func TestFlatOperationsDoNotAllocateNorDependOnThreads(t *testing.T) {
	x := random[float32](newRand(34), 3*flatChunk)
	for _, p := range Available() {
		threadsAgree(t, p, func(k *Kernels[float32]) []float32 {
			w, v := append([]float32(nil), x...), append([]float32(nil), x...)
			k.SGD(SGD{LR: 0.1, Momentum: 0.9}, w, x, v)
			first, second := make([]float32, len(x)), make([]float32, len(x))
			k.Adam(Adam{Shrink: 1, Beta1: 0.9, Beta2: 0.9, Scale: 1, Epsilon: 1, Rate: 0.1}, w, v, first, second)
			return append(append(append(w, first...), second...), float32(k.Dot(w, v)), float32(k.NormSq(w)))
		})
		k := newKernels[float32](t, p, 2)
		y, first, second := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
		if n := testing.AllocsPerRun(5, func() {
			k.Add(y, x, x)
			k.Activate(Tanh, y, x)
			k.Dot(x, y)
			k.SGD(SGD{LR: 1}, y, x, nil)
			k.Adam(Adam{Rate: 1, Epsilon: 1}, y, x, first, second)
		}); n != 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}

// The bounds are those that Activate's comment states.
func TestFloat32ActivationsAreAccurate(t *testing.T) {
	var x []float32
	for v := float32(1e-6); v < 100; v *= 1.0007 {
		x = append(x, v, -v)
	}
	y := make([]float32, len(x))
	for _, p := range Available() {
		k := newKernels[float32](t, p, 1)
		for a := Tanh; a <= GELU; a++ {
			k.Activate(a, y, x)
			for i, v := range x {
				want, _, _ := refActivation(a, float64(v))
				tol := 3 * 0x1p-23 * math.Abs(want)
				if a == GELU {
					tol = 3e-7 * max(1, math.Abs(float64(v)))
				}
				tol = max(tol, 1e-37) // denormal results may be flushed
				if d := math.Abs(float64(y[i]) - want); !(d <= tol) {
					t.Fatalf("%s: %v(%v) = %v, want %v ± %v", p, a, v, y[i], want, tol)
				}
			}
		}
	}
}
