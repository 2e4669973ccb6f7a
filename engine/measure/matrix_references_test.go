package measure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/program"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// reference returns the check of a quantity, nil if there is none.
func reference(name string) func(l *logged, run []*state, k int) { return allReferences()[name] }

func allReferences() map[string]func(l *logged, run []*state, k int) {
	all := maps.Clone(references)
	maps.Copy(all, matrixReferences)
	return all
}

// at runs f with the parameters of the state.
func (s *state) at(f func()) {
	keep := slices.Clone(s.o.s.Params())
	copy(s.o.s.Params(), s.theta)
	f()
	copy(s.o.s.Params(), keep)
}

func (s *state) lossAt(l *logged, theta []float64) float64 { return lossAt(l.t, s.o, s.indices, theta) }

func signVector(n int, index uint64, seed uint64) *mat.VecDense {
	z := make([]float64, n)
	rng.Signs(z, rng.New(rng.Probes, seed, index), 0)
	return mat.NewVecDense(n, z)
}

// average logs name and name_stderr of values.
func (l *logged) average(name string, values []float64, tol float64) {
	l.t.Helper()
	a := average(values)
	l.near(name, a.Value, tol)
	if e, ok := a.Stderr.Get(); ok {
		l.near(name+"_stderr", e, tol)
	} else {
		l.absent(name + "_stderr")
	}
}

// eigenvalue checks a value and that its residual is within the tolerance.
func (l *logged) eigenvalue(name string, s *state, want, scale float64) {
	l.t.Helper()
	if got := l.take(name); math.Abs(got-want) > 1e-6*scale {
		l.t.Errorf("%s: %s = %.12g, dense %.12g", l.what, name, got, want)
	}
	if r := l.take(name + "_residual"); r > 1.01*s.configuration.Tol*scale { // the scale found is not quite that of all
		l.t.Errorf("%s: residual of %s is %g beside %g", l.what, name, r, scale)
	}
}

// drawnGradients returns Jᵢᵀuᵢ for labels drawn from the model for draw k.
func (s *state) drawnGradients(k int) [][]float64 {
	var list [][]float64
	s.at(func() {
		j := jacobian(s.o, s.indices)
		loss, _ := s.o.s.Program().LogitLoss()
		for i := range s.indices {
			s.o.Forward(s.indices[i : i+1])
			z := s.o.s.Logits(1)
			stream := rng.New(rng.Predictions, s.configuration.Seed, uint64(k)<<32|uint64(i))
			u := make([]float64, classes)
			if loss.Kind == program.MSE {
				for c := range u {
					u[c] = -stream.NormFloat64()
				}
			} else {
				total := 0.0
				for _, v := range z {
					total += math.Exp(v)
				}
				x, label, sum := stream.Float64(), -1, 0.0
				for c, v := range z {
					u[c] = math.Exp(v) / total
					if sum += u[c]; label < 0 && x < sum {
						label = c
					}
				}
				u[label]--
			}
			var g mat.VecDense
			g.MulVec(j.Slice(i*classes, (i+1)*classes, 0, len(s.theta)).T(), mat.NewVecDense(classes, u))
			list = append(list, g.RawVector().Data)
		}
	})
	return list
}

// secondMoment returns (1/n) Σ gᵢgᵢᵀ.
func secondMoment(grads [][]float64) *mat.SymDense {
	m := mat.NewSymDense(len(grads[0]), nil)
	for _, g := range grads {
		outer(m, 1/float64(len(grads)), g)
	}
	return m
}

// gaussNewton returns the state's dense Gauss-Newton matrix.
func (s *state) gaussNewton() (g *mat.SymDense) {
	s.at(func() { g = gaussNewton(s.o, s.indices) })
	return g
}

// largest returns the largest eigenvalue of a dense matrix.
func largest(t *testing.T, m mat.Symmetric) float64 {
	e := eigenvalues(t, m)
	return e[len(e)-1]
}

