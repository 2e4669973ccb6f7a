package engine_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sgflow/engine"
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/op"
	"sgflow/models"
)

// factoredSpecs are networks with rules for every parameter: dense and
// convolutional, with strides, padding, pooling of both kinds, all activations
// and both losses; the last two are wider than the batch, so that Gram matrices
// are used.
var factoredSpecs = append(slices.Clone(fixedSpecs), []struct {
	spec    string
	input   models.Shape
	classes int
	loss    op.LossKind
	batch   int
}{
	{"mlp:48-40-37-4,act=tanh", models.Shape{C: 3, H: 4, W: 4}, 4, op.CrossEntropy, 11},
	{"cnn:conv6k3p1,gelu,maxpool2,conv9k3s2,relu,fc31,tanh,fc5", models.Shape{C: 2, H: 12, W: 11}, 5, op.MSE, 9},
}...)

// onEveryPath runs f once for each instruction set of this machine.
func onEveryPath(t *testing.T, f func(t *testing.T)) {
	for _, path := range kernel.Available() {
		t.Run(path.String(), func(t *testing.T) {
			t.Setenv(kernel.PathVariable, path.String())
			f(t)
		})
	}
}

// singles returns each sample's own gradient and loss in float64, by runs of one.
func singles(t testing.TB, p *problem) (grads [][]float64, losses []float64) {
	s := session[float64](t, p, p.batch, 1)
	defer s.Close()
	for i := range p.batch {
		load(s, p, i)
		s.Gradient(1, false)
		grads = append(grads, slices.Clone(s.Grad()))
		losses = append(losses, s.Loss())
	}
	return grads, losses
}

// load makes sample i the first of the session's.
func load[T engine.Float](s *engine.Session[T], p *problem, i int) {
	d, c := p.input.Size(), p.classes
	convert(s.Input(0), p.x[i*d:(i+1)*d])
	convert(s.Input(1), p.y[i*c:(i+1)*c])
}

func dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// combine returns Σ wᵢgᵢ.
func combine(grads [][]float64, w []float64) []float64 {
	out := make([]float64, len(grads[0]))
	for i, g := range grads {
		for k, v := range g {
			out[k] += w[i] * v
		}
	}
	return out
}

func uniform(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1 / float64(n)
	}
	return w
}

// within fails where got differs from want by more than tol times the largest
// element.
func within[T engine.Float](t *testing.T, what string, got []T, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	if i := far(got, want, tol); i >= 0 {
		t.Errorf("%s[%d] = %.12g, want %.12g (largest %.3g)", what, i, got[i], want[i], maxAbs(want))
	}
}

func testSamples[T engine.Float](t *testing.T, p *problem, tol float64) {
	n, size := p.batch, len(p.theta)
	grads, _ := singles(t, p)
	s := session[T](t, p, n+3, 2)
	defer s.Close()
	s.Gradient(n, false)

	must := func(ok bool) {
		t.Helper()
		if !ok {
			t.Fatal("the program is not factored")
		}
	}
	dots, gram, vector := make([]float64, n), make([]float64, n*n), make([]T, size)
	must(s.SampleDots(dots, convertNew[T](p.v)))
	want := make([]float64, n)
	for i, g := range grads {
		want[i] = dot(g, p.v)
	}
	within(t, "SampleDots", dots, want, tol)

	must(s.SampleGram(gram))
	wantGram := make([]float64, n*n)
	for i, g := range grads {
		for j, h := range grads {
			wantGram[i*n+j] = dot(g, h)
		}
	}
	within(t, "SampleGram", gram, wantGram, tol)

	mean := combine(grads, uniform(n))
	must(s.MeanDots(dots))
	for i, g := range grads {
		want[i] = dot(g, mean)
	}
	within(t, "MeanDots", dots, want, tol)

	w := make([]float64, n)
	for i := range w {
		w[i] = math.Sin(float64(i + 1))
	}
	must(s.CombineSamples(vector, w))
	within(t, "CombineSamples", vector, combine(grads, w), tol)

	must(s.SecondMoment(vector))
	squares := make([]float64, size)
	for _, g := range grads {
		for k, v := range g {
			squares[k] += v * v / float64(n)
		}
	}
	within(t, "SecondMoment", vector, squares, tol)

	// Fewer samples, at other parameters.
	must(s.KeepSamples())
	moved := *p
	moved.theta = slices.Clone(p.theta)
	for i := range moved.theta {
		moved.theta[i] += 0.01 * p.v[i]
	}
	moved.batch = max(1, n-2)
	moved.x, moved.y = p.x[:moved.batch*p.input.Size()], p.y[:moved.batch*p.classes]
	grads, _ = singles(t, &moved)
	convert(s.Params(), moved.theta)
	s.Gradient(moved.batch, true)
	must(s.CrossDots(dots[:moved.batch]))
	for i, g := range grads {
		want[i] = dot(g, mean)
	}
	within(t, "CrossDots", dots[:moved.batch], want[:moved.batch], tol)
}

