package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"
	"pgregory.net/rapid"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/program"
)

// jacobian returns ∂z/∂θ of the samples' logits, (n·classes)×P, by finite
// differences of runs of the samples one by one.
func jacobian(o *Objective[float64], indices []int32) *mat.Dense {
	const eps = 1e-5
	theta := o.s.Params()
	j := mat.NewDense(len(indices)*classes, len(theta), nil)
	for i := range indices {
		for k, keep := range theta {
			theta[k] = keep + eps
			o.Forward(indices[i : i+1])
			plus := slices.Clone(o.s.Logits(1))
			theta[k] = keep - eps
			o.Forward(indices[i : i+1])
			for c, minus := range o.s.Logits(1) {
				j.Set(i*classes+c, k, (plus[c]-minus)/(2*eps))
			}
			theta[k] = keep
		}
	}
	return j
}

// gaussNewton returns the dense Gauss-Newton matrix (1/n) Σ JᵢᵀHᵢJᵢ.
func gaussNewton(o *Objective[float64], indices []int32) *mat.SymDense {
	n := len(indices)
	j := jacobian(o, indices)
	at, _ := o.s.Program().LogitLoss()
	h := mat.NewDense(n*classes, n*classes, nil)
	for i := range indices {
		o.Forward(indices[i : i+1])
		p := make([]float64, classes)
		sum := 0.0
		for c, z := range o.s.Logits(1) {
			p[c] = math.Exp(z)
			sum += p[c]
		}
		for a := range classes {
			for b := range classes {
				x := 0.0
				if a == b {
					x = 1
				}
				if at.Kind == program.CrossEntropy {
					x = p[a] / sum * (x - p[b]/sum)
				}
				h.Set(i*classes+a, i*classes+b, x/float64(n))
			}
		}
	}
	var hj, g mat.Dense
	hj.Mul(h, j)
	g.Mul(j.T(), &hj)
	return symmetric(&g)
}

func mustGaussNewton[T engine.Float](t testing.TB, o *Objective[T]) Operator[T] {
	t.Helper()
	g, err := GaussNewton(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGaussNewtonIsTheDenseMatrix(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		for _, n := range []int{1, 4, 9} {
			indices := samples(n)
			want := gaussNewton(o, indices)
			o.Gradient(indices, true)
			g := mustGaussNewton(t, o)
			var got *mat.Dense
			unchanged(t, o, func() { got = formed(g) })
			// Finite differences carry an error of about 1e-10.
			closeTo(t, "G", got, want, 1e-8)
			closeTo(t, "Gᵀ", got.T(), got, 1e-12)

			var trace float64
			var blocks []float64
			unchanged(t, o, func() {
				var err error
				if trace, blocks, err = GaussNewtonTrace(context.Background(), o, nil); err != nil {
					t.Fatal(err)
				}
			})
			near(t, "trace", trace, mat.Trace(want), 1e-8)
			near(t, "trace of products", trace, mat.Trace(got), 1e-12)
			for k, p := range o.s.Program().Params {
				sum := 0.0
				for i := p.Offset; i < p.Offset+p.Size; i++ {
					sum += got.At(i, i)
				}
				if math.Abs(blocks[k]-sum) > 1e-12*trace {
					t.Errorf("trace of %s = %g, want %g", p.Name, blocks[k], sum)
				}
			}

			values := eigenvalues(t, want)
			top := mustPairs(t, g, EigenConfig{K: 2, Tol: 1e-9})
			near(t, "lambda_max", top[0].Value, values[len(values)-1], 1e-8)
			least := mustPairs(t, g, EigenConfig{Smallest: true})[0].Value
			if scale := values[len(values)-1]; least < -1e-12*scale {
				t.Errorf("G has the eigenvalue %g beside %g", least, scale)
			}
		}
	})
}