// batches returns gᵀH_B g/‖g‖², gᵀHg/‖g‖², gᵀH_B g and ‖g‖² of the batches that a
// point draws, as many as the most there may be.
func (s *state) batches(most int) (ratios, steps, products, norms []float64) {
	var single []*mat.SymDense
	s.at(func() {
		for i := range s.indices {
			single = append(single, hessian(s.o, s.indices[i:i+1]))
		}
	})
	places := make([]int32, len(s.indices))
	for i := range places {
		places[i] = int32(i)
	}
	d := drawer{rest: places, seed: s.configuration.Seed}
	size := s.configuration.Batch
	for k := range most {
		g := mat.NewVecDense(len(s.theta), nil)
		chosen := slices.Clone(d.batch(k, size))
		for _, i := range chosen {
			g.AddScaledVec(g, 1/float64(size), mat.NewVecDense(g.Len(), s.grads[i]))
		}
		product := 0.0
		for _, i := range chosen {
			product += mat.Inner(g, single[i], g) / float64(size)
		}
		gg := mat.Dot(g, g)
		products, norms = append(products, product), append(norms, gg)
		ratios, steps = append(ratios, product/gg), append(steps, mat.Inner(g, s.h, g)/gg)
	}
	return ratios, steps, products, norms
}

// stops returns the number of batches at which all averages are within 1 %.
func stops(lists ...[]float64) int {
	n := DefaultMinBatches
	for ; n < DefaultMaxBatches; n++ {
		if !slices.ContainsFunc(lists, func(x []float64) bool { return !average(x[:n]).within(DefaultSharpnessTol) }) {
			break
		}
	}
	return n
}

// atCorner returns Keskar's sharpness at the corner of the box at which the
// linear part of the loss is largest; columns are those of A, nil for I.
func (s *state) atCorner(l *logged, columns []*mat.VecDense) float64 {
	theta := mat.NewVecDense(len(s.theta), slices.Clone(s.theta))
	y := mat.NewVecDense(len(s.theta), nil)
	g := mat.NewVecDense(len(s.mean), s.mean)
	if columns == nil {
		for i, x := range s.theta {
			y.SetVec(i, math.Copysign(1e-3*(math.Abs(x)+1), s.mean[i]))
		}
	} else {
		a := mat.NewDense(len(s.theta), len(columns), nil)
		for j, column := range columns {
			a.SetCol(j, column.RawVector().Data)
		}
		var plus mat.VecDense
		if err := plus.SolveVec(a, theta); err != nil {
			l.t.Fatal(err)
		}
		for j, column := range columns {
			y.AddScaledVec(y, math.Copysign(1e-3*(math.Abs(plus.AtVec(j))+1), mat.Dot(column, g)), column)
		}
	}
	y.AddVec(y, theta)
	return 100 * (s.lossAt(l, y.RawVector().Data) - s.loss) / (1 + s.loss)
}

// keskar checks a sharpness over a box: it is not below that of the corner, and
// what the function gives, whose own tests compare it with exhaustive search.
func (l *logged) keskar(name string, s *state, c KeskarConfig, columns []*mat.VecDense) {
	l.t.Helper()
	got := l.take(name)
	if corner := s.atCorner(l, columns); got < corner-1e-9*math.Abs(corner) {
		l.t.Errorf("%s: %s = %g, at the steepest corner %g", l.what, name, got, corner)
	}
	s.at(func() {
		s.o.Gradient(s.indices, false)
		r, err := Keskar(context.Background(), s.o, c)
		if err != nil {
			l.t.Fatal(err)
		}
		near(l.t, l.what+": "+name, got, r.Sharpness, 1e-12)
	})
}

// ascended returns the loss at θ + ρT²ḡ/‖Tḡ‖ less that at θ.
func (s *state) ascended(l *logged, rho float64, scale func(theta float64) float64) float64 {
	norm := 0.0
	for i, g := range s.mean {
		norm += square(scale(s.theta[i]) * g)
	}
	at := slices.Clone(s.theta)
	for i, g := range s.mean {
		at[i] += rho * square(scale(s.theta[i])) * g / math.Sqrt(norm)
	}
	return s.lossAt(l, at) - s.loss
}

