package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// logbook is what the steps of a run logged, and what the run was: enough to
// say which keys the definitions let be absent.
type logbook struct {
	lines    []line
	plain    bool // updates are −lr·ḡ
	factored bool // sample gradients have factors
	params   int
	batch    int // of sharpness over batches
	ordinary bool
}

type line struct {
	n       int // samples
	loss    float64
	numbers record.Numbers
}

// get returns the number of the k-th step; 0 where it is absent.
func (b *logbook) get(k int, key string) float64 {
	x, _ := b.lines[k].numbers.Get(key).Get()
	return x
}

// presence says whether a key is in the log.
type presence int

const (
	never presence = iota
	always
	either // depends on what is not logged
)

func when(is bool) presence {
	if is {
		return always
	}
	return never
}

// rule says from step k of a run, and from what was logged before, whether a
// key is there.
type presenceRule func(b *logbook, k int) presence

func everywhere(*logbook, int) presence { return always }

func fromSamples(n int) presenceRule {
	return func(b *logbook, k int) presence { return when(b.lines[k].n >= n) }
}

func withGradient(b *logbook, k int) presence { return when(b.get(k, "grad_norm_sq") > 0) }

func withNoise(b *logbook, k int) presence {
	return when(b.lines[k].n > 1 && b.get(k, "grad_norm_sq") > 0)
}

func afterFirst(_ *logbook, k int) presence { return when(k > 0) }

// presences holds for every key of the registry the rule that its quantity's
// formula states.
var presences = map[string]presenceRule{
	"grad_norm_sq":          everywhere,
	"grad_var_trace":        fromSamples(2),
	"grad_norm_sq_unbiased": fromSamples(2),
	"noise_scale":           func(b *logbook, k int) presence { return when(b.get(k, "grad_norm_sq_unbiased") > 0) },
	"noise_scale_ema": func(b *logbook, k int) presence {
		sum := 0.0
		for i := range k + 1 {
			if b.lines[i].n > 1 {
				sum = emaDecay*sum + (1-emaDecay)*b.get(i, "grad_norm_sq_unbiased")
			}
		}
		return when(sum > 0)
	},
	"grad_var_trace_stderr":        fromSamples(3),
	"grad_norm_sq_unbiased_stderr": fromSamples(3),
	"noise_scale_low":              fromSamples(3),
	"noise_scale_high": func(b *logbook, k int) presence {
		if b.get(k, "grad_norm_sq_unbiased") <= b.get(k, "grad_norm_sq_unbiased_stderr") {
			return never // Student's t is above 1
		}
		return either
	},
	"fisher_trace": everywhere,
	"grad_cosine": func(b *logbook, k int) presence {
		return when(k > 0 && b.get(k, "grad_norm_sq")*b.get(k-1, "grad_norm_sq") > 0)
	},
	"sample_norm_min":    everywhere,
	"sample_norm_q1":     everywhere,
	"sample_norm_median": everywhere,
	"sample_norm_q3":     everywhere,
	"sample_norm_max":    everywhere,
	"norm_test":          withNoise,
	"inner_product_test": withNoise,
	"orthogonality_test": withNoise,
	"gsnr_mean":          everywhere,
	"param_var_max":      fromSamples(2),
	"param_var_zero":     fromSamples(2),
	"temperature":        everywhere,
	"cabs":               func(b *logbook, k int) presence { return when(b.lines[k].n > 1 && b.lines[k].loss > 0) },
	"distance":           everywhere,
	"update_size":        everywhere,
	"alpha": func(b *logbook, k int) presence {
		switch {
		case k == 0 || b.lines[k].n < 2 || b.lines[k-1].n < 2 || b.get(k-1, "update_size") == 0 || !b.plain && !b.factored:
			return never
		case b.ordinary:
			return always
		}
		return either // where both losses and slopes are equal the fit has no answer
	},
	"lambda_max":          everywhere,
	"lambda_max_residual": everywhere,
	"trace":               everywhere,
	"trace_stderr":        afterFirst,
	"batch_sharpness":     withGradient,
	"tic_trace":           func(b *logbook, k int) presence { return when(b.get(k, "trace") > 0) },
	"noise_curvature":     fromSamples(2),
	"noise_curvature_stderr": func(b *logbook, k int) presence {
		if b.lines[k].n < 2 {
			return never
		}
		return when(slices.ContainsFunc(b.lines[:k], func(l line) bool { return l.n > 1 }))
	},
	"noise_alignment":  func(b *logbook, k int) presence { return when(b.get(k, "trace") > 0 && b.get(k, "grad_var_trace") > 0) },
	"frobenius":        everywhere,
	"frobenius_stderr": afterFirst,
	"trace_hutchpp":    everywhere,
	// Of a window of 4 products two are left for the rest.
	"trace_hutchpp_stderr":          everywhere,
	"lambda_min":                    everywhere,
	"lambda_min_residual":           everywhere,
	"ggn_trace":                     everywhere,
	"ggn_lambda_max":                everywhere,
	"ggn_lambda_max_residual":       everywhere,
	"fisher_lambda_max":             everywhere,
	"fisher_lambda_max_residual":    func(*logbook, int) presence { return never }, // the sets are of one chunk
	"fisher_mc_trace":               everywhere,
	"fisher_mc_trace_stderr":        fromSamples(2),
	"fisher_mc_lambda_max":          everywhere,
	"fisher_mc_lambda_max_residual": everywhere,
	"batch_sharpness_mean":          overBatches,
	"batch_sharpness_mean_stderr":   overSeveralBatches,
	"batch_sharpness_pooled":        overBatches,
	"batch_sharpness_pooled_stderr": overSeveralBatches,
	"batch_sharpness_batches":       overBatches,
	"step_sharpness":                overBatches,
	"step_sharpness_stderr":         overSeveralBatches,
	"sam_sharpness":                 withGradient,
	"sam_sharpness_adaptive": func(b *logbook, k int) presence {
		if p := withGradient(b, k); p == never || b.ordinary {
			return p
		}
		return either // Tḡ can be zero
	},
	"keskar_sharpness":             everywhere,
	"keskar_sharpness_subspace":    func(b *logbook, k int) presence { return when(b.params > 100) },
	"perturbed_loss_0.1":           everywhere,
	"perturbed_loss_0.1_deviation": everywhere,
	"perturbed_loss_0.3":           everywhere,
	"perturbed_loss_0.3_deviation": everywhere,
	"perturbed_loss_1":             everywhere,
	"perturbed_loss_1_deviation":   everywhere,
}