// Products do not depend on what ran before, and ḡ may be the vector.
func TestGaussNewtonBetweenOtherRuns(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(9)
		o.Gradient(indices, true)
		g := mustGaussNewton(t, o)
		p := len(o.Grad())
		want, got, grad := make([]float64, p), make([]float64, p), slices.Clone(o.Grad())
		g.Apply(want, grad)
		norms := slices.Clone(o.SampleNorms(0))
		for what, between := range map[string]func(){
			"nothing":              func() {},
			"a product":            func() { o.Product(got, grad) },
			"another set":          func() { o.Forward(samples(3)) },
			"sample dots":          func() { o.SampleDots(make([]float64, 9), grad) },
			"a trace":              func() { GaussNewtonTrace(context.Background(), o, nil) },
			"an excursion":         func() { SAM(context.Background(), o, SAMConfig{}) },
			"sharpness of batches": func() { Sharpness(context.Background(), o, SharpnessConfig{Batch: 2, MaxBatches: 2}) },
		} {
			between()
			g.Apply(got, o.Grad())
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("after %s: G·ḡ[%d] = %g, want %g", what, i, got[i], want[i])
				}
			}
			if !slices.Equal(o.Grad(), grad) || !slices.Equal(o.SampleNorms(0), norms) {
				t.Errorf("after %s: gradient or norms changed", what)
			}
		}
	})
}

// Where the logits are linear in the parameters, G is the Hessian.
func TestGaussNewtonOfALinearNetIsTheHessian(t *testing.T) {
	for _, kind := range []op.LossKind{op.CrossEntropy, op.MSE} {
		o := objective[float64](t, func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
			do := must(t)
			p := gorgonia.Nodes{param(g, "fc1.weight", 3, 9), param(g, "fc1.bias", 3)}
			return do(kind.Of(do(op.Dense(x, p[0], p[1])), y)), p
		}, 5)
		o.Gradient(samples(12), false)
		closeTo(t, "G", formed(mustGaussNewton(t, o)), formed(o), 1e-13)
	}
}

// The density of any operator's eigenvalues: with order P and a probe that
// reaches all of them, the nodes are the eigenvalues.
func TestSpectrumOfTheGaussNewtonMatrix(t *testing.T) {
	o := objective[float64](t, nets["mlp"], 7)
	indices := samples(10)
	dense := gaussNewton(o, indices)
	values := eigenvalues(t, dense)
	o.Gradient(indices, false)
	r, err := SpectrumOf(context.Background(), mustGaussNewton(t, o), SpectrumConfig{Order: 40, Probes: 20, Seed: 2})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "lambda_max", r.LambdaMax, values[len(values)-1], 1e-8)
	if r.LambdaMin < -1e-9*r.LambdaMax || r.Params != len(values) || r.HV > 20*40 {
		t.Errorf("lambda_min %g, %d parameters, %d products", r.LambdaMin, r.Params, r.HV)
	}
	if e := value(t, "error", r.TraceStderr); math.Abs(r.Trace-mat.Trace(dense)) > 4*e {
		t.Errorf("trace %g ± %g, is %g", r.Trace, e, mat.Trace(dense))
	}
}

func TestGaussNewtonDoesNotSeeOrderAndNumberOfSamples(t *testing.T) {
	o := objective[float64](t, larger["conv"], 7)
	indices := samples(6)
	o.Gradient(indices, false)
	v := slices.Clone(o.Grad())
	want, got := make([]float64, len(v)), make([]float64, len(v))
	mustGaussNewton(t, o).Apply(want, v)
	trace, _, _ := GaussNewtonTrace(context.Background(), o, nil)
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.Permutation(slices.Repeat(indices, rapid.IntRange(1, 3).Draw(r, "times"))).Draw(r, "order")
		o.Gradient(list, false)
		g := mustGaussNewton(t, o)
		g.Apply(got, v)
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-13*norm(want) {
				r.Fatalf("(Gv)[%d] = %g, want %g", i, got[i], want[i])
			}
		}
		tr, _, err := GaussNewtonTrace(context.Background(), o, nil)
		if err != nil || math.Abs(tr-trace) > 1e-12*trace {
			r.Fatalf("trace %g, want %g (%v)", tr, trace, err)
		}
	})
}

// With all ReLUs off, the logits are the last bias, whose block is all there is:
// for mse, the identity.
func TestGaussNewtonOfDeadReLUs(t *testing.T) {
	o := objective[float64](t, larger["relu-mse"], pool)
	for _, p := range o.s.Program().Params {
		switch p.Name {
		case "fc1.bias", "fc2.bias":
			for i := range p.Size {
				o.s.Params()[p.Offset+i] = -1e3
			}
		}
	}
	o.Gradient(samples(5), false)
	trace, blocks, err := GaussNewtonTrace(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "trace", trace, classes, 1e-14)
	near(t, "trace of the last block", blocks[len(blocks)-1], classes, 1e-14)
	near(t, "lambda_max", mustPairs(t, mustGaussNewton(t, o), EigenConfig{})[0].Value, 1, 1e-12)
}

