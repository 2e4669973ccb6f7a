package flow

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sgflow/data"
)

// The tests against theory simulate with fixed seeds, so that they give the same
// verdict each time, and allow sigmas standard errors: what a right simulation
// exceeds once in 16,000 comparisons.
const sigmas = 4

// within fails the test unless the mean of the values is want, up to so many standard
// errors. It returns the standard error.
func within(t *testing.T, what string, values []float64, want float64) (stderr float64) {
	t.Helper()
	mean, deviation := stat.MeanStdDev(values, nil)
	stderr = stat.StdErr(deviation, float64(len(values)))
	if !(math.Abs(mean-want) <= sigmas*stderr) {
		t.Errorf("%s is %.6g ± %.2g, want %.6g: %.1f standard errors off", what, mean, stderr, want, math.Abs(mean-want)/stderr)
	}
	return stderr
}

// covariance returns the 1/N covariance of the rows.
func covariance(rows *mat.Dense) *mat.SymDense {
	n, d := rows.Dims()
	c := mat.NewSymDense(d, nil)
	stat.CovarianceMatrix(c, rows, nil)
	c.ScaleSym(float64(n-1)/float64(n), c)
	return c
}

// product returns the product of matrices.
func product(list ...mat.Matrix) *mat.Dense {
	p := mat.DenseCopyOf(list[0])
	for _, m := range list[1:] {
		var next mat.Dense
		next.Mul(p, m)
		p = &next
	}
	return p
}

// contraction returns 1 − ηA.
func contraction(a *mat.SymDense, rate float64) *mat.Dense {
	d, _ := a.Dims()
	m := mat.NewDense(d, d, nil)
	for i := range d {
		for j := range d {
			m.Set(i, j, -rate*a.At(i, j))
		}
		m.Set(i, i, 1+m.At(i, i))
	}
	return m
}

// lyapunov solves S = M S Mᵀ + Q, the discrete equation, as a linear system of the
// elements of S.
func lyapunov(m, q mat.Matrix) *mat.Dense {
	d, _ := m.Dims()
	var system mat.Dense
	system.Kronecker(m, m)
	for i := range d * d {
		for j := range d * d {
			x := -system.At(i, j)
			if i == j {
				x++
			}
			system.Set(i, j, x)
		}
	}
	right := mat.NewVecDense(d*d, nil)
	for i := range d {
		for j := range d {
			right.SetVec(i*d+j, q.At(i, j))
		}
	}
	var s mat.VecDense
	if err := s.SolveVec(&system, right); err != nil {
		panic(err)
	}
	return mat.NewDense(d, d, s.RawVector().Data)
}

// noise returns η²·A C A/b, what a step of SGD with noise of batches of b adds.
func noise(a, c *mat.SymDense, rate, b float64) *mat.Dense {
	q := product(a, c, a)
	q.Scale(rate*rate/b, q)
	return q
}

// moments follows paths of several seeds and returns, for each pair of coordinates,
// the mean of the products of their errors over time, a value a seed. Every path
// takes burn steps, and then every so many steps a point.
func moments(t *testing.T, seeds, burn, points, every int, minimum []float64, open func(seed uint64) Path[float64]) [][]float64 {
	t.Helper()
	d := len(minimum)
	all := make([][]float64, d*d)
	for k := range all {
		all[k] = make([]float64, seeds)
	}
	for s := range seeds {
		p := open(uint64(s))
		walk(t, p, burn)
		for range points {
			walk(t, p, every)
			for i := range d {
				for j := range d {
					all[i*d+j][s] += (p.Theta()[i] - minimum[i]) * (p.Theta()[j] - minimum[j]) / float64(points)
				}
			}
		}
	}
	return all
}

func TestStationaryCovarianceSolvesTheDiscreteLyapunovEquation(t *testing.T) {
	p, a, centres, minimum := bowl()
	c := covariance(centres)
	for _, rate := range []float64{0.1, 0.7} { // λmax is 2.2: 0.7 is far from the continuous limit
		const batch = 4
		got := moments(t, 60, 300, 3000, 1, minimum, func(seed uint64) Path[float64] {
			return must(NewSGD[float64](p, minimum, SGDConfig{Rate: rate, Batch: batch, Seed: seed}))
		})
		want := lyapunov(contraction(a, rate), noise(a, c, rate, batch))
		// That of the differential equation: A S + S A = η/B·A C A, S = η/2B·A^½…
		// which for the trace weighted by A is tr(A S) = η/2B·tr(A C A).
		aca := product(a, c, a)
		continuous := rate / (2 * batch) * mat.Trace(aca)
		weighted := make([]float64, 60)
		for i := range 3 {
			for j := range 3 {
				within(t, "S", got[i*3+j], want.At(i, j))
				for s := range weighted {
					weighted[s] += a.At(i, j) * got[i*3+j][s]
				}
			}
		}
		stderr := within(t, "tr AS", weighted, mat.Trace(product(a, want)))
		if off := math.Abs(stat.Mean(weighted, nil) - continuous); rate > 0.5 && off < 20*stderr {
			t.Errorf("rate %v: the simulation does not tell the discrete equation from the continuous one: tr AS %v is %v off, ± %v", rate, continuous, off, stderr)
		}
	}
}

