//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine"
	"sgflow/engine/cuda"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/lower"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/engine/program"
	"sgflow/engine/ritz"
	"sgflow/engine/rng"
	"sgflow/models"
)

// network is a network with random data to run it on.
type network struct {
	spec    string
	input   models.Shape
	classes int
	loss    op.LossKind
}

// networks have odd sizes, both losses, all activations, strides, padding and
// pooling of both kinds.
var networks = []network{
	{"mlp:18-33-7-5", models.Shape{C: 2, H: 3, W: 3}, 5, op.CrossEntropy},
	{"mlp:48-40-37-4,act=tanh", models.Shape{C: 3, H: 4, W: 4}, 4, op.CrossEntropy},
	{"mlp:9-11-3,act=gelu", models.Shape{C: 1, H: 3, W: 3}, 3, op.MSE},
	{"cnn:conv6k3p1,gelu,maxpool2,conv9k3s2,relu,fc31,tanh,fc5", models.Shape{C: 2, H: 12, W: 11}, 5, op.MSE},
	{"cnn:conv3k3,relu,avgpool2,conv5k2,sigmoid,gap,fc4", models.Shape{C: 1, H: 9, W: 8}, 4, op.CrossEntropy},
	{"cnn:conv4k5,relu,maxpool2,conv5k3,relu,maxpool2,fc10", models.Shape{C: 1, H: 16, W: 16}, 10, op.CrossEntropy},
	{"mlp:36-9-35", models.Shape{C: 1, H: 6, W: 6}, 35, op.CrossEntropy}, // more classes than the loss makes itself
	{"mlp:20-9-21", models.Shape{C: 1, H: 4, W: 5}, 21, op.CrossEntropy},
	{"mlp:18-7", models.Shape{C: 2, H: 3, W: 3}, 7, op.CrossEntropy}, // nothing goes back through the last layer
}

// presets are what most runs train.
var presets = []network{
	{"mlp", models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy},
	{"cnn", models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy},
}