// matrixReferences are the references of quantities of matrices and of the
// loss elsewhere. Finite differences put a relative error of about 1e-9 in
// the dense matrices.
var matrixReferences = map[string]func(l *logged, run []*state, k int){
	"frobenius": func(l *logged, run []*state, k int) {
		var squares []float64
		for i := max(0, k+1-run[k].configuration.Window); i <= k; i++ {
			var hz mat.VecDense
			hz.MulVec(run[i].h, signVector(len(run[i].theta), uint64(i), run[i].configuration.Seed))
			squares = append(squares, square(mat.Norm(&hz, 2)))
		}
		a := average(squares)
		l.near("frobenius", math.Sqrt(a.Value), 1e-7)
		if e, ok := a.Stderr.Get(); ok {
			l.near("frobenius_stderr", e/2/math.Sqrt(a.Value), 1e-6)
		} else {
			l.absent("frobenius_stderr")
		}
	},
	"trace_hutchpp": func(l *logged, run []*state, k int) {
		// A window of 2 allows the least there is: a product for Q, one for its
		// span and one for the rest.
		s, first := run[k], uint64(3*k)
		var q, rest mat.VecDense
		q.MulVec(s.h, signVector(len(s.theta), sketchProbes+first, s.configuration.Seed))
		q.ScaleVec(1/mat.Norm(&q, 2), &q)
		z := signVector(len(s.theta), first, s.configuration.Seed)
		rest.AddScaledVec(z, -mat.Dot(z, &q), &q)
		want := mat.Inner(&q, s.h, &q) + mat.Inner(&rest, s.h, &rest)
		if got := l.take("trace_hutchpp"); math.Abs(got-want) > 1e-7*mat.Norm(s.h, 2)*float64(len(s.theta)) {
			l.t.Errorf("%s: %g, want %g", l.what, got, want)
		}
	},
	"lambda_min": func(l *logged, run []*state, k int) {
		e := eigenvalues(l.t, run[k].h)
		l.eigenvalue("lambda_min", run[k], e[0], math.Max(-e[0], e[len(e)-1]))
	},
	"ggn_trace": func(l *logged, run []*state, k int) {
		l.near("ggn_trace", mat.Trace(run[k].gaussNewton()), 1e-8)
	},
	"ggn_lambda_max": func(l *logged, run []*state, k int) {
		top := largest(l.t, run[k].gaussNewton())
		l.eigenvalue("ggn_lambda_max", run[k], top, top)
	},
	"fisher_lambda_max": func(l *logged, run []*state, k int) {
		l.near("fisher_lambda_max", largest(l.t, secondMoment(run[k].grads)), 1e-10)
	},
	"fisher_mc_trace": func(l *logged, run []*state, k int) {
		var norms []float64
		for _, g := range run[k].drawnGradients(k) {
			norms = append(norms, dot(g, g))
		}
		l.average("fisher_mc_trace", norms, 1e-7)
	},
	"fisher_mc_lambda_max": func(l *logged, run []*state, k int) {
		top := largest(l.t, secondMoment(run[k].drawnGradients(k)))
		l.eigenvalue("fisher_mc_lambda_max", run[k], top, top)
	},
	"batch_sharpness_mean": func(l *logged, run []*state, k int) {
		ratios, _, products, norms := run[k].batches(DefaultMaxBatches)
		n := stops(ratios)
		l.near("batch_sharpness_batches", float64(n), 0)
		l.average("batch_sharpness_mean", ratios[:n], 1e-6)
		r := mean2(products[:n]) / mean2(norms[:n])
		l.near("batch_sharpness_pooled", r, 1e-6)
		ss := 0.0
		for i := range n {
			ss += square(products[i] - r*norms[i])
		}
		l.near("batch_sharpness_pooled_stderr", math.Sqrt(ss/float64(n)/float64(n-1))/mean2(norms[:n]), 1e-6)
	},
	"step_sharpness": func(l *logged, run []*state, k int) {
		ratios, steps, _, _ := run[k].batches(DefaultMaxBatches)
		l.average("step_sharpness", steps[:stops(ratios, steps)], 1e-6)
	},
	"sam_sharpness": func(l *logged, run []*state, k int) {
		l.near("sam_sharpness", run[k].ascended(l, 0.05, func(float64) float64 { return 1 }), 1e-9)
	},
	"sam_sharpness_adaptive": func(l *logged, run []*state, k int) {
		l.near("sam_sharpness_adaptive", run[k].ascended(l, 0.5, math.Abs), 1e-9)
	},
	"keskar_sharpness": func(l *logged, run []*state, k int) {
		l.keskar("keskar_sharpness", run[k], KeskarConfig{}, nil)
	},
	"keskar_sharpness_subspace": func(l *logged, run []*state, k int) {
		s := run[k]
		if len(s.theta) <= 100 {
			l.absent("keskar_sharpness_subspace")
			return
		}
		var columns []*mat.VecDense
		for j := range uint64(100) {
			columns = append(columns, signVector(len(s.theta), subspaceProbes+j, s.configuration.Seed))
		}
		l.keskar("keskar_sharpness_subspace", s, KeskarConfig{Dim: 100, Seed: s.configuration.Seed}, columns)
	},
	"perturbed_loss": func(l *logged, run []*state, k int) {
		s := run[k]
		for _, alpha := range []float64{0.1, 0.3, 1} {
			var losses []float64
			for j := range 10 {
				at := slices.Clone(s.theta)
				for i, d := range filterDirection(s.o, s.theta, s.configuration.Seed, j) {
					at[i] += alpha * d
				}
				losses = append(losses, s.lossAt(l, at))
			}
			v, m := variance(losses)
			l.near(fmt.Sprintf("perturbed_loss_%g", alpha), m, 1e-10)
			l.near(fmt.Sprintf("perturbed_loss_%g_deviation", alpha), math.Sqrt(v), 1e-8)
		}
	},
}

