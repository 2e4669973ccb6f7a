package measure

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gorgonia.org/gorgonia"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/rng"
)

func square(x float64) float64 { return x * x }

func mustSpectrum[T engine.Float](t testing.TB, o *Objective[T], indices []int32, c SpectrumConfig) *SpectrumResult {
	t.Helper()
	r, err := Spectrum(context.Background(), o, indices, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// quadratures returns those of Lanczos iteration from each start.
func quadratures(t *testing.T, o *Objective[float64], order int, starts [][]float64) []Quadrature {
	t.Helper()
	l := &lanczos[float64]{o: o, sign: 1, basis: order}
	var list []Quadrature
	for _, start := range starts {
		q, _, err := l.quadrature(start)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, q)
	}
	return list
}

// unit returns the p unit vectors.
func unit(p int) [][]float64 {
	list := make([][]float64, p)
	for i := range list {
		list[i] = make([]float64, p)
		list[i][i] = 1
	}
	return list
}

// Gauss quadrature with m nodes is exact for polynomials up to degree 2m−1,
// and for no more.
func TestQuadratureOfOrderMGivesMomentsUpTo2MMinus1(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, pool)
			indices := samples(10)
			h := hessian(o, indices)
			largest := mat.Norm(h, 2)
			o.Gradient(indices, false)
			p := len(o.Grad())
			start := make([]float64, p)
			for _, m := range []int{1, 2, 3, 5} {
				rng.Signs(start, rng.New(rng.Probes, 3, uint64(m)), 0)
				q := quadratures(t, o, m, [][]float64{start})[0]
				if len(q.Nodes) != m {
					t.Fatalf("%d nodes for order %d", len(q.Nodes), m)
				}
				v := mat.NewVecDense(p, slices.Clone(start))
				v.ScaleVec(1/mat.Norm(v, 2), v)
				hv := mat.VecDenseCopyOf(v)
				scale := 1.0
				for k := 0; k <= 2*m; k++ {
					got := q.Sum(func(x float64) float64 { return math.Pow(x, float64(k)) })
					d := math.Abs(got-mat.Dot(v, hv)) / scale
					// Finite differences put an error of about 1e-9 into the
					// dense matrix, of which k factors are in the moment.
					if k < 2*m && d > 1e-8*float64(k+1) {
						t.Errorf("order %d: moment %d is off by %.2g of ‖H‖^k", m, k, d)
					}
					// The error of the next moment is Πβⱼ², visible at low orders.
					if k == 2*m && m <= 3 && d < 1e-6 {
						t.Errorf("order %d: moment %d is exact too: the test can't tell orders apart", m, k)
					}
					hv.MulVec(h, hv)
					scale *= largest
				}
			}
		})
	}
}

// The unit vectors are a complete set of probes, and with order P every
// quadrature is the vector's exact spectral measure: the mean is the uniform
// distribution on the eigenvalues.
func TestCompleteProbesGiveTheDenseSpectrumExactly(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, pool)
			indices := samples(10)
			want := eigenvalues(t, hessian(o, indices))
			p := len(want)
			largest := math.Max(-want[0], want[p-1])
			o.Gradient(indices, false)
			r := &SpectrumResult{Params: p, Quadratures: quadratures(t, o, p, unit(p))}
			for k := range 7 {
				power := func(x float64) float64 { return math.Pow(x/largest, float64(k)) }
				sum := 0.0
				for _, x := range want {
					sum += power(x)
				}
				if got, _ := r.TraceOf(power); math.Abs(got-sum) > 1e-6*float64(p) { // finite differences
					t.Errorf("Σ(λ/‖H‖)^%d = %.9g, dense %.9g", k, got, sum)
				}
			}
			sigma := 0.02 * largest
			d := NewDensity(r.Quadratures, sigma, 400)
			for j, at := range d.Grid {
				exact := 0.0
				for _, x := range want {
					exact += math.Exp(-square((at-x)/sigma)/2) / (sigma * math.Sqrt(2*math.Pi)) / float64(p)
				}
				// The mean over a cell of width h differs from the middle by
				// h²/24 of the second derivative, below φ₀/σ².
				h := d.Grid[1] - d.Grid[0]
				peak := 1 / (sigma * math.Sqrt(2*math.Pi))
				if math.Abs(d.Values[j]-exact) > peak*square(h/sigma)/24+1e-6*peak {
					t.Fatalf("density at %g is %g, dense %g", at, d.Values[j], exact)
				}
			}
		})
	}
}

