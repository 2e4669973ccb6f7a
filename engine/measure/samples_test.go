package measure

import (
	"math"
	"slices"
	"testing"

	"sgflow/engine"
)

// product returns Σ aₖbₖ.
func product(a, b []float64) (s float64) {
	for k, v := range a {
		s += v * b[k]
	}
	return s
}

// weighted returns Σ wᵢgᵢ.
func weighted(grads [][]float64, w func(i int) float64) []float64 {
	out := make([]float64, len(grads[0]))
	for i, g := range grads {
		for k, v := range g {
			out[k] += w(i) * v
		}
	}
	return out
}

// allNear compares element by element, relative to the largest.
func allNear[T engine.Float](t *testing.T, what string, got []T, want []float64, tol float64) {
	t.Helper()
	top := 0.0
	for _, v := range want {
		top = max(top, math.Abs(v))
	}
	for i, v := range want {
		if !(math.Abs(float64(got[i])-v) <= tol*top) {
			t.Errorf("%s[%d] = %.12g, want %.12g (largest %.3g)", what, i, got[i], v, top)
			return
		}
	}
}

// direction returns a fixed vector of P elements.
func direction(p int) []float64 {
	v := make([]float64, p)
	for k := range v {
		v[k] = math.Sin(float64(3*k + 1))
	}
	return v
}

func narrow[T engine.Float](x []float64) []T {
	y := make([]T, len(x))
	for i, v := range x {
		y[i] = T(v)
	}
	return y
}

// disturbances are what may happen to the session between two measurements of
// the same samples.
func disturbances[T engine.Float](o *Objective[T]) map[string]func() {
	p := len(o.Grad())
	return map[string]func(){
		"nothing":    func() {},
		"a Forward":  func() { o.Forward(samples(3)) },
		"a product":  func() { o.Product(make([]T, p), narrow[T](direction(p))) },
		"the losses": func() { o.SampleLosses(make([]float64, len(o.indices))) },
		"a Pullback": func() {
			if o.s.Program().HasLogitLoss() {
				o.eachForward(true, func(_, n int) { o.s.Pullback(make([]T, p), make([]T, n*classes), true) })
			}
		},
	}
}

func testSamples[T engine.Float](t *testing.T, build net, capacity int, tol float64) {
	o := objective[T](t, build, capacity)
	indices := samples(11)
	n, p := len(indices), len(o.Grad())
	grads := sampleGradients(o, indices)
	mean := weighted(grads, func(int) float64 { return 1 / float64(n) })
	v := direction(p)

	o.Gradient(indices, false)
	grad := slices.Clone(o.Grad())
	dots, gram, out := make([]float64, n), make([]float64, n*n), make([]T, p)
	along := func(v []float64) []float64 {
		want := make([]float64, n)
		for i, g := range grads {
			want[i] = product(g, v)
		}
		return want
	}
	for name, disturb := range disturbances(o) {
		t.Run(name, func(t *testing.T) {
			disturb()
			o.SampleDots(dots, narrow[T](v))
			allNear(t, "SampleDots", dots, along(v), tol)
			disturb()
			o.SampleDots(dots, o.Grad())
			allNear(t, "SampleDots with ḡ", dots, along(mean), tol)
			disturb()
			o.MeanDots(dots)
			allNear(t, "MeanDots", dots, along(mean), tol)
			disturb()
			w := func(i int) float64 { return math.Cos(float64(i)) }
			weights := make([]float64, n)
			for i := range weights {
				weights[i] = w(i)
			}
			o.CombineSamples(out, weights)
			allNear(t, "CombineSamples", out, weighted(grads, w), tol)
			disturb()
			o.SecondMoment(out)
			squares := make([]float64, p)
			for _, g := range grads {
				for k, x := range g {
					squares[k] += x * x / float64(n)
				}
			}
			allNear(t, "SecondMoment", out, squares, tol)
			disturb()
			if ok := o.SampleGram(gram); ok != (capacity >= n) {
				t.Errorf("SampleGram of %d samples in chunks of %d says %v", n, capacity, ok)
			} else if ok {
				for i, g := range grads {
					allNear(t, "SampleGram", gram[i*n:(i+1)*n], along(g), tol)
				}
			}
			if !slices.Equal(o.Grad(), grad) {
				t.Error("Grad is not ḡ any more")
			}
		})
	}
}

func TestSampleProductsEqualALoopOverSamples(t *testing.T) {
	for name, build := range nets {
		for _, capacity := range []int{pool, 4} { // in one chunk, and in several
			t.Run(name, func(t *testing.T) {
				t.Run("float64", func(t *testing.T) { testSamples[float64](t, build, capacity, 1e-10) })
				t.Run("float32", func(t *testing.T) { testSamples[float32](t, build, capacity, 1e-4) })
			})
		}
	}
}

// Of the samples kept and those multiplied with them, either may be too many
// for one chunk.
func TestCrossDotsAreWithTheMeanThatWasKept(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			for _, sizes := range [][2]int{{3, 4}, {4, 3}, {9, 2}, {2, 9}, {9, 7}} {
				o := objective[float64](t, build, 4)
				first, second := samples(sizes[0]), samples(12)[12-sizes[1]:]
				kept := sampleGradients(o, first)
				mean := weighted(kept, func(int) float64 { return 1 / float64(len(first)) })
				o.Gradient(first, false)
				if !o.KeepSamples() {
					t.Fatal("not kept")
				}
				o.s.Axpy(-0.1, o.Grad(), o.s.Params())
				grads := sampleGradients(o, second)
				o.Gradient(second, false)
				got, want := make([]float64, len(second)), make([]float64, len(second))
				if !o.CrossDots(got) {
					t.Fatal("no products")
				}
				for i, g := range grads {
					want[i] = product(g, mean)
				}
				allNear(t, "CrossDots", got, want, 1e-10)
			}
		})
	}
}

func TestSampleLossesAreThoseOfSingleSamples(t *testing.T) {
	for name, build := range nets {
		for _, capacity := range []int{pool, 4} {
			t.Run(name, func(t *testing.T) {
				o := objective[float64](t, build, capacity)
				indices := samples(10)
				var want []float64
				for i := range indices {
					loss, _ := o.Forward(indices[i : i+1])
					want = append(want, loss)
				}
				loss, _ := o.Gradient(indices, false)
				got, sum := make([]float64, 10), 0.0
				if !o.SampleLosses(got) {
					t.Fatal("no losses")
				}
				allNear(t, "ℓ", got, want, 1e-12)
				for _, v := range got {
					sum += v / 10
				}
				near(t, "mean of the losses", sum, loss, 1e-14)
			})
		}
	}
}

func TestMeasuringSamplesOfABatchAllocatesNothing(t *testing.T) {
	for _, name := range []string{"mlp", "cnn"} {
		o := objective[float32](t, nets[name], pool)
		indices := samples(16)
		p := len(o.Grad())
		dots, gram := make([]float64, 16), make([]float64, 16*16)
		v, out := narrow[float32](direction(p)), make([]float32, p)
		step := func() {
			o.Gradient(indices, true)
			o.MeanDots(dots)
			o.SampleDots(dots, v)
			o.SampleGram(gram)
			o.KeepSamples()
			o.CrossDots(dots)
			o.CombineSamples(out, dots)
			o.SecondMoment(out)
			o.SampleLosses(dots)
		}
		step()
		if n := testing.AllocsPerRun(5, step); n != 0 {
			t.Errorf("%s: %g allocations a step", name, n)
		}
	}
}