// overBatches: some batch that is drawn has a gradient.
func overBatches(b *logbook, k int) presence {
	if b.batch >= b.lines[k].n {
		return withGradient(b, k)
	}
	if b.get(k, "sample_norm_max") == 0 {
		return never
	}
	return when(b.ordinary) | either
}

func overSeveralBatches(b *logbook, k int) presence {
	if b.batch >= b.lines[k].n {
		return withGradient(b, k)
	}
	return when(b.get(k, "batch_sharpness_batches") > 1)
}

// situation is a degenerate point of a loss, with the batches of the steps
// from there.
type situation struct {
	name    string
	net     string
	weights func(w *weights)
	batches [][]int32
	lr      float64
}

// weights are the parameters of a situation, by name and at first random.
type weights struct {
	set   func(name string, value func(i int) float64)
	scale func(c float64)
}

func constant(x float64) func(int) float64 { return func(int) float64 { return x } }

// oneHot is x at index i and 0 elsewhere.
func oneHot(i int, x float64) func(int) float64 {
	return func(k int) float64 {
		if k == i {
			return x
		}
		return 0
	}
}

// rectified is 9-9-3 with ReLU.
func rectified(kind op.LossKind) net {
	return func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{param(g, "fc1.weight", 9, 9), param(g, "fc1.bias", 9), param(g, "fc2.weight", 3, 9), param(g, "fc2.bias", 3)}
		h := do(op.ReLU.Of(do(op.Dense(x, p[0], p[1]))))
		return do(kind.Of(do(op.Dense(h, p[2], p[3])), y)), p
	}
}