func mean2(x []float64) float64 { return sumOf(x) / float64(len(x)) }

// selected is the names of the quantities with matrixReferences.
func selected(t *testing.T, names ...string) Selection {
	t.Helper()
	var s Selection
	for _, q := range quantities {
		if matrixReferences[q.Name] != nil && (len(names) == 0 || slices.Contains(names, q.Name)) {
			s.list = append(s.list, q)
		}
	}
	if len(s.list) == 0 {
		t.Fatalf("no quantity is selected of %v", names)
	}
	return s
}

// What quantities share or overwrite does not change what each logs, nor ḡ and
// θ; and a run goes on exactly from a checkpoint.
func TestMatrixQuantitiesTogetherAndResumed(t *testing.T) {
	for _, build := range []net{nets["mlp"], nets["shared"], larger["conv-mse"]} {
		steps := func(names []string, stop int) []record.Step {
			o := objective[float64](t, build, pool)
			c := Config{Select: selected(t, names...), Seed: 3, Window: 3, Batch: 4, Every: 2}
			m := NewMonitor(o, c)
			var list []record.Step
			for k := range 5 {
				if k == stop {
					tensors, text, err := m.State()
					if err != nil {
						t.Fatal(err)
					}
					m = NewMonitor(o, c)
					if err := m.Restore(&record.Checkpoint{Tensors: tensors}, text); err != nil {
						t.Fatal(err)
					}
				}
				indices := samples(8 + k%2)
				o.Gradient(indices, false)
				theta, grad := slices.Clone(o.s.Params()), slices.Clone(o.Grad())
				var out record.Step
				if err := m.Step(k, indices, &out); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(theta, o.s.Params()) || !slices.Equal(grad, o.Grad()) {
					t.Fatalf("step %d: θ or ḡ changed", k)
				}
				o.s.Axpy(-0.01, o.Grad(), o.s.Params())
				list = append(list, out)
			}
			return list
		}
		together, resumed := steps(nil, -1), steps(nil, 3)
		for k := range together {
			if !slices.Equal(together[k].Flatness, resumed[k].Flatness) {
				t.Fatalf("step %d after a resume: %v, without %v", k, resumed[k].Flatness, together[k].Flatness)
			}
		}
		for name := range matrixReferences {
			for k, s := range steps([]string{name}, -1) {
				for _, x := range s.Flatness {
					if got := together[k].Flatness.Get(x.Name); x.Name != "hv" && got != record.Some(x.X) {
						// Batches stop where all that is asked for is known well.
						if name == "batch_sharpness_mean" {
							continue
						}
						t.Errorf("step %d: %s is %v among others, %g alone", k, x.Name, got, x.X)
					}
				}
			}
		}
	}
}

