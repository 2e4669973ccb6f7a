package measure

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// state is a step of a short run with everything formed by definition, in
// dense float64: what quantities are compared with.
type state struct {
	o             *Objective[float64] // at theta, for losses elsewhere
	indices       []int32
	lr, momentum  float64
	theta, after  []float64 // before and after the update
	loss          float64
	losses        []float64
	grads         [][]float64 // of each sample
	mean          []float64
	h             *mat.SymDense
	layers        []int // where the parameters end
	velocity      []float64
	configuration Config
}

// stats of the per-sample gradients by definition.
func (s *state) noise() (normSq, varTrace, fisher float64) { return dense(s.grads, 0, len(s.theta)) }

// logged is what was logged of one quantity. Every key must be looked at.
type logged struct {
	t    *testing.T
	what string
	list record.Numbers
	seen map[string]bool
}

func (l *logged) take(key string) float64 {
	l.t.Helper()
	x, ok := l.list.Get(key).Get()
	if !ok {
		l.t.Fatalf("%s: %s is absent", l.what, key)
	}
	l.seen[key] = true
	return x
}

func (l *logged) near(key string, want, tol float64) {
	l.t.Helper()
	near(l.t, l.what+": "+key, l.take(key), want, tol)
}

func (l *logged) absent(keys ...string) {
	l.t.Helper()
	for _, key := range keys {
		if x, ok := l.list.Get(key).Get(); ok {
			l.t.Errorf("%s: %s is %g, want it absent", l.what, key, x)
		}
	}
}