// The share of eigenvalues in an interval, zᵀΠz/P for its projector Π, has for
// Rademacher probes the variance 2(tr Π − ΣΠᵢᵢ²)/P² ≤ 1/(2P).
func TestDistributionIsThatOfTheDenseHessian(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, pool)
			indices := samples(10)
			want := eigenvalues(t, hessian(o, indices))
			p, probes := len(want), 40
			r := mustSpectrum(t, o, indices, SpectrumConfig{Order: p, Probes: probes, Seed: 1})
			exact := Quadrature{want, slices.Repeat([]float64{1 / float64(p)}, p)}
			least, largest := want[0], want[p-1]
			sigma := 0.01 * (largest - least)
			farthest, area := 0.0, 0.0
			const points = 2000
			step := (largest - least + 10*sigma) / points
			for j := range points {
				at := least - 5*sigma + float64(j)*step
				below := func(x float64) float64 { return math.Erfc((x-at)/(sigma*math.Sqrt2)) / 2 }
				sum := 0.0
				for _, q := range r.Quadratures {
					sum += q.Sum(below)
				}
				d := math.Abs(sum/float64(probes) - exact.Sum(below))
				farthest = max(farthest, d)
				area += d * step
			}
			// Five standard deviations of the worst interval: Kolmogorov's
			// distance. Wasserstein's, its mean over the range, is below one.
			deviation := math.Sqrt(1 / float64(2*p*probes))
			if farthest > 5*deviation {
				t.Errorf("Kolmogorov distance %.3g, five standard deviations are %.3g", farthest, 5*deviation)
			}
			if area > 2*deviation*(largest-least) {
				t.Errorf("Wasserstein distance %.3g of a range of %.3g", area, largest-least)
			}
		})
	}
}

func TestSpectrumAgreesWithProbe(t *testing.T) {
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			o := objective[float64](t, build, 7) // in chunks
			indices := samples(20)
			probe, err := Probe(context.Background(), o, indices, ProbeConfig{Probes: 6, Seed: 4})
			if err != nil {
				t.Fatal(err)
			}
			r := mustSpectrum(t, o, indices, SpectrumConfig{Order: 60, Probes: 6, Seed: 4})
			near(t, "loss", r.Loss, probe.Loss, 0)
			// The same probes, so the same estimates but for rounding.
			near(t, "trace", r.Trace, value(t, "trace", probe.Flatness.Numbers.Get("trace")), 1e-10)
			near(t, "trace_stderr", value(t, "error", r.TraceStderr), value(t, "error", probe.Flatness.Numbers.Get("trace_stderr")), 1e-10)
			near(t, "lambda_max", r.LambdaMax, value(t, "lambda_max", probe.Flatness.Numbers.Get("lambda_max")), 1e-6)
			near(t, "lambda_min", r.LambdaMin, value(t, "lambda_min", probe.Flatness.Numbers.Get("lambda_min")), 1e-6)
			if r.HV != o.Products() || r.HV > 6*60 || len(r.Quadratures) != 6 {
				t.Errorf("%d products, %d counted, %d quadratures", r.HV, o.Products(), len(r.Quadratures))
			}
		})
	}
}

func TestAnEigenvalueLiesWithinTheResidualOfEitherEnd(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	indices := samples(10)
	want := eigenvalues(t, hessian(o, indices))
	for order := 1; order <= 12; order++ {
		r := mustSpectrum(t, o, indices, SpectrumConfig{Order: order, Probes: 2})
		for _, end := range []estimate{{r.LambdaMax, r.LambdaMaxResidual}, {r.LambdaMin, r.LambdaMinResidual}} {
			nearest := math.Inf(1)
			for _, x := range want {
				nearest = min(nearest, math.Abs(x-end.value))
			}
			if nearest > end.residual+1e-8 { // finite differences
				t.Errorf("order %d: no eigenvalue within %g of %g", order, end.residual, end.value)
			}
		}
	}
}

