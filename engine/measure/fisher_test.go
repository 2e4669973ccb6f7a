package measure

import (
	"context"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/program"
	"sgflow/engine/rng"
)

// outer adds w·ggᵀ to m.
func outer(m *mat.SymDense, w float64, g []float64) {
	m.SymRankOne(m, w, mat.NewVecDense(len(g), g))
}

func mustFisher[T engine.Float](t testing.TB, o *Objective[T], c FisherConfig) *Fisher[T] {
	t.Helper()
	f, err := SampledFisher(o, c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The exact Fisher matrix, by gradients of single samples with every label of
// the model in place of the data's: each class with its probability; for mse the
// 2C targets z ± √C·e_c, whose mean and covariance are the Gaussian's. It equals
// the Gauss-Newton matrix.
func TestTheExactFisherIsTheGaussNewtonMatrix(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(7)
		at, _ := o.s.Program().LogitLoss()
		p := len(o.s.Params())
		want := mat.NewSymDense(p, nil)
		for i := range indices {
			o.Forward(indices[i : i+1])
			z := slices.Clone(o.s.Logits(1))
			total := 0.0
			for _, v := range z {
				total += math.Exp(v)
			}
			add := func(weight float64, target func(c int) float64) {
				relabelled := NewObjective(o.s, func(indices []int32) {
					o.fill(indices)
					for c := range classes {
						o.s.Input(1)[c] = target(c)
					}
				})
				relabelled.Gradient(indices[i:i+1], false)
				outer(want, weight/float64(len(indices)), relabelled.Grad())
			}
			for k := range classes {
				if at.Kind == program.CrossEntropy {
					add(math.Exp(z[k])/total, func(c int) float64 { return indicator(c == k) })
					continue
				}
				for _, sign := range []float64{-1, 1} {
					add(0.5/classes, func(c int) float64 { return z[c] + sign*math.Sqrt(classes)*indicator(c == k) })
				}
			}
		}
		o.Gradient(indices, false)
		closeTo(t, "G", formed(mustGaussNewton(t, o)), want, 1e-12)
		trace, _, err := GaussNewtonTrace(context.Background(), o, nil)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "trace", trace, mat.Trace(want), 1e-12)
	})
}

func indicator(x bool) float64 {
	if x {
		return 1
	}
	return 0
}

func TestEmpiricalFisherIsTheSecondMomentOfGradients(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		for _, n := range []int{1, 4, 10} {
			indices := samples(n)
			want := mat.NewSymDense(len(o.s.Params()), nil)
			for _, g := range sampleGradients(o, indices) {
				outer(want, 1/float64(n), g)
			}
			o.Gradient(indices, false)
			f, err := EmpiricalFisher(o)
			if err != nil {
				t.Fatal(err)
			}
			unchanged(t, o, func() { closeTo(t, "F", formed(f), want, 1e-12) })
			a, b := make([]float64, size(f)), make([]float64, size(f))
			f.Apply(a, o.Grad())
			f.Apply(b, slices.Clone(o.Grad()))
			if !slices.Equal(a, b) {
				t.Error("F·ḡ depends on where ḡ is")
			}
			dense := eigenvalues(t, want)
			top := dense[len(dense)-1]
			near(t, "lambda_max", mustPairs(t, f, EigenConfig{Tol: 1e-9})[0].Value, top, 1e-10)
			values, ok := EmpiricalFisherEigenvalues(o)
			if ok != (n <= o.s.Capacity()) {
				t.Fatalf("%d samples with room for %d: eigenvalues are given: %v", n, o.s.Capacity(), ok)
			}
			for i, v := range values {
				if math.Abs(v-dense[len(dense)-1-i]) > 1e-12*top {
					t.Errorf("eigenvalue %d = %g, dense %g", i, v, dense[len(dense)-1-i])
				}
			}
			if ok {
				near(t, "sum of eigenvalues", sumOf(values), mat.Trace(want), 1e-12)
			}
		}
	})
}

