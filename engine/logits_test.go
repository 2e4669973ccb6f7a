package engine_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/rng"
	"sgflow/models"
)

// normals returns n standard normal numbers.
func normals(n int, seed uint64) []float64 {
	x := make([]float64, n)
	stream := rng.New(rng.Probes, seed, 0)
	for i := range x {
		x[i] = stream.NormFloat64()
	}
	return x
}

// eachFactored runs f on every network of factoredSpecs.
func eachFactored(t *testing.T, f func(t *testing.T, p *problem)) {
	for _, c := range factoredSpecs {
		t.Run(c.spec, func(t *testing.T) {
			f(t, newProblem(t, c.spec, c.input, c.classes, c.loss, c.batch))
		})
	}
}

func TestTangentIsTheDerivativeOfTheLogits(t *testing.T) {
	eachFactored(t, func(t *testing.T, p *problem) {
		s := session[float64](t, p, p.batch+2, 2)
		defer s.Close()
		n := p.batch
		got := make([]float64, n*p.classes)
		s.Forward(n)
		s.Tangent(got, p.v)
		at := func(step float64) []float64 {
			s.Axpy(step, p.v, s.Params())
			s.Forward(n)
			s.Axpy(-step, p.v, s.Params())
			return slices.Clone(s.Logits(n))
		}
		// Central differences: an error of step² times third derivatives, and
		// rounding over step; no ReLU or maximum changes sides within it.
		const step = 1e-6
		want, down := at(step), at(-step)
		for i := range want {
			want[i] = (want[i] - down[i]) / (2 * step)
		}
		within(t, "J·v", got, want, 1e-7)
	})
}

func testLogits[T engine.Float](t *testing.T, p *problem, tol float64) {
	n, size := p.batch, len(p.theta)
	grads, losses := singles(t, p)
	s := session[T](t, p, n+3, 2)
	defer s.Close()
	jv, dl, hu, u := make([]T, n*p.classes), make([]T, n*p.classes), make([]T, n*p.classes), normals(n*p.classes, 9)
	v, out := convertNew[T](p.v), make([]T, size)
	s.Gradient(n, false)

	perSample := make([]float64, n)
	s.SampleLosses(perSample)
	within(t, "SampleLosses", perSample, losses, tol)

	// gᵢᵀv = ∇ℓᵢ·(Jv)ᵢ.
	s.Tangent(jv, v)
	s.LossGradient(dl)
	want, got := make([]float64, n), make([]float64, n)
	for i, g := range grads {
		want[i] = dot(g, p.v)
		for c := range p.classes {
			got[i] += float64(dl[i*p.classes+c]) * float64(jv[i*p.classes+c])
		}
	}
	within(t, "∇ℓᵢ·(Jv)ᵢ", got, want, tol)

	// Jᵀ of the losses' gradients is the gradient, and so are its samples.
	grad := slices.Clone(s.Grad())
	s.Pullback(out, dl, true)
	if !slices.Equal(grad, s.Grad()) {
		t.Error("Pullback changes Grad")
	}
	within(t, "Pullback(∇ℓ)", out, combine(grads, uniform(n)), tol)
	for k, q := range s.Program().Params {
		for i, g := range grads {
			part := g[q.Offset : q.Offset+q.Size]
			want[i] = dot(part, part)
		}
		within(t, "norms of Pullback(∇ℓ) for "+q.Name, s.SampleNorms(k), want, 4*tol) // squares
	}
	s.SampleDots(got, v)
	for i, g := range grads {
		want[i] = dot(g, p.v)
	}
	within(t, "SampleDots of Pullback(∇ℓ)", got, want, tol)

	// ⟨u,Jv⟩ = n⟨(1/n)Jᵀu,v⟩.
	s.Pullback(out, convertNew[T](u), false)
	left, right := 0.0, 0.0
	for i, x := range u {
		left += x * float64(jv[i])
	}
	scale := math.Sqrt(dot(u, u) * s.NormSq(jv))
	right = float64(n) * s.Dot(out, v)
	if !(math.Abs(left-right) <= tol*scale) {
		t.Errorf("⟨u,Jv⟩ = %.12g, ⟨Jᵀu,v⟩ = %.12g", left, right)
	}

	// Tangent after Pullback is what it was, and the curvature of the losses makes
	// JᵀHJ, a symmetric and positive matrix, of the two.
	again := make([]T, len(jv))
	s.Tangent(again, v)
	if !slices.Equal(again, jv) {
		t.Error("Tangent differs after Pullback")
	}
	w := normals(size, 10)
	product := func(x []float64) []float64 {
		s.Tangent(jv, convertNew[T](x))
		s.LossCurvature(hu, jv)
		s.Pullback(out, hu, false)
		wide := make([]float64, size)
		for i, y := range out {
			wide[i] = float64(y)
		}
		return wide
	}
	gv, gw := product(p.v), product(w)
	a, b := dot(w, gv), dot(p.v, gw)
	vv, ww := dot(p.v, gv), dot(w, gw)
	if !(math.Abs(a-b) <= tol*math.Sqrt(vv*ww)) {
		t.Errorf("wᵀGv = %.12g, vᵀGw = %.12g", a, b)
	}
	if !(vv > 0 && ww > 0) {
		t.Errorf("vᵀGv = %g, wᵀGw = %g", vv, ww)
	}

	// All is as before after a Gradient.
	s.Gradient(n, false)
	if !slices.Equal(grad, s.Grad()) {
		t.Error("the gradient differs after Pullback")
	}
}