func TestErrorsOfTraceAndNormAreHonest(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	indices := samples(10)
	h := hessian(o, indices)
	trace, norm := mat.Trace(h), square(mat.Norm(h, 2))
	const trials = 200
	var traces, norms int
	for k := range trials {
		r := mustSpectrum(t, o, indices, SpectrumConfig{Order: 2, Probes: 16, Points: 1, Seed: uint64(k)})
		if math.Abs(r.Trace-trace) <= 2*value(t, "error", r.TraceStderr) {
			traces++
		}
		if math.Abs(r.FrobeniusSq-norm) <= 2*value(t, "error", r.FrobeniusSqStderr) {
			norms++
		}
	}
	// ±2 standard errors of 16 values cover 94 % (Student's t, 15 degrees of
	// freedom); 200 trials have a standard deviation of 1.7 %. The squares'
	// distribution is skewed to the right, which costs a few percent more.
	if traces < trials*87/100 || norms < trials*82/100 {
		t.Errorf("of %d intervals of ±2 standard errors %d hold the trace and %d the squared norm", trials, traces, norms)
	}
}

func TestSpectrumDoesNotDependOnThreads(t *testing.T) {
	run := func(threads int) *SpectrumResult {
		o := objectiveOf[float32](t, nets["cnn"], engine.Config{Batch: 5, Threads: threads})
		return mustSpectrum(t, o, samples(17), SpectrumConfig{Order: 9, Probes: 3, Seed: 2})
	}
	want := run(1)
	for _, threads := range []int{2, 3} {
		if got := run(threads); !reflect.DeepEqual(got, want) {
			t.Errorf("%d threads give another result than one", threads)
		}
	}
}

func TestSpectrumDoesNotDependOnChunks(t *testing.T) {
	run := func(capacity int) *SpectrumResult {
		return mustSpectrum(t, objective[float64](t, nets["mlp"], capacity), samples(20), SpectrumConfig{Order: 12, Probes: 3, Sigma: 0.05})
	}
	want := run(pool)
	for _, capacity := range []int{20, 7, 1} {
		got := run(capacity)
		// Sums in another order: rounding, which 12 steps make little of.
		near(t, "trace", got.Trace, want.Trace, 1e-12)
		near(t, "frobenius_sq", got.FrobeniusSq, want.FrobeniusSq, 1e-12)
		peak := slices.Max(want.Values)
		for j := range want.Values {
			if math.Abs(got.Values[j]-want.Values[j]) > 1e-8*peak {
				t.Fatalf("chunks of %d: density %g at %g, in one piece %g", capacity, got.Values[j], got.Grid[j], want.Values[j])
			}
		}
	}
}

func TestFloat32SpectrumIsCloseToFloat64(t *testing.T) {
	c := SpectrumConfig{Order: 30, Probes: 4, Sigma: 0.1}
	want := mustSpectrum(t, objective[float64](t, nets["mlp"], pool), samples(20), c)
	got := mustSpectrum(t, objective[float32](t, nets["mlp"], pool), samples(20), c)
	near(t, "trace", got.Trace, want.Trace, 1e-4)
	near(t, "frobenius_sq", got.FrobeniusSq, want.FrobeniusSq, 1e-4)
	near(t, "lambda_max", got.LambdaMax, want.LambdaMax, 1e-5)
	near(t, "lambda_min", got.LambdaMin, want.LambdaMin, 1e-4)
	for _, q := range got.Quadratures {
		near(t, "sum of weights", q.Sum(func(float64) float64 { return 1 }), 1, 1e-12)
	}
}

// linear is a network without weights between input and loss but one, whose
// loss ½‖x·wᵀ − y‖² has a Hessian of rank ≤ 9·3 and, on one sample, of rank 3.
func linear(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	p := gorgonia.Nodes{param(g, "fc1.weight", 3, 9)}
	return do(op.MSE.Of(do(op.Apply(op.MatMul{TransB: true}, x, p[0])), y)), p
}

