package train

import (
	"math"
	"testing"

	"sgflow/data"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
)

// covariances is what the injected noise of a batch should have: f = 1/B − 1/n of
// the samples' covariance, whose gradients are computed one by one.
type covariances struct {
	samples [][]float64 // gᵢ − ḡ
	share   float64
}

// along returns aᵀΣ̂b·f.
func (c *covariances) along(a, b []float64) float64 {
	sum := 0.0
	for _, g := range c.samples {
		x, y := 0.0, 0.0
		for i := range g {
			x += a[i] * g[i]
			y += b[i] * g[i]
		}
		sum += x * y
	}
	return c.share * sum / float64(len(c.samples)-1)
}

// basis returns the unit vector of element k.
func basis(n, k int) []float64 {
	v := make([]float64, n)
	v[k] = 1
	return v
}

// newInjected returns an injector at the first batch of c, its own noise, the
// covariance it should have, and the batch.
func newInjected(t *testing.T, c *Config) (*injector[float64], measure.GradientNoise, *covariances) {
	t.Helper()
	r := newReplayed(t, c)
	batch := r.sampler.Batch(0, nil)
	cov := &covariances{}
	mean := r.gradient(append([]float64(nil), r.theta...), batch)
	for i := range batch {
		g := r.gradient(append([]float64(nil), r.theta...), batch[i:i+1])
		for k := range g {
			g[k] -= mean[k]
		}
		cov.samples = append(cov.samples, g)
	}
	j, err := parseInjection(c.Noise)
	if err != nil {
		t.Fatal(err)
	}
	cov.share = 1/j.batch - 1/float64(len(batch))
	r.Gradient(batch, true)
	own, _, _ := r.Noise(nil)
	return newInjector(j, r.Objective, c.Seed), own, cov
}

// Moments of K draws of a normal number of variance s² have a variance estimate of
// relative standard deviation √(2/K), and a covariance of two of them one of at most
// s₁s₂√(2/K): five of these are exceeded with probability 6e-7.
func TestInjectedNoiseHasTheCovarianceItPromises(t *testing.T) {
	const draws = 4000
	for _, noise := range []string{"sigma:8", "diagonal:8", "isotropic:8", "gaussian:0.3"} {
		c := smallConfig(t)
		c.DType, c.Noise = problem.Float64, noise
		j, own, cov := newInjected(t, &c)
		n := len(j.noise)

		trace := 0.0
		var big [2]int // the two elements whose variances are largest
		variances := make([]float64, n)
		for k := range n {
			for _, g := range cov.samples {
				variances[k] += cov.share * g[k] * g[k] / float64(len(cov.samples)-1)
			}
			trace += variances[k]
			if variances[k] > variances[big[0]] {
				big[0], big[1] = k, big[0]
			} else if k != big[0] && (big[1] == big[0] || variances[k] > variances[big[1]]) {
				big[1] = k
			}
		}
		a, b := basis(n, big[0]), basis(n, big[1])
		mixed := make([]float64, n) // a direction that no covariance is diagonal in
		for k := range mixed {
			mixed[k] = math.Cos(float64(k))
		}
		directions := [][]float64{a, b, mixed}
		var want [3][3]float64
		for x := range directions {
			for y := range directions {
				switch j.kind {
				case noiseSigma:
					want[x][y] = cov.along(directions[x], directions[y])
				case noiseDiagonal:
					for k := range n {
						want[x][y] += variances[k] * directions[x][k] * directions[y][k]
					}
				case noiseIsotropic, noiseGaussian:
					s := trace / float64(n)
					if j.kind == noiseGaussian {
						s = 0.09
					}
					for k := range n {
						want[x][y] += s * directions[x][k] * directions[y][k]
					}
				}
			}
		}
		var got [3][3]float64
		var mean [3]float64
		for step := range draws {
			if !j.draw(step, len(cov.samples), own) {
				t.Fatalf("%s: no noise", noise)
			}
			var at [3]float64
			for x, d := range directions {
				for k, v := range j.noise {
					at[x] += d[k] * v
				}
				mean[x] += at[x] / draws
			}
			for x := range at {
				for y := range at {
					got[x][y] += at[x] * at[y] / draws
				}
			}
		}
		for x := range directions {
			if d := math.Sqrt(want[x][x]); math.Abs(mean[x]) > 5*d/math.Sqrt(draws) {
				t.Errorf("%s: along direction %d its mean is %v, and its deviation %v", noise, x, mean[x], d)
			}
			for y := range directions {
				bound := 5 * math.Sqrt(2.0/draws) * math.Sqrt(want[x][x]*want[y][y])
				if math.Abs(got[x][y]-want[x][y]) > bound {
					t.Errorf("%s: covariance of directions %d and %d is %v, want %v ± %v", noise, x, y, got[x][y], want[x][y], bound)
				}
			}
		}
	}
}

func TestSmallBatchesGetNoImitatedNoise(t *testing.T) {
	c := smallConfig(t)
	c.DType, c.Noise = problem.Float64, "sigma:8"
	j, own, _ := newInjected(t, &c)
	for _, n := range []int{8, 7, 1} {
		if j.draw(0, n, own) {
			t.Errorf("a batch of %d got noise of batches of 8", n)
		}
	}
}

// The chunks of a set that is larger than the session are one set: the same noise.
func TestInjectedNoiseDoesNotDependOnChunks(t *testing.T) {
	c := smallConfig(t)
	c.DType, c.Sampling = problem.Float64, string(data.Full)
	for _, noise := range []string{"sigma:8", "diagonal:8", "isotropic:8"} {
		c.Noise = noise
		var drawn [2][]float64
		for k, capacity := range []int{smallTrain, 256} {
			r := newReplayed(t, &c)
			p, err := c.open()
			if err != nil {
				t.Fatal(err)
			}
			p.Program = r.Session().Program()
			s, err := problem.NewSession[float64](p, capacity)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			copy(s.Params(), r.theta)
			o := problem.NewObjective(p, s, p.Train)
			parsed, err := parseInjection(noise)
			if err != nil {
				t.Fatal(err)
			}
			j := newInjector(parsed, o, 3)
			all := problem.Sequence(0, p.Train.N)
			o.Gradient(all, true)
			own, _, _ := o.Noise(nil)
			if !j.draw(0, len(all), own) {
				t.Fatalf("%s: no noise", noise)
			}
			drawn[k] = j.noise
		}
		wantNear(t, noise, drawn[1], drawn[0], 1e-10) // sums of 320 numbers in another order
	}
}