func (w network) program(t testing.TB) *program.Program {
	t.Helper()
	s, err := models.Parse(w.spec)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Build(models.BuildOptions{Input: w.input, Classes: w.classes, Batch: lower.SymbolicBatch, Loss: w.loss, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	var params gorgonia.Nodes
	for _, q := range n.Params {
		params = append(params, q.Node)
	}
	p, err := engine.Compile(n.Loss, params, engine.Inputs(n.X, n.Y))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// gpu is the device under test, real or emulated.
func gpu(t testing.TB) *driver.Device {
	t.Helper()
	devices, err := driver.Devices()
	if err != nil {
		t.Fatal(err)
	}
	return &devices[0]
}

// needsManaged skips a test of what machines do with managed memory alone.
func needsManaged(t *testing.T) {
	if os.Getenv(cuda.MemoryVariable) == "pinned" {
		t.Skip("vectors are in pinned memory, where products copy them")
	}
}

// session returns a session on the device, or on the processor where that is nil,
// with random parameters and samples that float32 holds exactly.
func session[T engine.Float](t testing.TB, w network, p *program.Program, capacity int, device *driver.Device) *engine.Session[T] {
	t.Helper()
	s, err := engine.NewSession[T](p, engine.Config{Batch: capacity, Threads: 1, CUDA: device})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Err(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	spec, _ := models.Parse(w.spec)
	init, err := spec.Init(11, w.input, w.classes, w.loss)
	if err != nil {
		t.Fatal(err)
	}
	stream := rng.New(rng.Probes, 4, 0)
	at := 0
	for _, q := range init {
		for _, x := range q.Data {
			s.Params()[at] = T(float32(x + 0.05*stream.NormFloat64())) // biases not zero either
			at++
		}
	}
	for i := range s.Input(0) {
		s.Input(0)[i] = T(float32(stream.NormFloat64()))
	}
	for i := range capacity {
		s.Input(1)[i*w.classes+int(stream.Uint32n(uint32(w.classes)))] = 1
	}
	return s
}

// within fails where got differs from want by more than tol times the largest
// element.
func within[T, E engine.Float](t *testing.T, what string, got []T, want []E, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	scale := 0.0
	for _, v := range want {
		scale = max(scale, math.Abs(float64(v)))
	}
	for i, v := range got {
		if !(math.Abs(float64(v)-float64(want[i])) <= tol*scale) {
			t.Errorf("%s[%d] = %v, want %v (largest %v)", what, i, v, want[i], scale)
			return
		}
	}
}

// direction is a vector of n elements that float32 holds exactly.
func direction[T engine.Float](n int, seed uint64) []T {
	stream := rng.New(rng.Probes, seed, 9)
	v := make([]T, n)
	for i := range v {
		v[i] = T(float32(stream.NormFloat64()))
	}
	return v
}

// float32 with sums of up to some thousand terms.
const tol = 3e-5

func TestSessionAgreesWithTheProcessor(t *testing.T) {
	device := gpu(t)
	for _, w := range networks {
		p := w.program(t)
		for _, size := range []struct{ capacity, n int }{{1, 1}, {20, 3}, {20, 17}} {
			t.Run(fmt.Sprintf("%s,n=%d", w.spec, size.n), func(t *testing.T) {
				a, b := session[float32](t, w, p, size.capacity, device), session[float64](t, w, p, size.capacity, nil)
				compareSessions(t, a, b, w, size.n)
			})
		}
	}
}

func TestSessionAgreesWithTheProcessorWithoutManagedMemory(t *testing.T) {
	t.Setenv(cuda.MemoryVariable, "pinned")
	w := networks[3]
	p := w.program(t)
	compareSessions(t, session[float32](t, w, p, 4, gpu(t)), session[float64](t, w, p, 4, nil), w, 3)
}

func TestPresetsAgreeWithTheProcessor(t *testing.T) {
	device := gpu(t)
	for _, w := range presets {
		t.Run(w.spec, func(t *testing.T) {
			p := w.program(t)
			a, b := session[float32](t, w, p, 3, device), session[float64](t, w, p, 3, nil)
			compareSessions(t, a, b, w, 3)
		})
	}
}

// compareSessions compares everything that a session computes of n samples.
func compareSessions(t *testing.T, a *engine.Session[float32], b *engine.Session[float64], w network, n int) {
	a.Forward(n)
	b.Forward(n)
	within(t, "loss", []float64{a.Loss()}, []float64{b.Loss()}, tol)
	within(t, "logits", a.Logits(n), b.Logits(n), tol)

	a.Gradient(n, true)
	b.Gradient(n, true)
	within(t, "loss", []float64{a.Loss()}, []float64{b.Loss()}, tol)
	if a.Correct() != b.Correct() {
		t.Errorf("%d correct, want %d", a.Correct(), b.Correct())
	}
	within(t, "gradient", a.Grad(), b.Grad(), tol)
	compareNorms(t, "norms", a, b)

	size, logits := len(b.Grad()), n*w.classes
	outA, outB := make([]float32, size), make([]float64, size)
	for seed := range uint64(2) {
		a.Product(outA, direction[float32](size, seed))
		b.Product(outB, direction[float64](size, seed))
		within(t, "product", outA, outB, 3*tol)
	}
	compareSamples(t, "samples", a, b, n, true)

	zA, zB := make([]float32, logits), make([]float64, logits)
	a.Tangent(zA, direction[float32](size, 3))
	b.Tangent(zB, direction[float64](size, 3))
	within(t, "tangent", zA, zB, tol)
	a.LossGradient(zA)
	b.LossGradient(zB)
	within(t, "gradient at the logits", zA, zB, tol)
	a.LossCurvature(zA, direction[float32](logits, 4))
	b.LossCurvature(zB, direction[float64](logits, 4))
	within(t, "curvature at the logits", zA, zB, tol)
	lossesA, lossesB := make([]float64, n), make([]float64, n)
	a.SampleLosses(lossesA)
	b.SampleLosses(lossesB)
	within(t, "losses", lossesA, lossesB, tol)

	a.Wait()
	gradient := slices.Clone(a.Grad())
	a.Pullback(outA, direction[float32](logits, 5), true)
	b.Pullback(outB, direction[float64](logits, 5), true)
	within(t, "pullback", outA, outB, tol)
	if a.Wait(); !slices.Equal(gradient, a.Grad()) {
		t.Error("a Pullback changed the gradient")
	}
	compareNorms(t, "norms of a pullback", a, b)
	compareSamples(t, "samples of a pullback", a, b, n, false)
}

func compareNorms(t *testing.T, what string, a *engine.Session[float32], b *engine.Session[float64]) {
	t.Helper()
	for k, q := range b.Program().Params {
		within(t, what+" of "+q.Name, a.SampleNorms(k), b.SampleNorms(k), 2*tol)
	}
}

// compareSamples compares products with the gradients of single samples.
func compareSamples(t *testing.T, what string, a *engine.Session[float32], b *engine.Session[float64], n int, gradient bool) {
	t.Helper()
	size := len(b.Grad())
	must := func(ok ...bool) {
		t.Helper()
		if slices.Contains(ok, false) {
			t.Fatal("the program is not factored")
		}
	}
	dotsA, dotsB := make([]float64, n), make([]float64, n)
	must(a.SampleDots(dotsA, direction[float32](size, 6)), b.SampleDots(dotsB, direction[float64](size, 6)))
	within(t, what+": SampleDots", dotsA, dotsB, 2*tol)
	gramA, gramB := make([]float64, n*n), make([]float64, n*n)
	must(a.SampleGram(gramA), b.SampleGram(gramB))
	within(t, what+": SampleGram", gramA, gramB, 2*tol)
	weights := direction[float64](n, 7)
	outA, outB := make([]float32, size), make([]float64, size)
	must(a.CombineSamples(outA, weights), b.CombineSamples(outB, weights))
	within(t, what+": CombineSamples", outA, outB, 2*tol)
	must(a.SecondMoment(outA), b.SecondMoment(outB))
	within(t, what+": SecondMoment", outA, outB, 2*tol)
	if gradient {
		must(a.MeanDots(dotsA), b.MeanDots(dotsB))
		within(t, what+": MeanDots", dotsA, dotsB, 2*tol)
		must(a.KeepSamples(), b.KeepSamples())
	}
	must(a.CrossDots(dotsA), b.CrossDots(dotsB))
	within(t, what+": CrossDots", dotsA, dotsB, 2*tol)
}

func TestKeptSamplesAreRestored(t *testing.T) {
	w, n := networks[5], 4
	p := w.program(t)
	a, b := session[float32](t, w, p, 6, gpu(t)), session[float32](t, w, p, 6, gpu(t))
	a.Gradient(n, false)
	a.KeepSamples()
	kept, data := a.KeptSamples()
	if err := b.SetKeptSamples(kept, data); err != nil {
		t.Fatal(err)
	}
	x, y := make([]float64, n), make([]float64, n)
	b.Gradient(n, false)
	a.CrossDots(x)
	b.CrossDots(y)
	if !slices.Equal(x, y) {
		t.Errorf("%v before, %v after", x, y)
	}
	for _, bad := range [][]float32{data[1:], append(data, 0)} {
		if b.SetKeptSamples(kept, bad) == nil {
			t.Errorf("%d numbers are accepted where %d were kept", len(bad), len(data))
		}
	}
}

func TestVectorOperations(t *testing.T) {
	w := networks[0]
	p := w.program(t)
	a, b := session[float32](t, w, p, 1, gpu(t)), session[float64](t, w, p, 1, nil)
	a.Gradient(1, false)
	b.Gradient(1, false)
	for _, n := range []int{1, 31, 257, 5000, len(a.Params()), 600_001} {
		for _, near := range []bool{false, true} { // vectors of the device's, or of the program's own
			x, y := direction[float32](n, 1), direction[float32](n, 2)
			if near {
				x, y = a.NewVector(n), a.NewVector(n)
				copy(x, direction[float32](n, 1))
				copy(y, direction[float32](n, 2))
			}
			u, v := direction[float64](n, 1), direction[float64](n, 2)
			scale := float64(n) // of sums of n numbers of order 1
			check := func(what string, got, want float64) {
				t.Helper()
				if math.Abs(got-want) > 1e-12*scale {
					t.Errorf("%s of %d elements: %v, want %v", what, n, got, want)
				}
			}
			check("Dot", a.Dot(x, y), b.Dot(u, v))
			check("NormSq", a.NormSq(x), b.NormSq(u))
			check("DistanceSq", a.DistanceSq(x, y), b.DistanceSq(u, v))
			// Numbers that are stored by the next Wait, of products one after the other and of
			// some with an operation between them that changes a factor.
			var late, want [7]float64
			for k := range 5 {
				a.DotTo(&late[k], x, y)
				b.DotTo(&want[k], u, v)
			}
			a.Scale(0.5, x)
			b.Scale(0.5, u)
			a.DotTo(&late[5], x, y)
			b.DotTo(&want[5], u, v)
			a.DotTo(&late[6], x[n/2:], y[n/2:])
			b.DotTo(&want[6], u[n/2:], v[n/2:])
			a.Wait()
			for k := range late {
				check(fmt.Sprintf("DotTo %d", k), late[k], want[k])
			}
			if late[0] != a.Dot(x, y)*2 {
				t.Errorf("DotTo of %d elements: %v, Dot %v", n, late[0], a.Dot(x, y)*2)
			}
			if n == len(a.Params()) {
				k := len(p.Params)
				dots, norms, wantDots, wantNorms := make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k)
				for _, with := range []bool{false, true} {
					oldX, oldU := y, v
					if !with {
						oldX, oldU = nil, nil
					}
					a.ExchangeParts(dots, norms, oldX, a.Grad())
					b.ExchangeParts(wantDots, wantNorms, oldU, b.Grad())
					a.Wait()
					within(t, "ExchangeParts' products", dots, wantDots, 2*tol)
					within(t, "ExchangeParts' norms", norms, wantNorms, 2*tol)
				}
				within(t, "ExchangeParts", y, v, tol)
				copy(y, direction[float32](n, 2))
				copy(v, direction[float64](n, 2))
			}
			a.Axpy(0.5, x, y)
			b.Axpy(0.5, u, v)
			a.Wait()
			within(t, "Axpy", y, v, 1e-7)
			a.Scale(-0.25, y)
			b.Scale(-0.25, v)
			a.Wait()
			within(t, "Scale", y, v, 1e-7)
			a.Signs(x, rng.New(rng.Probes, 1<<40+3, 1<<33+5))
			b.Signs(u, rng.New(rng.Probes, 1<<40+3, 1<<33+5))
			a.Wait()
			within(t, "Signs", x, u, 0)
		}
	}
}

// TestRitz compares Direction, and projections on planes and on lines with the guesses that
// they move, with the processor's in float64. Vectors x and y are the first two directions, y
// doubled, hx and hy the next, and u is another.
func TestRitz(t *testing.T) {
	const x, y, hx, hy, u = 0, 1, 2, 3, 4
	w := networks[0]
	p := w.program(t)
	a, b := session[float32](t, w, p, 1, gpu(t)), session[float64](t, w, p, 1, nil)
	for _, n := range []int{3, 31, 257, 5000, 600_001} {
		for _, near := range []bool{false, true} { // vectors of the device's, or of the program's own
			vectors := func(about ...float64) (v [5][]float32, want [5][]float64, guess ritz.Guess[float32], wantGuess ritz.Guess[float64]) {
				place := func(v []float32) []float32 {
					if !near {
						return v
					}
					q := a.NewVector(len(v))
					a.Copy(q, v)
					return q
				}
				for k := range v {
					v[k], want[k] = direction[float32](n, uint64(k+1)), direction[float64](n, uint64(k+1))
					if k == y {
						a.Scale(2, v[k])
						b.Scale(2, want[k])
					}
					v[k] = place(v[k])
				}
				guess = ritz.Guess[float32]{U: v[u], About: place([]float32{float32(about[0]), float32(about[1])})}
				return v, want, guess, ritz.Guess[float64]{U: want[u], About: about}
			}
			_, r, _, _ := vectors(0, 1)
			const any = 1e-9
			between := (b.NormSq(r[x]) + b.NormSq(r[y])) / 2 // below it x is none, and not y
			for _, c := range []struct {
				what  string
				x, hx int
				norm  float64 // which, smaller than it is, makes the guess one that lasts
				least float64
			}{
				{"a plane", x, hx, 1, any},
				{"a plane, u is near", x, hx, 1e-6, any},
				{"y alone", x, hx, 1, between},
				{"x alone, which is y", y, hy, 1, any},
				{"x alone", x, hx, 1, any},
			} {
				what := fmt.Sprintf("%s, %d elements", c.what, n)
				v, r, guess, wantGuess := vectors(0, c.norm)
				if c.what == "x alone" {
					a.Scale(1e-9, v[y])
					b.Scale(1e-9, r[y])
				}
				yy := b.NormSq(r[y])
				var got, want ritz.Step
				var yHy, wantYHY float64
				a.DotTo(&yHy, v[y], v[hy])
				b.DotTo(&wantYHY, r[y], r[hy])
				a.Ritz(guess, v[c.x], v[c.hx], v[y], v[hy], nil, &yHy, c.least, &got)
				b.Ritz(wantGuess, r[c.x], r[c.hx], r[y], r[hy], &yy, &wantYHY, c.least, &want)
				a.Wait()
				within(t, what+": u", guess.U, wantGuess.U, 1e-5)
				within(t, what+": what is known of it", guess.About, wantGuess.About, 1e-5)
				if lasts := wantGuess.About[ritz.Lasts] != 0; lasts != (want.Overlap*want.Overlap >= 0.5*c.norm*c.norm) {
					t.Errorf("%s: lasts is %v", what, lasts)
				}
				scale := math.Abs(want.Value) + min(math.Abs(want.Other), 1e9)
				for name, d := range map[string][3]float64{
					"λ": {got.Value, want.Value, 1e-9 * scale}, "the other value": {got.Other, want.Other, 1e-9 * scale},
					"α": {got.Alpha, want.Alpha, 1e-9 * math.Abs(want.Alpha)}, "β": {got.Beta, want.Beta, 1e-9 * math.Abs(want.Beta)},
					"τ": {got.Rate, want.Rate, 1e-9 * math.Abs(want.Rate)}, "‖r‖²": {got.ResidualSq, want.ResidualSq, 1e-5 * want.ResidualSq},
					"uᵀw": {got.Overlap, want.Overlap, 1e-5 * math.Sqrt(b.NormSq(r[u]))},
				} {
					if d[0] != d[1] && !(math.Abs(d[0]-d[1]) <= d[2]) {
						t.Errorf("%s: %s is %v, want %v", what, name, d[0], d[1])
					}
				}
			}
			for _, lasts := range []float64{0, 1} {
				for _, least := range []float64{any, between, 2 * b.NormSq(r[y])} { // hy is too short, or y too
					v, r, guess, wantGuess := vectors(lasts, 3)
					yy := b.NormSq(r[y])
					var dot, want float64
					a.Direction(v[x], guess, v[y], v[hy], nil, least, &dot)
					b.Direction(r[x], wantGuess, r[y], r[hy], &yy, least, &want)
					a.Wait()
					within(t, "Direction", v[x], r[x], 1e-6)
					if math.Abs(dot-want) > 1e-9*float64(n) {
						t.Errorf("Direction of %d elements: the product is %v, want %v", n, dot, want)
					}
				}
			}
		}
	}
}

func TestUpdateHasTheBitsOfTheDefinition(t *testing.T) {
	w := networks[0]
	p := w.program(t)
	for _, c := range []optim.Config{
		{}, {Momentum: 0.9}, {Momentum: 0.9, Nesterov: true}, {WeightDecay: 0.01}, {Momentum: 0.5, WeightDecay: 0.1},
		{Name: optim.SGDW, WeightDecay: 0.1}, {Name: optim.SGDW, WeightDecay: 0.1, Momentum: 0.9, Nesterov: true},
	} {
		s := session[float32](t, w, p, 3, gpu(t))
		velocity := s.NewVector(len(s.Params()))
		theta, v := slices.Clone(s.Params()), make([]float32, len(s.Params()))
		if c.Momentum == 0 {
			velocity, v = nil, nil
		}
		for k := range 3 {
			s.Gradient(3, false)
			s.Wait()
			u := c.Update(0.3 / float64(k+1))
			optim.Step(theta, s.Grad(), v, u)
			s.Update(velocity, u)
			s.Wait()
			if !slices.Equal(theta, s.Params()) {
				t.Errorf("%+v, step %d: other parameters than optim.Step's", c, k)
			}
		}
	}
}

// Twice the same on one device gives the same bits.
func TestRunsAreBitIdentical(t *testing.T) {
	for _, w := range []network{networks[3], networks[5]} {
		p := w.program(t)
		var first []float32
		var losses []float64
		for run := range 2 {
			s := session[float32](t, w, p, 19, gpu(t))
			var numbers []float64
			out := make([]float32, len(s.Params()))
			for k := range 4 {
				s.Gradient(19-k, k%2 == 0)
				numbers = append(numbers, s.Loss(), s.NormSq(s.Grad()))
				s.Product(out, s.Grad())
				numbers = append(numbers, s.Dot(out, s.Grad()))
				s.Update(nil, optim.Update{LR: 0.1})
			}
			if s.Wait(); run == 0 {
				first, losses = slices.Clone(s.Params()), numbers
				continue
			}
			if !slices.Equal(first, s.Params()) || !slices.Equal(losses, numbers) {
				t.Errorf("%s: the second run differs", w.spec)
			}
		}
	}
}

// A product of the same vectors again and again is bound to them: no copies, the same bits.
func TestProductsOfTheSameVectorsAreDirect(t *testing.T) {
	needsManaged(t)
	for _, w := range []network{networks[1], networks[3], networks[5]} {
		s := session[float32](t, w, w.program(t), 7, gpu(t))
		size := len(s.Params())
		v, far := s.NewVector(size), make([]float32, size)
		copy(v, direction[float32](size, 8))
		for _, v := range [][]float32{v, s.Grad()} {
			out := s.NewVector(size)
			for k := range 6 {
				n := 7 - 3*(k%2)
				s.Gradient(n, false)
				before := s.Counts().Copies
				s.Product(out, v)
				copies := s.Counts().Copies - before
				s.Product(far, v)
				if s.Wait(); !slices.Equal(out, far) {
					t.Errorf("%s: product %d differs from that into other memory", w.spec, k)
				}
				if k >= 2 && copies != 0 || k < 2 && copies != 2 {
					t.Errorf("%s: product %d takes %d copies", w.spec, k, copies)
				}
			}
		}
	}
}