// The vector of the last point is a better start than none.
func TestEigenvaluesAreFollowedFromPointToPoint(t *testing.T) {
	for _, name := range []string{"conv-mse", "relu", "relu-mse"} {
		o := objective[float64](t, larger[name], pool)
		m := NewMonitor(o, Config{Select: selected(t, "lambda_min")})
		var products []float64
		for k := range 4 {
			var out record.Step
			if err := m.Step(k, samples(20), &out); err != nil {
				t.Fatal(err)
			}
			products = append(products, value(t, "hv", out.Flatness.Get("hv")))
		}
		if slices.Max(products[1:]) >= products[0] {
			t.Errorf("%s: %v products at the same point", name, products)
		}
	}
}

func TestCheapMatrixQuantitiesAllocateNothing(t *testing.T) {
	for _, name := range []string{"ggn_trace", "fisher_mc_trace", "frobenius", "sam_sharpness", "sam_sharpness_adaptive"} {
		o := objective[float64](t, larger["conv"], pool)
		m := NewMonitor(o, Config{Select: selected(t, name), Window: 3})
		indices := samples(8)
		var out record.Step
		one := func() {
			if err := m.Step(0, indices, &out); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			one()
		}
		if n := testing.AllocsPerRun(5, one); n != 0 {
			t.Errorf("%s: %g allocations a step", name, n)
		}
	}
}

// A probe finds them thoroughly, and with standard errors of its own probes.
func TestProbeOfMatrixQuantities(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		h, g := hessian(o, indices), gaussNewton(o, indices)
		r, err := Probe(context.Background(), o, indices, ProbeConfig{Select: selected(t), Probes: 24, Batch: 5})
		if err != nil {
			t.Fatal(err)
		}
		get := func(name string) float64 { t.Helper(); return value(t, name, r.Flatness.Numbers.Get(name)) }
		near(t, "ggn_trace", get("ggn_trace"), mat.Trace(g), 1e-8)
		near(t, "ggn_lambda_max", get("ggn_lambda_max"), largest(t, g), 1e-8)
		near(t, "lambda_min", get("lambda_min"), eigenvalues(t, h)[0], 1e-6)
		for name, want := range map[string]float64{"frobenius": mat.Norm(h, 2), "trace_hutchpp": mat.Trace(h)} {
			if d, e := math.Abs(get(name)-want), get(name+"_stderr"); d > 5*e+1e-7*math.Abs(want) {
				t.Errorf("%s = %g ± %g, is %g", name, get(name), e, want)
			}
		}
		exact, err := Probe(context.Background(), o, indices, ProbeConfig{Select: selected(t, "frobenius"), ExactTrace: true})
		if err != nil {
			t.Fatal(err)
		}
		near(t, "frobenius", value(t, "frobenius", exact.Flatness.Numbers.Get("frobenius")), mat.Norm(h, 2), 1e-8)
	})
}

// Where a quantity does not exist, nothing is logged.
func TestMatrixQuantitiesThatDoNotExistAreAbsent(t *testing.T) {
	o := objective[float64](t, penalised, pool)
	r, err := Probe(context.Background(), o, samples(6), ProbeConfig{Select: selected(t), Probes: 6})
	if err != nil && !errors.Is(err, ErrNotConverged) {
		t.Fatal(err)
	}
	for _, x := range r.Flatness.Numbers {
		if slices.Contains([]string{"ggn_trace", "ggn_lambda_max", "fisher_mc_trace", "fisher_mc_lambda_max"}, x.Name) {
			t.Errorf("%s is %g", x.Name, x.X)
		}
	}
	value(t, "sam_sharpness", r.Flatness.Numbers.Get("sam_sharpness"))
	value(t, "fisher_lambda_max", r.Flatness.Numbers.Get("fisher_lambda_max"))
}
