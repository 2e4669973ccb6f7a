package measure

import (
	"context"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/record"
	"sgflow/engine/ritz"
	"sgflow/engine/rng"
)

// hessian returns the dense Hessian from finite differences of gradients, so
// independently of products.
func hessian(o *Objective[float64], indices []int32) *mat.SymDense {
	const eps = 1e-5
	theta := o.s.Params()
	p := len(theta)
	h := mat.NewDense(p, p, nil)
	for j := range theta {
		keep := theta[j]
		theta[j] = keep + eps
		o.Gradient(indices, false)
		plus := slices.Clone(o.Grad())
		theta[j] = keep - eps
		o.Gradient(indices, false)
		for i := range plus {
			h.Set(i, j, (plus[i]-o.Grad()[i])/(2*eps))
		}
		theta[j] = keep
	}
	s := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			s.SetSym(i, j, (h.At(i, j)+h.At(j, i))/2)
		}
	}
	return s
}

func eigenvalues(t *testing.T, h mat.Symmetric) []float64 {
	t.Helper()
	var e mat.EigenSym
	if !e.Factorize(h, false) {
		t.Fatal("the dense Hessian has no eigenvalues")
	}
	return e.Values(nil)
}

func value(t *testing.T, what string, o record.Opt) float64 {
	t.Helper()
	v, ok := o.Get()
	if !ok {
		t.Fatalf("%s is absent", what)
	}
	return v
}

func TestProbeEqualsTheDenseHessian(t *testing.T) {
	for name, build := range nets {
		for _, capacity := range []int{pool, 4} {
			t.Run(name, func(t *testing.T) {
				o := objective[float64](t, build, capacity)
				indices := samples(10)
				h := hessian(o, indices)
				want := eigenvalues(t, h)
				o.Gradient(indices, false)
				g := mat.NewVecDense(len(o.Grad()), slices.Clone(o.Grad()))
				r, err := Probe(context.Background(), o, indices, ProbeConfig{Top: 3, ExactTrace: true})
				if err != nil {
					t.Fatal(err)
				}
				f := r.Flatness
				// Finite differences carry an error of about 1e-10 of the
				// largest entry.
				p := len(want)
				largest := math.Max(math.Abs(want[0]), want[p-1])
				for i := range 3 {
					if d := math.Abs(f.TopEigenvalues[i] - want[p-1-i]); d > 1e-6*largest {
						t.Errorf("eigenvalue %d = %.9g, dense %.9g", i, f.TopEigenvalues[i], want[p-1-i])
					}
					if f.TopResiduals[i] > 1e-6*largest {
						t.Errorf("residual %d = %g of an eigenvalue %g", i, f.TopResiduals[i], f.TopEigenvalues[i])
					}
				}
				near(t, "lambda_max", value(t, "lambda_max", f.Numbers.Get("lambda_max")), want[p-1], 1e-6)
				near(t, "lambda_min", value(t, "lambda_min", f.Numbers.Get("lambda_min")), want[0], 1e-6)
				near(t, "trace", value(t, "trace", f.Numbers.Get("trace")), mat.Trace(h), 1e-8)
				near(t, "batch_sharpness", value(t, "batch_sharpness", f.Numbers.Get("batch_sharpness")), mat.Inner(g, h, g)/mat.Dot(g, g), 1e-7)
			})
		}
	}
}

func TestHutchinsonsErrorIsHonest(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	indices := samples(10)
	trace := mat.Trace(hessian(o, indices))
	o.Gradient(indices, false)
	z, hz := make([]float64, len(o.Grad())), make([]float64, len(o.Grad()))
	covered := 0
	const trials = 200
	for k := range trials {
		values := make([]float64, 16)
		for i := range values {
			values[i] = quadratic(o, uint64(k), uint64(i), z, hz)
		}
		m, stderr, _ := mean(values)
		if math.Abs(m-trace) <= 2*stderr {
			covered++
		}
	}
	// ±2 standard errors of 16 values cover 94 % (Student's t, 15 degrees of
	// freedom); 200 trials have a standard deviation of 1.7 %.
	if covered < trials*87/100 {
		t.Errorf("%d of %d intervals of ±2 standard errors hold the trace", covered, trials)
	}
}

func newMonitor(o *Objective[float64], c Config) *Monitor[float64] {
	if c.Select.list == nil {
		c.Select, _ = ParseSelection("all")
	}
	return NewMonitor(o, c)
}