func TestGaussNewtonInFloat32(t *testing.T) {
	for name, build := range larger {
		t.Run(name, func(t *testing.T) {
			single, double := objective[float32](t, build, 4), objective[float64](t, build, pool)
			single.Gradient(samples(9), false)
			double.Gradient(samples(9), false)
			a, _, err := GaussNewtonTrace(context.Background(), single, nil)
			b, _, err2 := GaussNewtonTrace(context.Background(), double, nil)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			near(t, "trace", a, b, 1e-5)
			pairs, err := Eigenpairs(context.Background(), mustGaussNewton(t, single), EigenConfig{})
			if err != nil {
				t.Fatal(err)
			}
			near(t, "lambda_max", pairs[0].Value, mustPairs(t, mustGaussNewton(t, double), EigenConfig{})[0].Value, 1e-5)
		})
	}
}

func TestCurvatureOperatorsDoNotDependOnThreads(t *testing.T) {
	for _, capacity := range []int{5, pool} {
		run := func(threads int) []float32 {
			o := objectiveOf[float32](t, larger["conv"], engine.Config{Batch: capacity, Threads: threads})
			o.Gradient(samples(17), false)
			fisher, err := EmpiricalFisher(o)
			if err != nil {
				t.Fatal(err)
			}
			sampled, err := SampledFisher(o, FisherConfig{Draws: 2})
			if err != nil {
				t.Fatal(err)
			}
			var all []float32
			for _, a := range []Operator[float32]{o, mustGaussNewton(t, o), fisher, sampled} {
				out := make([]float32, size(a))
				a.Apply(out, o.Grad())
				all = append(all, out...)
			}
			return all
		}
		if !slices.Equal(run(1), run(2)) {
			t.Errorf("capacity %d: one thread and two give other products", capacity)
		}
	}
}

func TestCurvatureOperatorsAllocateNothing(t *testing.T) {
	for _, capacity := range []int{4, pool} {
		o := objective[float64](t, larger["conv"], capacity)
		o.Gradient(samples(9), false)
		fisher, _ := EmpiricalFisher(o)
		sampled, _ := SampledFisher(o, FisherConfig{})
		out, v := make([]float64, len(o.Grad())), slices.Clone(o.Grad())
		for name, a := range map[string]Operator[float64]{"gauss-newton": mustGaussNewton(t, o), "empirical": fisher, "sampled": sampled} {
			if n := testing.AllocsPerRun(5, func() { a.Apply(out, v) }); n != 0 {
				t.Errorf("%s, capacity %d: %g allocations a product", name, capacity, n)
			}
		}
	}
}

// penalised has a term beside the loss of the logits.
func penalised(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	loss, p := mlp(op.CrossEntropy)(t, g, x, y)
	dims, err := op.NewDims(p[0].Shape()...)
	if err != nil {
		t.Fatal(err)
	}
	squares := do(op.Apply(op.Sum{Shape: dims, Axes: op.AllAxes(dims.N)}, do(op.Mul.Of(p[0], p[0]))))
	return do(op.Add.Of(loss, squares)), p
}

func TestOtherLossesHaveNoGaussNewton(t *testing.T) {
	o := objective[float64](t, penalised, pool)
	o.Gradient(samples(4), false)
	_, err := GaussNewton(o)
	_, _, err2 := GaussNewtonTrace(context.Background(), o, nil)
	_, err3 := SampledFisher(o, FisherConfig{})
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrNoLogits) {
			t.Errorf("error %v", err)
		}
	}
}

func TestGaussNewtonTraceStopsWhereItIsCancelled(t *testing.T) {
	for _, build := range []net{larger["conv"], nets["shared"]} {
		o := objective[float64](t, build, 4)
		o.Gradient(samples(10), false)
		last := -1
		_, _, err := GaussNewtonTrace(cancelAfter(2), o, func(done, total int) {
			if done <= last || total != 10 {
				t.Errorf("progress %d of %d after %d", done, total, last)
			}
			last = done
		})
		if !errors.Is(err, context.Canceled) || last < 1 {
			t.Errorf("error %v at sample %d", err, last)
		}
	}
}