func TestSampleProductsEqualALoopOverSamples(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		for _, c := range factoredSpecs {
			t.Run(c.spec, func(t *testing.T) {
				p := newProblem(t, c.spec, c.input, c.classes, c.loss, c.batch)
				t.Run("float64", func(t *testing.T) { testSamples[float64](t, p, 1e-10) })
				t.Run("float32", func(t *testing.T) { testSamples[float32](t, p, 1e-4) })
			})
		}
	})
}

// Products and the measures before them reuse memory; factors must outlive them.
func TestSampleProductsOutliveHessianProducts(t *testing.T) {
	for _, c := range factoredSpecs {
		p := newProblem(t, c.spec, c.input, c.classes, c.loss, c.batch)
		s := session[float64](t, p, p.batch, 2)
		n := p.batch
		before, after, hv := make([]float64, n*n), make([]float64, n*n), make([]float64, len(p.v))
		s.Gradient(n, false)
		s.SampleGram(before)
		s.Gradient(n, false)
		s.Product(hv, p.v)
		s.Product(hv, p.v)
		s.SampleGram(after) // the rows of convolutions are made only here
		if !slices.Equal(before, after) {
			t.Errorf("%s: Hessian-vector products change the samples' gradients", c.spec)
		}
		s.Close()
	}
}

// Once samples' gradients have been asked for, a backward pass with norms stores
// a convolution's on its way: the same ones, of that pass and no other.
func TestSampleProductsAreThoseOfTheLastBackwardPass(t *testing.T) {
	for _, c := range factoredSpecs {
		t.Run(c.spec, func(t *testing.T) {
			p := newProblem(t, c.spec, c.input, c.classes, c.loss, c.batch)
			n := p.batch
			s, fresh := session[float32](t, p, n, 2), session[float32](t, p, n, 2)
			defer s.Close()
			defer fresh.Close()
			u, out := convertNew[float32](normals(n*p.classes, 5)), make([]float32, len(p.v))
			got, want := make([]float64, n*n), make([]float64, n*n)
			gradient := func(noise bool) func(s *engine.Session[float32]) {
				return func(s *engine.Session[float32]) { s.Gradient(n, noise) }
			}
			pullback := func(noise bool) func(s *engine.Session[float32]) {
				return func(s *engine.Session[float32]) { s.Forward(n); s.Pullback(out, u, noise) }
			}
			for k, pass := range []func(s *engine.Session[float32]){
				gradient(true), gradient(true), pullback(true), gradient(true), gradient(false), pullback(false), gradient(true), pullback(true), pullback(true),
			} {
				s.Axpy(0.01, convertNew[float32](p.v), s.Params())
				copy(fresh.Params(), s.Params())
				pass(s)
				s.SampleGram(got)
				fresh.Gradient(n, true) // its samples are not asked for, so the next pass stores none
				pass(fresh)
				fresh.SampleGram(want)
				if !slices.Equal(got, want) {
					t.Errorf("pass %d: the samples' gradients are others", k)
				}
			}
		})
	}
}

func TestSampleProductsDoNotDependOnCapacityOrThreads(t *testing.T) {
	for _, c := range factoredSpecs {
		p := newProblem(t, c.spec, c.input, c.classes, c.loss, 13)
		run := func(capacity, threads int) (results []float64) {
			s := session[float32](t, p, capacity, threads)
			defer s.Close()
			const n = 13
			dots, gram, v := make([]float64, n), make([]float64, n*n), make([]float32, len(p.v))
			add := func() {
				for _, x := range v {
					results = append(results, float64(x))
				}
			}
			s.Gradient(n, false)
			s.SampleDots(dots, convertNew[float32](p.v))
			results = append(results, dots...)
			s.SampleGram(gram)
			results = append(results, gram...)
			s.MeanDots(dots)
			results = append(results, dots...)
			s.KeepSamples()
			s.CombineSamples(v, gram[:n])
			add()
			s.SecondMoment(v)
			add()
			s.Axpy(0.01, convertNew[float32](p.v), s.Params())
			s.Gradient(n, false)
			s.CrossDots(dots)
			return append(results, dots...)
		}
		first := run(13, 1)
		for _, k := range []struct{ capacity, threads int }{{13, 2}, {13, 3}, {40, 2}} {
			if !slices.Equal(run(k.capacity, k.threads), first) {
				t.Errorf("%s: results differ with capacity %d and %d threads", c.spec, k.capacity, k.threads)
			}
		}
	}
}

func TestSampleProductsAllocateNothing(t *testing.T) {
	for _, spec := range []string{"mlp", "cnn"} {
		p := newProblem(t, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, 16)
		s := session[float32](t, p, 16, 2)
		v, out := convertNew[float32](p.v), make([]float32, len(p.v))
		dots, gram := make([]float64, 16), make([]float64, 16*16)
		step := func() {
			s.Gradient(16, true)
			s.SampleDots(dots, v)
			s.SampleGram(gram)
			s.MeanDots(dots)
			s.KeepSamples()
			s.CrossDots(dots)
			s.CombineSamples(out, dots)
			s.SecondMoment(out)
		}
		step()
		if n := testing.AllocsPerRun(50, step); n != 0 { // the runtime makes some too, now and then
			t.Errorf("%s: %g allocations a step", spec, n)
		}
		s.Close()
	}
}