func TestLogitDerivativesFitTogether(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		eachFactored(t, func(t *testing.T, p *problem) {
			t.Run("float64", func(t *testing.T) { testLogits[float64](t, p, 1e-10) })
			t.Run("float32", func(t *testing.T) { testLogits[float32](t, p, 1e-4) })
		})
	})
}

// The derivatives of single losses with respect to the logits, from their
// definitions and finite differences.
func TestLossDerivativesAtTheLogits(t *testing.T) {
	for _, kind := range []op.LossKind{op.CrossEntropy, op.MSE} {
		p := newProblem(t, "mlp:12-9-4", models.Shape{C: 1, H: 3, W: 4}, 4, kind, 5)
		s := session[float64](t, p, 5, 1)
		s.Forward(5)
		z, u := slices.Clone(s.Logits(5)), normals(20, 3)
		loss := func(i int, z []float64) (l float64) {
			y, sum := p.y[i*4:(i+1)*4], 0.0
			for _, v := range z {
				sum += math.Exp(v)
			}
			for c, v := range z {
				if kind == op.MSE {
					l += (v - y[c]) * (v - y[c]) / 2
				} else {
					l -= y[c] * (v - math.Log(sum))
				}
			}
			return l
		}
		got, wantLoss := make([]float64, 5), make([]float64, 5)
		s.SampleLosses(got)
		gradient, curvature := make([]float64, 20), make([]float64, 20)
		s.LossGradient(gradient)
		s.LossCurvature(curvature, u)
		wantGrad, wantCurv := make([]float64, 20), make([]float64, 20)
		// Differences of second order lose half the digits, of fourth order two
		// thirds; the losses and their derivatives are of order 1.
		const h, k = 1e-5, 1e-4
		for i := range 5 {
			at := func(c int, step, along float64) float64 {
				x := slices.Clone(z[i*4 : (i+1)*4])
				for d := range x {
					x[d] += along * u[i*4+d]
				}
				x[c] += step
				return loss(i, x)
			}
			wantLoss[i] = at(0, 0, 0)
			for c := range 4 {
				wantGrad[i*4+c] = (at(c, h, 0) - at(c, -h, 0)) / (2 * h)
				wantCurv[i*4+c] = (at(c, k, k) - at(c, -k, k) - at(c, k, -k) + at(c, -k, -k)) / (4 * k * k)
			}
		}
		within(t, "ℓ", got, wantLoss, 1e-12)
		within(t, "∇ℓ", gradient, wantGrad, 1e-8)
		within(t, "H·u", curvature, wantCurv, 1e-6)
		mean := dot(got, uniform(5))
		if relative(mean, s.Loss(), s.Loss()) > 1e-15 {
			t.Errorf("the mean of the losses is %.17g, the mean loss %.17g", mean, s.Loss())
		}
		s.Close()
	}
}