func TestShufflingHasTheSmallerCovarianceThatItsEquationHas(t *testing.T) {
	p, a, centres, minimum := bowl()
	c := covariance(centres)
	const batch, n, rate = 3, 12, 0.4
	const perEpoch = n / batch
	got := moments(t, 60, 60*perEpoch, 1500, perEpoch, minimum, func(seed uint64) Path[float64] {
		return must(NewSGD[float64](p, minimum, SGDConfig{Rate: rate, Batch: batch, Sampling: data.Shuffle, Seed: seed}))
	})
	// An epoch's K steps are e ← M^K e + Σ M^(K−1−k) ηA c̄ₖ, the c̄ₖ being means of
	// batches of a permutation: of covariance C/B·(N−B)/(N−1), and −C/(N−1) between
	// two of them.
	m := contraction(a, rate)
	powers := []*mat.Dense{contraction(a, 0)}
	for k := range perEpoch {
		powers = append(powers, product(powers[k], m))
	}
	q := mat.NewDense(3, 3, nil)
	for j := range perEpoch {
		for k := range perEpoch {
			share := -1. / (n - 1)
			if j == k {
				share = float64(n-batch) / (batch * (n - 1))
			}
			term := product(powers[perEpoch-1-j], a, c, a, powers[perEpoch-1-k].T())
			term.Scale(rate*rate*share, term)
			q.Add(q, term)
		}
	}
	want := lyapunov(powers[perEpoch], q)
	replaced := lyapunov(m, noise(a, c, rate, batch))
	trace := make([]float64, 60)
	for i := range 3 {
		for j := range 3 {
			within(t, "S", got[i*3+j], want.At(i, j))
		}
		for s := range trace {
			trace[s] += got[i*4][s]
		}
	}
	stderr := within(t, "tr S", trace, mat.Trace(want))
	if mean := stat.Mean(trace, nil); mean > mat.Trace(replaced)-20*stderr {
		t.Errorf("tr S is %v ± %v, not below %v, that of sampling with replacement", mean, stderr, mat.Trace(replaced))
	}
}

func TestLangevinDynamicsHaveTheirTemperature(t *testing.T) {
	p, a, _, minimum := bowl()
	const rate, temperature = 0.3, 0.25
	got := moments(t, 60, 200, 3000, 1, minimum, func(seed uint64) Path[float64] {
		return must(NewLangevin[float64](p, minimum, LangevinConfig{Rate: rate, Temperature: temperature, Seed: seed}))
	})
	// S = M S M + 2η𝒯 is solved by S = 𝒯 A⁻¹(1 − ηA/2)⁻¹: the Gibbs distribution's
	// 𝒯A⁻¹ but for the length of steps.
	q := mat.NewDense(3, 3, nil)
	for i := range 3 {
		q.Set(i, i, 2*rate*temperature)
	}
	want := lyapunov(contraction(a, rate), q)
	for i := range 3 {
		for j := range 3 {
			within(t, "S", got[i*3+j], want.At(i, j))
		}
	}
}

// steps returns, for every coordinate and pair of coordinates, what paths of many
// seeds add in their first step.
func firstSteps(t *testing.T, seeds int, start []float64, open func(seed uint64) Path[float64]) (added, products [][]float64) {
	t.Helper()
	d := len(start)
	added, products = make([][]float64, d), make([][]float64, d*d)
	for s := range seeds {
		p := open(uint64(s))
		walk(t, p, 1)
		for i := range d {
			added[i] = append(added[i], p.Theta()[i]-start[i])
		}
	}
	for i := range d {
		for j := range d {
			mi, mj := stat.Mean(added[i], nil), stat.Mean(added[j], nil)
			for s := range seeds {
				products[i*d+j] = append(products[i*d+j], (added[i][s]-mi)*(added[j][s]-mj))
			}
		}
	}
	return added, products
}

// A step of a diffusion adds −h∇L on average, with covariance hη/B times Σ, its
// diagonal, or its trace's share.
func TestNoiseOfDiffusionsHasItsCovariance(t *testing.T) {
	p, a, centres, _ := bowl()
	const rate, batch, divide, seeds = 0.5, 3, 2, 20000
	start := []float64{3, -2, 5}
	grad := make([]float64, 3)
	p.Gradient(grad, start, nil)
	sigma := product(a, covariance(centres), a)
	for _, kind := range []Noise{Full, Diagonal, Isotropic} {
		added, products := firstSteps(t, seeds, start, func(seed uint64) Path[float64] {
			return must(NewDiffusion[float64](p, start, DiffusionConfig{Rate: rate, Batch: batch, Noise: kind, Divide: divide, Seed: seed}))
		})
		for i := range 3 {
			within(t, string(kind)+" drift", added[i], -rate/divide*grad[i])
			for j := range 3 {
				want := sigma.At(i, j)
				switch {
				case kind != Full && i != j:
					want = 0
				case kind == Isotropic:
					want = mat.Trace(sigma) / 3
				}
				within(t, string(kind)+" covariance", products[i*3+j], rate/divide*rate/batch*want)
			}
		}
	}
}

// The mean gradient of a batch has covariance Σ/B with replacement, and SVAG's
// amplified one lΣ/B.
func TestNoiseOfSGDAndSVAGHasItsCovariance(t *testing.T) {
	p, a, centres, _ := bowl()
	const rate, batch, seeds = 0.5, 3, 20000
	start := []float64{3, -2, 5}
	grad := make([]float64, 3)
	p.Gradient(grad, start, nil)
	sigma := product(a, covariance(centres), a)
	for _, l := range []int{1, 2, 8} {
		added, products := firstSteps(t, seeds, start, func(seed uint64) Path[float64] {
			return must(NewSVAG[float64](p, start, SVAGConfig{Rate: rate, Batch: batch, L: l, Seed: seed}))
		})
		h := rate / float64(l)
		for i := range 3 {
			within(t, "drift", added[i], -h*grad[i])
			for j := range 3 {
				within(t, "covariance", products[i*3+j], h*h*float64(l)/batch*sigma.At(i, j))
			}
		}
	}
}
