package flow

import (
	"context"
	"math"
	"os"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sgflow/engine/flow/model"
	"sgflow/engine/rng"
)

// tilts are n×d slopes of mean zero.
func tilts(n, d int) *mat.Dense {
	s := rng.New(rng.Labels, 3, 0)
	m := mat.NewDense(n, d, nil)
	for i := range n / 2 {
		for k := range d {
			x := s.NormFloat64()
			m.Set(2*i, k, x)
			m.Set(2*i+1, k, -x)
		}
	}
	return m
}

// From a saddle SGD leaves along the direction of negative curvature −b as
// y_k ≈ Y(1 + ηb)^k, Y being the sum of all its noise, seen from the start: normal
// with variance s² = η²σ²/B/((1 + ηb)² − 1). So it reaches |y| = R in
//
//	ln(R/|Y|)/ln(1 + ηb) steps, (ln(R/s) + (γ + ln 2)/2)/ln(1 + ηb) + ½ on average:
//
// the time grows as the logarithm of 1/noise, not as a power of it.
func TestEscapeFromASaddleTakesTheLogarithmOfTheNoise(t *testing.T) {
	const b, rate, radius, seeds = 0.5, 0.05, 30, 2500
	noises := tilts(16, 2)
	p := model.Saddle([]float64{1, -b}, noises)
	sigma := covariance(noises).At(1, 1)
	growth := math.Log1p(rate * b)
	var means []float64
	for _, batch := range []int{1, 8, 64} {
		var path func(seed uint64) Path[float64]
		if batch <= p.Samples() {
			path = func(seed uint64) Path[float64] {
				return must(NewSGD[float64](p, []float64{0, 0}, SGDConfig{Rate: rate, Batch: batch, Seed: seed}))
			}
		} else { // as its equation has it
			path = func(seed uint64) Path[float64] {
				return must(NewDiffusion[float64](p, []float64{0, 0}, DiffusionConfig{Rate: rate, Batch: batch, Seed: seed}))
			}
		}
		steps := make([]float64, seeds)
		for seed := range steps {
			steps[seed] = float64(untilPast(t, path(uint64(seed)), 1, radius))
		}
		s := math.Sqrt(rate * rate * sigma / float64(batch) / (math.Pow(1+rate*b, 2) - 1))
		const euler = 0.57721566490153286
		want := (math.Log(radius/s)+(euler+math.Ln2)/2)/growth + 0.5
		within(t, "steps to leave the saddle", steps, want)
		means = append(means, stat.Mean(steps, nil))
	}
	// Eight times less noise, twice: each time ½ ln 8/ln(1 + ηb) more steps, 42.
	if d := (means[2] - means[1]) - (means[1] - means[0]); math.Abs(d) > 8 { // ± 2.2
		t.Errorf("steps %v: they do not grow as the logarithm of the noise", means)
	}
}