// references holds, for every quantity, the check of what step k of a run
// logged against the definition.
var references = map[string]func(l *logged, run []*state, k int){
	"grad_norm_sq": func(l *logged, run []*state, k int) {
		l.near("grad_norm_sq", dot(run[k].mean, run[k].mean), 1e-10)
	},
	"grad_var_trace": func(l *logged, run []*state, k int) {
		_, v, _ := run[k].noise()
		l.near("grad_var_trace", v, 1e-10)
	},
	"grad_norm_sq_unbiased": func(l *logged, run []*state, k int) {
		g, v, _ := run[k].noise()
		want := g - v/float64(len(run[k].grads))
		if got := l.take("grad_norm_sq_unbiased"); math.Abs(got-want) > 1e-10*g { // what it is a difference of
			l.t.Errorf("%s: %g, want %g", l.what, got, want)
		}
	},
	"noise_scale": func(l *logged, run []*state, k int) {
		g, v, _ := run[k].noise()
		if d := g - v/float64(len(run[k].grads)); d > 0 {
			l.near("noise_scale", v/d, 1e-9)
		} else {
			l.absent("noise_scale")
		}
	},
	"noise_scale_ema": func(l *logged, run []*state, k int) {
		var top, bottom float64
		for _, s := range run[:k+1] {
			g, v, _ := s.noise()
			top = 0.99*top + 0.01*v
			bottom = 0.99*bottom + 0.01*(g-v/float64(len(s.grads)))
		}
		if bottom > 0 {
			l.near("noise_scale_ema", top/bottom, 1e-9)
		} else {
			l.absent("noise_scale_ema")
		}
	},
	"fisher_trace": func(l *logged, run []*state, k int) {
		_, _, f := run[k].noise()
		l.near("fisher_trace", f, 1e-10)
	},
	"grad_cosine": func(l *logged, run []*state, k int) {
		if k == 0 {
			l.absent("grad_cosine")
			return
		}
		a, b := run[k].mean, run[k-1].mean
		l.near("grad_cosine", dot(a, b)/math.Sqrt(dot(a, a)*dot(b, b)), 1e-10)
	},
	"sample_norms": func(l *logged, run []*state, k int) {
		var norms []float64
		for _, g := range run[k].grads {
			norms = append(norms, math.Sqrt(dot(g, g)))
		}
		sort.Float64s(norms)
		last := float64(len(norms) - 1)
		for i, key := range []string{"min", "q1", "median", "q3", "max"} {
			at := last * float64(i) / 4
			low, high := norms[int(math.Floor(at))], norms[int(math.Ceil(at))]
			l.near("sample_norm_"+key, low+(at-math.Floor(at))*(high-low), 1e-10)
		}
	},
	"norm_test": func(l *logged, run []*state, k int) {
		g, v, _ := run[k].noise()
		l.near("norm_test", math.Sqrt(v/float64(len(run[k].grads))/g), 1e-10)
	},
	"gsnr_mean": func(l *logged, run []*state, k int) {
		s, sum := run[k], 0.0
		for j, v := range paramVariances(s) {
			biased := v * float64(len(s.grads)-1) / float64(len(s.grads))
			sum += s.mean[j] * s.mean[j] / (biased + 1e-5) / float64(len(s.mean))
		}
		l.near("gsnr_mean", sum, 1e-9)
	},
	"variance": func(l *logged, run []*state, k int) {
		v := paramVariances(run[k])
		l.near("param_var_max", slices.Max(v), 1e-9)
		l.near("param_var_zero", 0, 0) // no parameter of the test networks is dead
	},
	"temperature": func(l *logged, run []*state, k int) {
		s := run[k]
		l.near("temperature", s.lr/float64(len(s.indices))/(1-s.momentum), 1e-12)
	},
	"cabs": func(l *logged, run []*state, k int) {
		_, v, _ := run[k].noise()
		l.near("cabs", run[k].lr*v/run[k].loss, 1e-10)
	},
	"distance": func(l *logged, run []*state, k int) {
		l.near("distance", norm(minus(run[k].theta, run[0].theta)), 1e-10)
	},
	"update_size": func(l *logged, run []*state, k int) {
		l.near("update_size", norm(minus(run[k].after, run[k].theta)), 1e-9)
	},
	"inner_product_test": func(l *logged, run []*state, k int) {
		var d []float64
		for _, g := range run[k].grads {
			d = append(d, dot(g, run[k].mean))
		}
		v, _ := sampleVariance(d)
		l.near("inner_product_test", math.Sqrt(v/float64(len(d)))/dot(run[k].mean, run[k].mean), 1e-9)
	},
	"orthogonality_test": func(l *logged, run []*state, k int) {
		s, n := run[k], float64(len(run[k].grads))
		gg, sum := dot(s.mean, s.mean), 0.0
		for _, g := range s.grads {
			rest := slices.Clone(g)
			for i := range rest {
				rest[i] -= dot(g, s.mean) / gg * s.mean[i]
			}
			sum += dot(rest, rest)
		}
		l.near("orthogonality_test", math.Sqrt(sum/(n-1)/n/gg), 1e-9)
	},
	"noise_scale_interval": func(l *logged, run []*state, k int) {
		s := run[k]
		n := len(s.grads)
		var traces, norms []float64 // without one sample
		for i := range n {
			rest := slices.Delete(slices.Clone(s.grads), i, i+1)
			g, v, _ := dense(rest, 0, len(s.theta))
			traces, norms = append(traces, v), append(norms, g-v/float64(n-1))
		}
		g, v, _ := s.noise()
		d := g - v/float64(n)
		scale := float64(n-1) * float64(n-1) / float64(n) // of a variance with n−1 to the jackknife's
		ss, _ := sampleVariance(traces)
		dd, _ := sampleVariance(norms)
		l.near("grad_var_trace_stderr", math.Sqrt(scale*ss), 1e-8)
		l.near("grad_norm_sq_unbiased_stderr", math.Sqrt(scale*dd), 1e-8)
		// At an end b of the interval S − bG is t standard errors from zero.
		t := distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975)
		excess := func(b float64) float64 {
			var x []float64
			for i := range traces {
				x = append(x, traces[i]-b*norms[i])
			}
			variance, _ := sampleVariance(x)
			return (v-b*d)*(v-b*d)/(t*t*scale*variance) - 1
		}
		for _, key := range []string{"noise_scale_low", "noise_scale_high"} {
			if b, ok := l.list.Get(key).Get(); ok && b > 0 {
				if e := excess(b); math.Abs(e) > 1e-6 {
					l.t.Errorf("%s: %s = %g, where the deviation is off by %g", l.what, key, b, e)
				}
			}
			l.seen[key] = true
		}
		if d > 0 && excess(v/d) > -1 {
			l.t.Errorf("%s: the estimate is not in its interval", l.what)
		}
		if _, ok := l.list.Get("noise_scale_high").Get(); ok != (d > t*math.Sqrt(scale*dd)) {
			l.t.Errorf("%s: an upper end: %v, though ‖G‖² = %g ± %g", l.what, ok, d, math.Sqrt(scale*dd))
		}
	},
	"alpha": func(l *logged, run []*state, k int) {
		if k == 0 || run[k].momentum > 0 && !run[k].o.s.Program().Factored() {
			l.absent("alpha")
			return
		}
		a, b := run[k-1], run[k]
		step := minus(b.theta, a.theta)
		t := norm(step)
		end := func(s *state) (f, varF, df, varDF float64) {
			var slopes []float64
			for _, g := range s.grads {
				slopes = append(slopes, dot(g, step)/t)
			}
			varF, f = sampleVariance(s.losses)
			varDF, df = sampleVariance(slopes)
			return f, varF, df, varDF
		}
		f0, vf0, d0, vd0 := end(a)
		f1, vf1, d1, vd1 := end(b)
		// Weighted least squares by a QR of the rows divided by their deviations.
		rows := mat.NewDense(4, 3, []float64{1, 0, 0, 1, t, t * t, 0, 1, 0, 0, 1, 2 * t})
		y := mat.NewVecDense(4, []float64{f0, f1, d0, d1})
		for i, v := range []float64{vf0, vf1, vd0, vd1} {
			for j := range 3 {
				rows.Set(i, j, rows.At(i, j)/math.Sqrt(v))
			}
			y.SetVec(i, y.AtVec(i)/math.Sqrt(v))
		}
		var w mat.VecDense
		if err := w.SolveVec(rows, y); err != nil {
			l.t.Fatal(err)
		}
		if w.AtVec(2) < 0 {
			l.near("alpha", -1, 1e-12)
		} else {
			want := t/(-w.AtVec(1)/(2*w.AtVec(2))) - 1
			if got := l.take("alpha"); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) { // the fit loses some digits
				l.t.Errorf("%s: alpha = %g, want %g", l.what, got, want)
			}
		}
	},
	"noise_curvature": func(l *logged, run []*state, k int) {
		c := run[k].configuration
		var values []float64
		for i := max(0, k+1-c.Window); i <= k; i++ {
			s := run[i]
			eps := make([]float64, len(s.grads))
			rng.Signs(eps, rng.New(rng.Probes, c.Seed, 1<<41+uint64(i)), 0)
			w := mat.NewVecDense(len(s.theta), nil)
			for j, g := range s.grads {
				w.AddScaledVec(w, eps[j]/math.Sqrt(float64(len(eps)-1)), mat.NewVecDense(len(g), minus(g, s.mean)))
			}
			values = append(values, mat.Inner(w, s.h, w))
		}
		m, stderr, _ := mean(values)
		l.near("noise_curvature", m, 1e-6)
		if k > 0 {
			l.near("noise_curvature_stderr", stderr, 1e-5)
		}
		_, v, _ := run[k].noise()
		if tr, _ := denseTrace(run, k); tr > 0 {
			l.near("noise_alignment", m/(tr*v/float64(len(run[k].theta))), 1e-6)
		} else {
			l.absent("noise_alignment")
		}
	},
	"lambda_max": func(l *logged, run []*state, k int) {
		e := eigenvalues(l.t, run[k].h)
		top := e[len(e)-1]
		tol := run[k].configuration.Tol
		l.near("lambda_max", top, tol)
		if r := l.take("lambda_max_residual"); r > tol*math.Max(top, -e[0]) {
			l.t.Errorf("%s: residual %g of %g", l.what, r, top)
		}
	},
	"trace": func(l *logged, run []*state, k int) {
		tr, stderr := denseTrace(run, k)
		l.near("trace", tr, 1e-7)
		if k == 0 {
			l.absent("trace_stderr")
		} else {
			l.near("trace_stderr", stderr, 1e-6)
		}
	},
	"tic_trace": func(l *logged, run []*state, k int) {
		_, _, f := run[k].noise()
		if tr, _ := denseTrace(run, k); tr > 0 {
			l.near("tic_trace", f/tr, 1e-7)
		} else {
			l.absent("tic_trace")
		}
	},
	"batch_sharpness": func(l *logged, run []*state, k int) {
		g := mat.NewVecDense(len(run[k].mean), run[k].mean)
		l.near("batch_sharpness", mat.Inner(g, run[k].h, g)/mat.Dot(g, g), 1e-7)
	},
}