// F̂ is the second moment of Jᵢᵀu for the labels that were drawn, and its trace
// the mean of their norms.
func TestSampledFisherIsThatOfItsLabels(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		for _, draws := range []int{1, 3} {
			indices := samples(6)
			j := jacobian(o, indices)
			o.Gradient(indices, true)
			f := mustFisher(t, o, FisherConfig{Draws: draws, Seed: 5})
			want := mat.NewSymDense(len(o.s.Params()), nil)
			norms := make([]float64, len(indices))
			for i := range indices {
				for k := range draws {
					var g mat.VecDense
					g.MulVec(j.Slice(i*classes, (i+1)*classes, 0, len(o.s.Params())).T(), mat.NewVecDense(classes, f.score(k, i)))
					outer(want, 1/float64(len(indices)*draws), g.RawVector().Data)
					norms[i] += square(mat.Norm(&g, 2)) / float64(draws)
				}
			}
			var trace Average
			unchanged(t, o, func() {
				closeTo(t, "F̂", formed(f), want, 1e-8) // finite differences
				var err error
				if trace, err = f.Trace(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
			near(t, "trace", trace.Value, mat.Trace(want), 1e-8)
			near(t, "error", value(t, "error", trace.Stderr), value(t, "error", average(norms).Stderr), 1e-7)
		}
	})
}

// Over many draws F̂ becomes the exact Fisher matrix.
func TestSampledFisherIsUnbiased(t *testing.T) {
	for _, name := range []string{"mlp", "mlp-mse", "cnn", "shared"} {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, nets[name], 4)
			o.Gradient(samples(5), false)
			exact, _, err := GaussNewtonTrace(context.Background(), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			const draws = 4000
			f := mustFisher(t, o, FisherConfig{Draws: draws, Seed: 1})
			// The spread of the draws' own traces is the error for this set.
			var traces []float64
			for k := range draws {
				one := &Fisher[float64]{logitOperator: f.logitOperator, draws: 1, scores: f.score(k, 0)[:5*classes]}
				tr, err := one.Trace(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				traces = append(traces, tr.Value)
			}
			a := average(traces)
			if e := value(t, "error", a.Stderr); math.Abs(a.Value-exact) > 4*e {
				t.Errorf("trace %g ± %g, exact %g", a.Value, e, exact)
			}
			all, err := f.Trace(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			near(t, "trace of all draws", all.Value, a.Value, 1e-12)
			// Entries have a relative error of about √(2/(5·4000)) = 1 %.
			closeTo(t, "F̂", formed(f), formed(mustGaussNewton(t, o)), 0.05)
		})
	}
}

// The error of the trace is that of an estimate of a population's: over sets
// drawn from the pool its intervals hold the trace of the pool.
func TestSampledFisherTraceHasAnHonestError(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	o.Gradient(samples(pool), false)
	exact, _, err := GaussNewtonTrace(context.Background(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	const trials = 200
	covered := 0
	for k := range trials {
		stream := rng.New(rng.Batches, 3, uint64(k))
		indices := make([]int32, pool)
		for i := range indices {
			indices[i] = int32(stream.Uint32n(pool))
		}
		o.Gradient(indices, false)
		tr, err := mustFisher(t, o, FisherConfig{Seed: uint64(k)}).Trace(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(tr.Value-exact) <= 2*value(t, "error", tr.Stderr) {
			covered++
		}
	}
	// ±2 standard errors of 24 values cover 94 % (Student's t); a skewed
	// distribution costs a few percent; 200 trials have a deviation of 1.7 %.
	if covered < trials*86/100 || covered == trials {
		t.Errorf("%d of %d intervals of ±2 standard errors hold the trace", covered, trials)
	}
}

func TestLabelsAreDrawnFromTheModel(t *testing.T) {
	p := []float64{0.1, 0, 0.6, 0.3}
	count := make([]float64, len(p))
	const draws = 20000
	for k := range uint64(draws) {
		stream := rng.New(rng.Predictions, 4, k)
		var u [4]float64
		score(u[:], program.CrossEntropy, p, &stream)
		label := -1
		for c := range u {
			if u[c] != p[c] {
				if label >= 0 || u[c] != p[c]-1 {
					t.Fatalf("score %v of probabilities %v", u, p)
				}
				label = c
			}
		}
		count[label]++
	}
	for c, x := range p {
		if d := math.Abs(count[c]/draws - x); d > 5*math.Sqrt(x*(1-x)/draws) {
			t.Errorf("class %d of probability %g was drawn %g of %d times", c, x, count[c], draws)
		}
	}
	if c := class([]float64{0.3, 0.69999, 0}, 0.999999); c != 1 {
		t.Errorf("class %d where rounding leaves nothing", c)
	}
}

func TestLabelsDependOnSeedSampleAndDrawAlone(t *testing.T) {
	scores := func(capacity, n int, c FisherConfig) *Fisher[float64] {
		o := objective[float64](t, nets["mlp-mse"], capacity)
		o.Gradient(samples(n), false)
		return mustFisher(t, o, c)
	}
	f := scores(pool, 10, FisherConfig{Draws: 2, Seed: 8})
	g := scores(3, 7, FisherConfig{Draws: 4, Seed: 8})
	other := scores(pool, 10, FisherConfig{Draws: 2, Seed: 9})
	for i := range 7 {
		for k := range 2 {
			if !slices.Equal(f.score(k, i), g.score(k, i)) {
				t.Errorf("sample %d, draw %d: %v and %v", i, k, f.score(k, i), g.score(k, i))
			}
			if slices.Equal(f.score(k, i), other.score(k, i)) || slices.Equal(f.score(0, i), f.score(1, i)) {
				t.Errorf("sample %d: other seeds or draws have the same scores", i)
			}
		}
	}
}