// rectifiedCNN is a 2×2 convolution to two channels, ReLU, a max pool and a
// dense layer.
func rectifiedCNN(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	p := gorgonia.Nodes{param(g, "fc0.weight", 2, 1, 2, 2), param(g, "fc1.bias", 2), param(g, "fc2.weight", 3, 2), param(g, "fc2.bias", 3)}
	h := do(op.ReshapeTo(x, x.Shape()[0], 1, side, side))
	h = do(op.ReLU.Of(do(op.Conv2D(h, p[0], p[1], 1, 0))))
	h = do(op.Flatten(do(op.MaxPool2D(h, 2, 2))))
	return do(op.CrossEntropy.Of(do(op.Dense(h, p[2], p[3])), y)), p
}

var degenerateNets = map[string]net{
	"ce": rectified(op.CrossEntropy), "mse": rectified(op.MSE), "cnn": rectifiedCNN, "shared": shared,
}

// Samples i of these tests have class i mod 3.
func ofClass0(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32(3 * i)
	}
	return list
}

func four(batch []int32) [][]int32 { return [][]int32{batch, batch, batch, batch} }

const ordinary = "ordinary"

func situations() []situation {
	same := []int32{4, 4, 4, 4, 4, 4}
	several := [][]int32{samples(7), samples(5), samples(7), samples(9)}
	var list []situation
	for name := range degenerateNets {
		add := func(what string, batches [][]int32, w func(w *weights)) {
			list = append(list, situation{what + "/" + name, name, w, batches, 0.05})
		}
		as := func(*weights) {}
		add(ordinary, several, as)
		add("one sample", four([]int32{4}), as)
		add("one sample now and then", [][]int32{samples(5), {4}, samples(6), {7}, {8}, samples(4)}, as)
		add("two samples", four(samples(2)), as)
		add("identical samples", four(same), as)
		add("all weights zero", several, func(w *weights) { w.scale(0) })
		add("huge weights", several, func(w *weights) { w.scale(100) })
		list[len(list)-1].lr = 1e-10 // at which mse does not diverge
		add("small weights", several, func(w *weights) { w.scale(1e-6) })
		if name == "shared" {
			continue
		}
		add("dead layer", several, func(w *weights) { w.set("fc1.bias", constant(-100)) })
		add("dead layer, no output weights", several, func(w *weights) {
			w.set("fc1.bias", constant(-100))
			w.set("fc2.weight", constant(0))
		})
		if name == "mse" {
			add("zero gradient of two samples", four([]int32{0, 1}), func(w *weights) {
				w.scale(0)
				w.set("fc2.bias", func(i int) float64 { return []float64{0.5, 0.5, 0}[i] })
			})
			add("perfect fit", four(ofClass0(6)), func(w *weights) {
				w.set("fc2.weight", constant(0))
				w.set("fc2.bias", oneHot(0, 1))
			})
			add("perfect fit from the second step on", [][]int32{samples(6), ofClass0(6), ofClass0(5), ofClass0(1), ofClass0(4)}, func(w *weights) {
				w.set("fc2.weight", constant(0))
				w.set("fc2.bias", oneHot(0, 1))
			})
			continue
		}
		// The other probabilities are from 1e-8 over the smallest numbers of
		// float32 and float64, or of their squares and cubes, to zero.
		for _, margin := range []float64{18, 60, 90, 95, 100, 104, 150, 350, 370, 720, 740, 1e4} {
			add(fmt.Sprintf("perfect fit by %g", margin), four(ofClass0(6))[:3], func(w *weights) { w.set("fc2.bias", oneHot(0, margin)) })
		}
	}
	slices.SortFunc(list, func(a, b situation) int { return strings.Compare(a.name, b.name) })
	return list
}

// everything selects the whole registry.
func everything() Selection { return Selection{text: "everything", list: quantities} }