// paramVariances returns the unbiased variance of each parameter's gradient.
func paramVariances(s *state) []float64 {
	list := make([]float64, len(s.theta))
	for j := range list {
		x := make([]float64, len(s.grads))
		for i, g := range s.grads {
			x[i] = g[j]
		}
		list[j], _ = sampleVariance(x)
	}
	return list
}

// denseTrace is Hutchinson's estimate from the dense Hessians of the window.
func denseTrace(run []*state, k int) (tr, stderr float64) {
	c := run[k].configuration
	var values []float64
	for i := max(0, k+1-c.Window); i <= k; i++ {
		z := make([]float64, len(run[i].theta))
		rng.Signs(z, rng.New(rng.Probes, c.Seed, uint64(i)), 0)
		v := mat.NewVecDense(len(z), z)
		values = append(values, mat.Inner(v, run[i].h, v))
	}
	tr, stderr, _ = mean(values)
	return tr, stderr
}

// sampleVariance is the variance with n−1, and the mean, in two passes.
func sampleVariance(x []float64) (v, mean float64) {
	mean, v = stat.MeanVariance(x, nil)
	return v, mean
}

func dot(a, b []float64) (s float64) {
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func norm(a []float64) float64 { return math.Sqrt(dot(a, a)) }

func minus(a, b []float64) []float64 {
	d := slices.Clone(a)
	for i := range d {
		d[i] -= b[i]
	}
	return d
}

// optimizers are the updates of the runs.
var optimizers = map[string]struct{ momentum, decay float64 }{"sgd": {0, 0}, "momentum": {0.9, 0.01}}

// update makes a step of SGD with momentum and weight decay by definition.
func update(theta, grad, velocity []float64, lr, momentum, decay float64) {
	for i := range theta {
		velocity[i] = momentum*velocity[i] + grad[i] + decay*theta[i]
		theta[i] -= lr * velocity[i]
	}
}

// referenceRun takes three steps with batches of different sizes.
func referenceRun(t *testing.T, build net, c Config, lr, decay float64) []*state {
	o := objective[float64](t, build, pool)
	var run []*state
	velocity := make([]float64, len(o.s.Params()))
	for k := range 3 {
		s := &state{o: o, indices: samples(7 + k), lr: lr, momentum: c.Momentum, configuration: c}
		s.theta = slices.Clone(o.s.Params())
		s.grads = sampleGradients(o, s.indices)
		for i := range s.indices {
			loss, _ := o.Forward(s.indices[i : i+1])
			s.losses = append(s.losses, loss)
		}
		s.h = hessian(o, s.indices)
		s.loss, _ = o.Gradient(s.indices, false)
		s.mean = slices.Clone(o.Grad())
		for _, p := range o.s.Program().Params {
			s.layers = append(s.layers, p.Offset+p.Size)
		}
		update(o.s.Params(), s.mean, velocity, lr, c.Momentum, decay)
		s.after = slices.Clone(o.s.Params())
		s.velocity = slices.Clone(velocity)
		run = append(run, s)
	}
	return run
}

func TestEveryQuantityIsWhatItsFormulaSays(t *testing.T) {
	const lr = 0.05
	for name, build := range nets {
		for optimizer, o := range optimizers {
			c := Config{
				Window: 2, Seed: 7, Batch: 3, Converge: true, Tol: 1e-5, MaxProducts: 2000,
				Momentum: o.momentum, Plain: o.momentum == 0 && o.decay == 0,
			}
			run := referenceRun(t, build, c, lr, o.decay)
			for _, q := range quantities {
				t.Run(fmt.Sprintf("%s/%s/%s", name, optimizer, q.Name), func(t *testing.T) {
					check := reference(q.Name)
					if check == nil {
						t.Fatal("the quantity has no reference: add one to references")
					}
					c := c
					c.Select = Selection{text: q.Name, list: []*Quantity{q}}
					objective := objective[float64](t, build, pool)
					m := NewMonitor(objective, c)
					velocity := make([]float64, len(objective.s.Params()))
					for k, s := range run {
						out := record.Step{LR: lr}
						if err := m.Step(k, s.indices, &out); err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(objective.Grad(), s.mean) {
							t.Fatal("ḡ is not what the update needs")
						}
						update(objective.s.Params(), objective.Grad(), velocity, lr, c.Momentum, o.decay)
						if err := m.Updated(&out); err != nil {
							t.Fatal(err)
						}
						l := &logged{t, fmt.Sprintf("step %d", k), append(out.Noise, out.Flatness...), map[string]bool{"hv": true}}
						check(l, run, k)
						for _, x := range l.list {
							if !l.seen[x.Name] {
								t.Errorf("step %d: %s was logged and not checked", k, x.Name)
							}
							if x.Name != "hv" && !slices.Contains(q.LogKeys(), x.Name) {
								t.Errorf("step %d: %s is no key of %s", k, x.Name, q.Name)
							}
						}
					}
				})
			}
		}
	}
}

func TestRegistryIsComplete(t *testing.T) {
	keys := map[string]string{}
	for _, q := range quantities {
		if q.Name == "" || q.Formula == "" || q.Unit == "" || q.Cost == "" || q.measure.isZero() && q.updated.isZero() {
			t.Errorf("%+v lacks something", q)
		}
		if q.Group != Noise && q.Group != Flatness {
			t.Errorf("%s is in group %q", q.Name, q.Group)
		}
		for _, set := range q.Sets {
			if !slices.Contains(setNames, set) {
				t.Errorf("%s is in set %q", q.Name, set)
			}
		}
		for _, key := range q.LogKeys() {
			if other, taken := keys[key]; taken {
				t.Errorf("%s and %s both log %s", q.Name, other, key)
			}
			keys[key] = q.Name
		}
		if slices.Contains(setNames, q.Name) || q.Name == "all" || q.Name == "none" || q.Name == "everything" {
			t.Errorf("%s is also the name of a set", q.Name)
		}
	}
	for name := range allReferences() {
		if !slices.ContainsFunc(quantities, func(q *Quantity) bool { return q.Name == name }) {
			t.Errorf("a reference for %s, which is no quantity", name)
		}
	}
}