// untilPast walks until coordinate k is r or more in magnitude, and returns the steps.
func untilPast(t *testing.T, p Path[float64], k int, r float64) int {
	t.Helper()
	for steps := 0; ; steps++ {
		if math.Abs(p.Theta()[k]) >= r {
			return steps
		}
		if err := p.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// The barrier of the double well h(x² − 1)².
const barrier = 0.25

// passage returns the mean time in which dx = −U′dt + √(2𝒯)dW first passes from −1
// to 1 in the double well, exactly (Gardiner 2009, Stochastic Methods, eq. 5.5.23):
// (1/𝒯) ∫₋₁¹ e^{U(y)/𝒯} ∫₋∞^y e^{−U(z)/𝒯} dz dy.
func passage(temperature float64) float64 {
	u := func(x float64) float64 { return barrier * (x*x - 1) * (x*x - 1) / temperature }
	inner := func(y float64) float64 {
		return quad.Fixed(func(z float64) float64 { return math.Exp(-u(z)) }, -4, y, 300, quad.Legendre{}, 0)
	}
	return quad.Fixed(func(y float64) float64 { return math.Exp(u(y)) * inner(y) }, -1, 1, 300, quad.Legendre{}, 0) / temperature
}

// kramers returns Kramers' time (1940), 2π/√(U″(−1)|U″(0)|)·e^{ΔU/𝒯}.
func kramers(temperature float64) float64 {
	return 2 * math.Pi / math.Sqrt(8*barrier*4*barrier) * math.Exp(barrier/temperature)
}

func TestPassageTendsToKramersLaw(t *testing.T) {
	last := 1.0
	for _, ratio := range []float64{4, 8, 16, 32} {
		off := math.Abs(passage(barrier/ratio)/kramers(barrier/ratio) - 1)
		if off > 0.6*last {
			t.Errorf("ΔU/𝒯 = %v: %v off, before %v", ratio, off, last)
		}
		last = off
	}
	if last > 0.03 {
		t.Errorf("ΔU/𝒯 = 32: still %v off", last)
	}
}

// escapes returns the times at which paths first pass from −1 to 1.
func escapes(t *testing.T, seeds int, rate float64, open func(seed uint64) Path[float64]) []float64 {
	t.Helper()
	times := make([]float64, seeds)
	for seed := range times {
		p := open(uint64(seed))
		for p.Theta()[0] < 1 {
			if err := p.Step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		times[seed] = p.Time()
	}
	return times
}

// SGD with noise of variance σ² in a well of height ΔU escapes as a particle of
// temperature 𝒯 = ησ²/2B does: in Kramers' time, exponential in ΔU·B/η.
func TestEscapeFromAWellTakesKramersTime(t *testing.T) {
	const rate, n = 0.02, 64
	seeds, ratios := 500, []float64{1.5, 3}
	if os.Getenv("SGFLOW_SLOW") != "" {
		seeds, ratios = 1500, []float64{1.5, 3, 4.5}
	}
	slopes := tilts(n, 1)
	variance := covariance(slopes).At(0, 0)
	for _, ratio := range ratios {
		temperature := barrier / ratio
		want := passage(temperature)
		const batch = 4
		scaled := mat.NewDense(n, 1, nil)
		scaled.Scale(math.Sqrt(2*batch*temperature/(rate*variance)), slopes)
		noisy := model.DoubleWell(barrier, scaled.RawMatrix().Data)
		still := model.DoubleWell(barrier, []float64{0})
		for name, open := range map[string]func(seed uint64) Path[float64]{
			"SGD": func(seed uint64) Path[float64] {
				return must(NewSGD[float64](noisy, []float64{-1}, SGDConfig{Rate: rate, Batch: batch, Seed: seed}))
			},
			"Langevin dynamics": func(seed uint64) Path[float64] {
				return must(NewLangevin[float64](still, []float64{-1}, LangevinConfig{Rate: rate, Temperature: temperature, Seed: seed}))
			},
		} {
			times := escapes(t, seeds, rate, open)
			mean, deviation := stat.MeanStdDev(times, nil)
			stderr := stat.StdErr(deviation, float64(seeds))
			// A walk in steps sees the end late, by 0.58 of a step's noise, and
			// its exponent is off by some η: together below 3 % here.
			if math.Abs(mean-want) > sigmas*stderr+0.03*want {
				t.Errorf("%s, ΔU/𝒯 = %v: mean time %.4g ± %.2g, want %.4g (Kramers' law %.4g)", name, ratio, mean, stderr, want, kramers(temperature))
			}
			// Times of escape over a barrier have no memory: their deviation is their
			// mean, less the time that the way itself takes.
			if ratio >= 3 && math.Abs(deviation/mean-1) > 0.2 {
				t.Errorf("%s, ΔU/𝒯 = %v: deviation %v of times with mean %v: not exponential", name, ratio, deviation, mean)
			}
		}
	}
}