// at returns an objective at the situation.
func startOf[T engine.Float](t *testing.T, s situation) *Objective[T] {
	o := objectiveOf[T](t, degenerateNets[s.net], engine.Config{Batch: pool, Threads: 1})
	stream := rng.New(rng.Weights, 11, 0)
	for i := range o.s.Params() {
		o.s.Params()[i] = T(0.5 * stream.NormFloat64())
	}
	s.weights(&weights{
		set: func(name string, value func(i int) float64) {
			for _, p := range o.s.Program().Params {
				if p.Name == name {
					for i := range p.Size {
						o.s.Params()[p.Offset+i] = T(value(i))
					}
				}
			}
		},
		scale: func(c float64) { o.s.Scale(c, o.s.Params()) },
	})
	return o
}

func testDegenerate[T engine.Float](t *testing.T, converge bool, u optim.Update) {
	folder, err := record.Create(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			u := u
			u.LR = s.lr
			o := startOf[T](t, s)
			c := Config{Select: everything(), Window: 4, Converge: converge, Batch: DefaultBatch, Momentum: u.Momentum}
			c.Plain = u.Momentum == 0 && u.WeightDecay == 0
			m := NewMonitor(o, c)
			b := &logbook{
				plain: c.Plain, factored: o.s.Program().Factored(), params: len(o.s.Params()), batch: c.Batch,
				ordinary: strings.HasPrefix(s.name, ordinary),
			}
			velocity := make([]T, len(o.s.Params()))
			for k, batch := range s.batches {
				out := record.Step{Step: k, LR: u.LR}
				if err := m.Step(k, batch, &out); err != nil {
					t.Fatalf("step %d: %v", k, err)
				}
				o.s.Update(velocity, u)
				if err := m.Updated(&out); err != nil {
					t.Fatalf("step %d: %v", k, err)
				}
				if err := folder.Step(&out, time.Now()); err != nil {
					t.Fatalf("step %d: %v", k, err)
				}
				b.lines = append(b.lines, line{len(batch), out.Loss, slices.Concat(out.Noise, out.Flatness)})
				checkPresence(t, b, k)
				if strings.HasPrefix(s.name, "identical samples") {
					// What is left of tr Σ̂ is the rounding of its terms.
					if v, f := b.get(k, "grad_var_trace"), b.get(k, "fisher_trace"); v > epsilon[T]()*f {
						t.Errorf("step %d: tr Σ̂ = %g of identical samples, beside %g", k, v, f)
					}
				}
			}
		})
	}
}

// checkPresence compares what step k logged with the rules.
func checkPresence(t *testing.T, b *logbook, k int) {
	t.Helper()
	for _, q := range quantities {
		for _, key := range q.LogKeys() {
			rule := presences[key]
			if rule == nil {
				t.Fatalf("%s has no rule of when it is absent: add one to presences", key)
			}
			x, got := b.lines[k].numbers.Get(key).Get()
			if want := rule(b, k); want != either && got != (want == always) {
				t.Errorf("step %d: %s is there: %v (%g), want the opposite", k, key, got, x)
			}
		}
	}
}

// Whatever the point and the batch, all quantities together give no error, what
// their formulas say is there and nothing else, all finite.
func TestDegeneratePointsAreMeasured(t *testing.T) {
	momentum := optim.Update{Momentum: 0.9, WeightDecay: 0.01}
	t.Run("float64/sgd/streamed", func(t *testing.T) { testDegenerate[float64](t, false, optim.Update{}) })
	t.Run("float64/momentum/converged", func(t *testing.T) { testDegenerate[float64](t, true, momentum) })
	t.Run("float32/momentum/streamed", func(t *testing.T) { testDegenerate[float32](t, false, momentum) })
	t.Run("float32/sgd/converged", func(t *testing.T) { testDegenerate[float32](t, true, optim.Update{}) })
}