// step runs one measured step and moves θ a little along −ḡ.
func step(t *testing.T, m *Monitor[float64], k int, indices []int32, lr float64) record.Step {
	t.Helper()
	var out record.Step
	if err := m.Step(k, indices, &out); err != nil {
		t.Fatal(err)
	}
	out.Layers = slices.Clone(out.Layers)
	out.Noise, out.Flatness = slices.Clone(out.Noise), slices.Clone(out.Flatness)
	m.o.s.Axpy(-lr, m.o.Grad(), m.o.s.Params())
	return out
}

func TestStreamedLambdaMaxConvergesAtAFixedPoint(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, pool)
			indices := samples(12)
			want := eigenvalues(t, hessian(o, indices))
			m := newMonitor(o, Config{})
			var f record.Numbers
			for k := range 150 {
				f = step(t, m, k, indices, 0).Flatness
				if hv := value(t, "hv", f.Get("hv")); hv != 3 {
					t.Fatalf("step %d spent %g products, want 3", k, hv)
				}
			}
			got, residual := value(t, "lambda_max", f.Get("lambda_max")), value(t, "residual", f.Get("lambda_max_residual"))
			top := want[len(want)-1]
			if math.Abs(got-top) > 1e-2*top || residual > 0.1*top {
				t.Errorf("lambda_max = %g (residual %g) after 150 steps, dense %g", got, residual, top)
			}
		})
	}
}

// An eigenvalue lies within the residual of every Ritz value.
func TestResidualBoundsTheDistanceToAnEigenvalue(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	indices := samples(12)
	want := eigenvalues(t, hessian(o, indices))
	m := newMonitor(o, Config{})
	for k := range 20 {
		f := step(t, m, k, indices, 0).Flatness
		got, residual := value(t, "lambda_max", f.Get("lambda_max")), value(t, "residual", f.Get("lambda_max_residual"))
		nearest := math.Inf(1)
		for _, v := range want {
			nearest = math.Min(nearest, math.Abs(v-got))
		}
		if nearest > residual*(1+1e-6)+1e-9 {
			t.Errorf("step %d: no eigenvalue within %g of %g; the nearest is %g away", k, residual, got, nearest)
		}
	}
}

func TestMeasuringEveryKStepsReachesTheTolerance(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	indices := samples(12)
	want := eigenvalues(t, hessian(o, indices))
	m := newMonitor(o, Config{Every: 5})
	f := step(t, m, 0, indices, 0).Flatness
	near(t, "lambda_max", value(t, "lambda_max", f.Get("lambda_max")), want[len(want)-1], 1e-3)
	if r := value(t, "residual", f.Get("lambda_max_residual")); r > 0.01*want[len(want)-1] {
		t.Errorf("residual %g of lambda_max %g", r, want[len(want)-1])
	}
	if hv := value(t, "hv", f.Get("hv")); hv > DefaultMaxProducts {
		t.Errorf("%g products, at most %d are allowed", hv, DefaultMaxProducts)
	}
	if f := step(t, m, 1, indices, 0).Flatness; len(f) > 0 {
		t.Errorf("flatness %v was measured at a step that is not due", f)
	}
}

func TestMonitorContinuesExactlyFromItsState(t *testing.T) {
	everything := Selection{text: "everything", list: quantities}
	run := func(c Config, build net, stop int) []record.Step {
		c.Window = 4
		o := objective[float64](t, build, pool)
		m := newMonitor(o, c)
		var list []record.Step
		for k := range 12 {
			if k == stop {
				tensors, text, err := m.State()
				if err != nil {
					t.Fatal(err)
				}
				for i, x := range tensors { // as a file would hold them
					tensors[i] = record.NewTensor(x.Name, x.Shape, slices.Clone(record.Values[float64](x)))
				}
				m = newMonitor(o, c)
				if err := m.Restore(&record.Checkpoint{Tensors: tensors}, text); err != nil {
					t.Fatal(err)
				}
			}
			s := step(t, m, k, samples(6+k%3), 0.1)
			if err := m.Updated(&s); err != nil {
				t.Fatal(err)
			}
			s.MS = nil
			list = append(list, s)
		}
		return list
	}
	for name, build := range nets {
		for _, c := range []Config{{}, {Select: everything, Plain: true}, {Select: everything}} {
			whole, resumed := run(c, build, -1), run(c, build, 7)
			for k := range whole {
				a, b := whole[k], resumed[k]
				if !slices.Equal(a.Noise, b.Noise) || !slices.Equal(a.Flatness, b.Flatness) || a.Loss != b.Loss {
					t.Fatalf("%s: step %d differs after a restore: %+v and %+v", name, k, a, b)
				}
			}
		}
	}
}