func TestLogitDerivativesDoNotDependOnCapacityOrThreads(t *testing.T) {
	eachFactored(t, func(t *testing.T, p *problem) {
		const n = 13
		q := newProblem(t, p.spec.String(), p.input, p.classes, p.loss, n)
		run := func(capacity, threads int) ([]float32, []float32, []float64) {
			s := session[float32](t, q, capacity, threads)
			defer s.Close()
			jv, out := make([]float32, n*p.classes), make([]float32, len(q.v))
			s.Forward(n)
			s.Tangent(jv, convertNew[float32](q.v))
			s.Pullback(out, jv, true)
			var norms []float64
			for k := range s.Program().Params {
				norms = append(norms, s.SampleNorms(k)...)
			}
			return jv, out, norms
		}
		jv, out, norms := run(n, 1)
		for _, k := range []struct{ capacity, threads int }{{n, 2}, {n, 3}, {40, 2}} {
			a, b, c := run(k.capacity, k.threads)
			if !slices.Equal(a, jv) || !slices.Equal(b, out) || !slices.Equal(c, norms) {
				t.Errorf("results differ with capacity %d and %d threads", k.capacity, k.threads)
			}
		}
	})
}

func TestLogitDerivativesAllocateNothing(t *testing.T) {
	for _, spec := range []string{"mlp", "cnn"} {
		p := newProblem(t, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, 16)
		s := session[float32](t, p, 16, 2)
		v, out := convertNew[float32](p.v), make([]float32, len(p.v))
		jv, losses := make([]float32, 160), make([]float64, 16)
		step := func() {
			s.Gradient(16, false)
			s.Tangent(jv, v)
			s.LossCurvature(jv, jv)
			s.Pullback(out, jv, true)
			s.LossGradient(jv)
			s.SampleLosses(losses)
		}
		step()
		if n := testing.AllocsPerRun(50, step); n != 0 { // the runtime makes some too, now and then
			t.Errorf("%s: %g allocations a step", spec, n)
		}
		s.Close()
	}
}

// Jacobians of the logits are offered only where the loss is a function of them
// alone and not scaled.
func TestOnlyAPlainLossHasLogitDerivatives(t *testing.T) {
	p := newProblem(t, "mlp:12-9-4", models.Shape{C: 1, H: 3, W: 4}, 4, op.CrossEntropy, 5)
	if !p.program(t).HasLogitLoss() {
		t.Error("cross-entropy of the logits has no derivatives at them")
	}
	s := stockMLP(5).session(t, 5, 1)
	if s.Program().HasLogitLoss() {
		t.Error("a loss made of stock ops claims to be one of the logits")
	}
	s.Forward(5)
	defer func() {
		if recover() == nil {
			t.Error("Pullback does not panic without a loss of the logits")
		}
	}()
	s.Pullback(make([]float64, len(s.Params())), make([]float64, 20), false)
}

// BenchmarkLogits times derivatives at the logits beside the gradient and the
// Hessian-vector product.
func BenchmarkLogits(b *testing.B) {
	for _, spec := range []string{"mlp", "cnn"} {
		const batch = 64
		p := newProblem(b, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, batch)
		for _, threads := range []int{1, 2} {
			s := session[float32](b, p, batch, threads)
			v, out, jv := convertNew[float32](p.v), make([]float32, len(p.v)), make([]float32, batch*10)
			losses := make([]float64, batch)
			for _, c := range []struct {
				name string
				run  func()
			}{
				{"gradient", func() { s.Gradient(batch, false) }},
				{"product", func() { s.Product(out, v) }},
				{"tangent", func() { s.Tangent(jv, v) }},
				{"pullback", func() { s.Pullback(out, jv, false) }},
				{"pullback-noise", func() { s.Pullback(out, jv, true) }},
				{"gauss-newton", func() { s.Tangent(jv, v); s.LossCurvature(jv, jv); s.Pullback(out, jv, false) }},
				{"lossgradient", func() { s.LossGradient(jv) }},
				{"losscurvature", func() { s.LossCurvature(jv, jv) }},
				{"losses", func() { s.SampleLosses(losses) }},
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