// On one sample x the Hessian of the linear net is I₃ ⊗ xxᵀ: the eigenvalue
// ‖x‖² three times and 0. Any probe spans an invariant space of dimension 2.
func TestInvariantSpaceEndsTheIteration(t *testing.T) {
	o := objective[float64](t, linear, pool)
	r := mustSpectrum(t, o, samples(1), SpectrumConfig{Order: 20, Probes: 5})
	norm := 0.0
	for _, x := range o.s.Input(0)[:side*side] {
		norm += x * x
	}
	for _, q := range r.Quadratures {
		if len(q.Nodes) != 2 || math.Abs(q.Nodes[0]) > 1e-12*norm || math.Abs(q.Nodes[1]-norm) > 1e-12*norm {
			t.Errorf("nodes %v, want 0 and %v", q.Nodes, norm)
		}
	}
	if r.HV != 10 || r.LambdaMaxResidual != 0 {
		t.Errorf("%d products, residual %g", r.HV, r.LambdaMaxResidual)
	}
	near(t, "lambda_max", r.LambdaMax, norm, 1e-12)
	near(t, "mass", mass(r.Density), 1, 1e-6)
}

func TestOrderAboveTheNumberOfParametersGivesAllThereIs(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	indices := samples(10)
	h := hessian(o, indices)
	want := eigenvalues(t, h)
	r := mustSpectrum(t, o, indices, SpectrumConfig{Order: 500, Probes: 2})
	for _, q := range r.Quadratures {
		if len(q.Nodes) > len(want) {
			t.Errorf("%d nodes of %d parameters", len(q.Nodes), len(want))
		}
	}
	near(t, "lambda_max", r.LambdaMax, want[len(want)-1], 1e-6)
	near(t, "lambda_min", r.LambdaMin, want[0], 1e-6)
	if r.Order != 500 || r.Params != len(want) {
		t.Errorf("order %d, %d parameters", r.Order, r.Params)
	}
}

// A loss of zero weights' product has gradient and Hessian zero at zero.
func TestZeroHessianIsOnePeakAtZero(t *testing.T) {
	o := objective[float64](t, func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{param(g, "a", 4, 9), param(g, "b", 4, 4), param(g, "c", 3, 4)}
		h := do(op.Apply(op.MatMul{TransB: true}, x, p[0]))
		h = do(op.Apply(op.MatMul{TransB: true}, h, p[1]))
		return do(op.CrossEntropy.Of(do(op.Apply(op.MatMul{TransB: true}, h, p[2])), y)), p
	}, pool)
	clear(o.s.Params())
	r := mustSpectrum(t, o, samples(6), SpectrumConfig{Probes: 3})
	if r.LambdaMax != 0 || r.LambdaMin != 0 || r.Trace != 0 || r.FrobeniusSq != 0 || r.HV != 3 {
		t.Errorf("the zero matrix has lambda_max %g, lambda_min %g, trace %g, squared norm %g, by %d products",
			r.LambdaMax, r.LambdaMin, r.Trace, r.FrobeniusSq, r.HV)
	}
	near(t, "mass", mass(r.Density), 1, 1e-6)
}

func TestSpectrumStopsWhereItIsCancelled(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	ctx, cancel := context.WithCancel(context.Background())
	most := 0
	_, err := Spectrum(ctx, o, samples(5), SpectrumConfig{Order: 10, Probes: 3, Progress: func(done, total int) {
		if total != 30 || done != most {
			t.Errorf("%d of %d done, want %d of 30", done, total, most)
		}
		if most++; done == 14 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || o.Products() != 14 {
		t.Errorf("error %v after %d products", err, o.Products())
	}
}

func TestSpectrumOfADivergedPointIsAnError(t *testing.T) {
	o := objective[float64](t, nets["mlp-mse"], pool)
	o.s.Params()[0] = math.NaN()
	if _, err := Spectrum(context.Background(), o, samples(4), SpectrumConfig{}); !errors.Is(err, ErrDiverged) {
		t.Errorf("error %v, want ErrDiverged", err)
	}
}

func TestASingleProbeHasNoStandardError(t *testing.T) {
	r := mustSpectrum(t, objective[float64](t, nets["mlp"], pool), samples(5), SpectrumConfig{Order: 5, Probes: 1})
	if !r.TraceStderr.IsZero() || !r.FrobeniusSqStderr.IsZero() || r.Stderr != nil {
		t.Errorf("errors %v, %v, %v", r.TraceStderr, r.FrobeniusSqStderr, r.Stderr)
	}
}