func TestGradCosineIsThatOfConsecutiveGradients(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	m := newMonitor(o, Config{})
	var last []float64
	for k := range 4 {
		out := step(t, m, k, samples(5+k), 0.1)
		g := slices.Clone(o.Grad())
		if c, ok := out.Noise.Get("grad_cosine").Get(); ok != (k > 0) {
			t.Errorf("step %d: a cosine is given: %v", k, ok)
		} else if k > 0 {
			a, b := mat.NewVecDense(len(g), g), mat.NewVecDense(len(g), last)
			near(t, "grad_cosine", c, mat.Dot(a, b)/(mat.Norm(a, 2)*mat.Norm(b, 2)), 1e-12)
		}
		last = g
	}
}

// Signs of a probe do not depend on how the work is split: they are rng's.
func TestSessionSignsAreTheStreams(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	got, want := make([]float64, 100000), make([]float64, 100000)
	stream := rng.New(rng.Probes, 9, 4)
	o.s.Signs(got, stream)
	rng.Signs(want, stream, 0)
	if !slices.Equal(got, want) {
		t.Error("signs made in chunks differ from those of the stream")
	}
}

// Flatness on a subset leaves the batch's gradient for the update.
func TestSubsetFlatnessLeavesTheBatchGradient(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	subset, batch := samples(20), samples(5)
	o.Gradient(batch, false)
	want := slices.Clone(o.Grad())
	h := hessian(o, subset)
	m := newMonitor(o, Config{Subset: subset, Every: 3})
	var out record.Step
	if err := m.Step(0, batch, &out); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(o.Grad(), want) {
		t.Error("the gradient left for the update is not the batch's")
	}
	e := eigenvalues(t, h)
	near(t, "lambda_max", value(t, "lambda_max", out.Flatness.Get("lambda_max")), e[len(e)-1], 1e-3)
}

func TestDivergenceIsReported(t *testing.T) {
	o := objective[float64](t, nets["mlp-mse"], pool)
	o.s.Params()[0] = math.NaN()
	m := newMonitor(o, Config{})
	var out record.Step
	if err := m.Step(0, samples(4), &out); err == nil {
		t.Error("no error for a NaN parameter")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	for _, what := range []string{"none", "noise", "all"} {
		t.Run(what, func(t *testing.T) {
			o := objective[float64](t, nets["cnn"], pool)
			indices := samples(8)
			sel, err := ParseSelection(what)
			if err != nil {
				t.Fatal(err)
			}
			m := NewMonitor(o, Config{Select: sel, Window: 4})
			var out record.Step
			k := 0
			one := func() {
				if err := m.Step(k, indices, &out); err != nil {
					t.Fatal(err)
				}
				k++
			}
			for range 6 { // the window fills
				one()
			}
			if n := testing.AllocsPerRun(20, one); n != 0 {
				t.Errorf("%g allocations a step", n)
			}
		})
	}
}

// Checkpoints of old have two numbers of the followed eigenvalue, as its vector was a unit
// vector, or three, with its squared norm; what goes on from one is what goes on from today's.
func TestFollowingGoesOnFromOldCheckpoints(t *testing.T) {
	selected, err := ParseSelection("lambda_max")
	if err != nil {
		t.Fatal(err)
	}
	next := func(length float64, old []float64) record.Step {
		o := objective[float64](t, nets["mlp"], pool)
		m := NewMonitor(o, Config{Select: selected})
		var out record.Step
		for k := range 4 { // on one batch, so that the vector lasts
			if err := m.Step(k, samples(8), &out); err != nil {
				t.Fatal(err)
			}
		}
		about := m.m.vectors["lambda_max.guess"]
		if len(about) != ritz.Numbers || about[ritz.Lasts] != 1 || about[ritz.Norm] < 1 {
			t.Fatalf("what is known of the guess is %v", about)
		}
		o.Session().Scale(length/about[ritz.Norm], m.m.vectors[lambdaMaxVector])
		about[ritz.Norm] = length
		if old != nil {
			m.m.forget("lambda_max.guess")
			m.m.remember("lambda_max.state", old)
		}
		if err := m.Step(4, samples(8), &out); err != nil {
			t.Fatal(err)
		}
		if m.m.list("lambda_max.state") != nil {
			t.Error("what an old checkpoint held is still there")
		}
		return out
	}
	for length, old := range map[float64][]float64{1: {1, 1}, 2: {1, 1, 4}} {
		a, b := next(length, nil), next(length, old)
		for _, key := range []string{"lambda_max", "lambda_max_residual"} {
			if x, y := value(t, key, a.Flatness.Get(key)), value(t, key, b.Flatness.Get(key)); x != y {
				t.Errorf("%s is %v, after an old checkpoint %v", key, x, y)
			}
		}
	}
}