func testDegenerateProbe[T engine.Float](t *testing.T) {
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			o := startOf[T](t, s)
			r, err := Probe(context.Background(), o, s.batches[0], ProbeConfig{Select: everything(), Probes: 6, Top: 2})
			if err != nil && !errors.Is(err, ErrNotConverged) {
				t.Fatal(err)
			}
			for _, x := range slices.Concat(r.Noise, r.Flatness.Numbers) {
				if !finite(x.X) {
					t.Errorf("%s is %g", x.Name, x.X)
				}
			}
		})
	}
}

func TestDegeneratePointsAreProbed(t *testing.T) {
	t.Run("float64", func(t *testing.T) { testDegenerateProbe[float64](t) })
	t.Run("float32", func(t *testing.T) { testDegenerateProbe[float32](t) })
}

// A gradient that is zero, or in a space that the Hessian hardly leaves, doesn't
// hide the largest eigenvalue.
func TestLambdaMaxIsFoundFromAnyGradient(t *testing.T) {
	only := Selection{text: lambdaMax.Name, list: []*Quantity{&lambdaMax}}
	for _, s := range situations() {
		if strings.HasPrefix(s.name, "perfect fit by") {
			continue // the Hessian is rounding
		}
		t.Run(s.name, func(t *testing.T) {
			o := startOf[float64](t, s)
			m := NewMonitor(o, Config{Select: only, Converge: true, Tol: 1e-3})
			for k := range 3 {
				out := record.Step{LR: s.lr}
				if err := m.Step(k, s.batches[0], &out); err != nil {
					t.Fatal(err)
				}
				pairs, err := Eigenpairs(context.Background(), Operator[float64](o), EigenConfig{})
				if err != nil {
					t.Fatal(err)
				}
				near(t, fmt.Sprintf("step %d: lambda_max", k), value(t, "lambda_max", out.Flatness.Get("lambda_max")), pairs[0].Value, 2e-3)
				o.Restore()
				o.s.Update(nil, optim.Update{LR: s.lr})
			}
		})
	}
}

// coupled takes the batch's mean from the logits, so that no sample has a
// gradient of its own.
func coupled(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	p := gorgonia.Nodes{param(g, "fc1.weight", 3, 9), param(g, "fc1.bias", 3)}
	z := do(op.Dense(x, p[0], p[1]))
	mean := do(gorgonia.Reshape(do(gorgonia.Mean(z, 0)), tensor.Shape{1, classes}))
	return do(op.CrossEntropy.Of(do(gorgonia.BroadcastSub(z, mean, nil, []byte{0})), y)), p
}

// Without gradients of single samples, what needs none is there and nothing
// else.
func TestCoupledSamplesHaveNoNoise(t *testing.T) {
	o := objective[float64](t, coupled, pool)
	if !o.s.Program().BatchCoupled {
		t.Fatal("the samples are not coupled")
	}
	for _, momentum := range []float64{0, 0.9} {
		m := NewMonitor(o, Config{Select: everything(), Window: 4, Momentum: momentum, Plain: momentum == 0})
		for k := range 3 {
			out := record.Step{LR: 0.01}
			if err := m.Step(k, samples(6), &out); err != nil {
				t.Fatal(err)
			}
			o.s.Axpy(-0.01, o.Grad(), o.s.Params())
			if err := m.Updated(&out); err != nil {
				t.Fatal(err)
			}
			logged := slices.Concat(out.Noise, out.Flatness)
			for _, q := range quantities {
				want := q.Needs&(SampleNorms|SampleGrads) == 0
				switch q {
				case &ggnTrace, &fisherMCTrace: // sums of norms of single samples
					want = false
				case &gradCosine:
					want = k > 0
				case &keskarSharpnessSubspace: // of more parameters
					want = false
				}
				if there := !logged.Get(q.LogKeys()[0]).IsZero(); there != want {
					t.Errorf("step %d: %s is there: %v", k, q.Name, there)
				}
			}
		}
	}
	if _, err := Probe(context.Background(), o, samples(6), ProbeConfig{Select: everything(), Probes: 6}); err != nil {
		t.Error(err)
	}
}