func TestGramMatrixIsExactlySymmetric(t *testing.T) {
	const n = 137 // more than a block, no multiple of a tile
	p := newProblem(t, "mlp:12-9-4", models.Shape{C: 1, H: 3, W: 4}, 4, op.CrossEntropy, n)
	s := session[float32](t, p, n, 2)
	defer s.Close()
	grads, _ := singles(t, p)
	gram := make([]float64, n*n)
	s.Gradient(n, false)
	s.SampleGram(gram)
	want := make([]float64, n*n)
	for i := range n {
		for j := range n {
			want[i*n+j] = dot(grads[i], grads[j])
			if gram[i*n+j] != gram[j*n+i] {
				t.Fatalf("K[%d,%d] = %v, K[%d,%d] = %v", i, j, gram[i*n+j], j, i, gram[j*n+i])
			}
		}
	}
	within(t, "SampleGram", gram, want, 1e-4)
}

// A weight that is penalised has no rule, so that the whole program has none.
func TestSampleProductsSayWhereThereAreNoFactors(t *testing.T) {
	n := stockMLP(5)
	penalised := penalty(n)
	s := penalised.session(t, 5, 1)
	s.Gradient(5, true)
	v, d := make([]float64, len(s.Params())), make([]float64, 25)
	for name, ok := range map[string]bool{
		"SampleDots": s.SampleDots(d[:5], v), "SampleGram": s.SampleGram(d), "MeanDots": s.MeanDots(d[:5]),
		"CombineSamples": s.CombineSamples(v, d[:5]), "SecondMoment": s.SecondMoment(v),
		"KeepSamples": s.KeepSamples(), "CrossDots": s.CrossDots(d[:5]),
	} {
		if ok {
			t.Errorf("%s claims to know the samples' gradients", name)
		}
	}
	if s.Program().Factored() {
		t.Error("the program claims to be factored")
	}
}

// Stock graphs have the same rules; their weights are stored in×out.
func TestStockGraphsAreFactored(t *testing.T) {
	for name, build := range map[string]func(int) *stockNet{"mlp": stockMLP, "convnet": stockConvnet} {
		t.Run(name, func(t *testing.T) {
			const n = 5
			s := build(n).session(t, n, 2)
			x, y := slices.Clone(s.Input(0)), slices.Clone(s.Input(1))
			var grads [][]float64
			for i := range n {
				dx, dy := len(x)/n, len(y)/n
				copy(s.Input(0), x[i*dx:(i+1)*dx])
				copy(s.Input(1), y[i*dy:(i+1)*dy])
				s.Gradient(1, false)
				grads = append(grads, slices.Clone(s.Grad()))
			}
			copy(s.Input(0), x)
			copy(s.Input(1), y)
			s.Gradient(n, false)
			gram, want := make([]float64, n*n), make([]float64, n*n)
			if !s.SampleGram(gram) {
				t.Fatal("not factored")
			}
			for i := range n {
				for j := range n {
					want[i*n+j] = dot(grads[i], grads[j])
				}
			}
			within(t, "SampleGram", gram, want, 1e-10)
			out, w := make([]float64, len(s.Params())), []float64{1, -2, 3, 0, 0.5}
			s.CombineSamples(out, w)
			within(t, "CombineSamples", out, combine(grads, w), 1e-10)
		})
	}
}

// BenchmarkSamples times what per-sample gradients are used for, beside the
// gradient itself; gradient+… are of a fresh gradient.
func BenchmarkSamples(b *testing.B) {
	for _, spec := range []string{"mlp", "cnn"} {
		const batch = 64
		p := newProblem(b, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, batch)
		for _, threads := range []int{1, 2} {
			s := session[float32](b, p, batch, threads)
			v, out := convertNew[float32](p.v), make([]float32, len(p.v))
			dots, gram := make([]float64, batch), make([]float64, batch*batch)
			s.Gradient(batch, false)
			s.KeepSamples()
			for _, c := range []struct {
				name string
				run  func()
			}{
				{"gradient", func() { s.Gradient(batch, false) }},
				{"noise", func() { s.Gradient(batch, true) }},
				{"gradient+dots", func() { s.Gradient(batch, false); s.SampleDots(dots, v) }},
				{"dots", func() { s.SampleDots(dots, v) }},
				{"gram", func() { s.SampleGram(gram) }},
				{"meandots", func() { s.MeanDots(dots) }},
				{"keep", func() { s.KeepSamples() }},
				{"crossdots", func() { s.CrossDots(dots) }},
				{"combine", func() { s.CombineSamples(out, dots) }},
				{"moment", func() { s.SecondMoment(out) }},
			} {
				b.Run(fmt.Sprintf("%s/threads=%d/%s", spec, threads, c.name), func(b *testing.B) {
					for b.Loop() {
						c.run()
					}
				})
			}
			s.Close()
		}
	}
}
