package measure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// The interval holds the ratio itself and every b that the data do not reject,
// and ends at such that they just do.
func TestFiellersIntervalHoldsWhatIsNotRejected(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		positive := rapid.Float64Range(1e-3, 1e3)
		s, d := positive.Draw(r, "s"), rapid.Float64Range(-1e3, 1e3).Draw(r, "d")
		deviationS, deviationD := positive.Draw(r, "deviation of s"), positive.Draw(r, "deviation of d")
		c := covariance{ss: deviationS * deviationS, dd: deviationD * deviationD}
		c.sd = rapid.Float64Range(-1, 1).Draw(r, "correlation") * deviationS * deviationD
		const q = 2.2
		low, high := fieller(s, d, c, q)
		// At most 0 where b is not rejected; relative to its terms.
		excess := func(b float64) float64 {
			left, right := (s-b*d)*(s-b*d), q*q*(c.ss-2*b*c.sd+b*b*c.dd)
			return (left - right) / (s*s + b*b*d*d + q*q*(c.ss+b*b*c.dd))
		}
		if d > 0 && (s/d < low*(1-1e-9) || s/d > high*(1+1e-9)) {
			r.Errorf("the ratio %g is not in [%g, %g]", s/d, low, high)
		}
		if low > 0 && math.Abs(excess(low)) > 1e-9 {
			r.Errorf("low end %g: %g", low, excess(low))
		}
		if !math.IsInf(high, 1) && math.Abs(excess(high)) > 1e-9 {
			r.Errorf("high end %g: %g", high, excess(high))
		}
		for b := 1e-7; b < 1e7; b *= 1.1 {
			if excess(b) < -1e-9 && (b < low || b > high) {
				r.Errorf("%g is not rejected (%g) and not in [%g, %g]", b, excess(b), low, high)
			}
		}
	})
}

// source draws gradients g = s·(μ + e): e of covariance diag(l²) and trace 1,
// from normal or from centred exponential numbers, and s log-normal with mean
// 1. The scale of the mean is chosen later.
type source struct {
	name  string
	decay float64 // of the eigenvalues k^−decay
	skew  bool    // exponential
	sigma float64 // of log s
}

const sourceDim = 100

var sources = []source{
	{"normal, flat spectrum", 0, false, 0},
	{"normal, spectrum 1/k", 1, false, 0},
	{"normal, spectrum 1/k²", 2, false, 0},
	{"exponential, spectrum 1/k", 1, true, 0},
	{"norms log-normal 0.5, spectrum 1/k", 1, false, 0.5},
	{"norms log-normal 1, spectrum 1/k", 1, false, 1},
}

// drawnBatch is what is needed of a batch to give its statistics for any ‖μ‖.
type drawnBatch struct {
	s, ue, ee, em []float64 // of each sample: s, uᵀe, ‖e‖² and eᵀ(mean of s·e), u the unit vector of μ
	sMean, um, mm float64   // mean of s; with m the mean of s·e: uᵀm and ‖m‖²
}

// draw draws n samples.
func (p source) draw(n int, r *rand.Rand) *drawnBatch {
	b := &drawnBatch{s: make([]float64, n), ue: make([]float64, n), ee: make([]float64, n), em: make([]float64, n)}
	l, trace := make([]float64, sourceDim), 0.0
	for k := range l {
		trace += math.Pow(float64(k+1), -p.decay)
	}
	for k := range l {
		l[k] = math.Sqrt(math.Pow(float64(k+1), -p.decay) / trace)
	}
	e, mean := make([][]float64, n), make([]float64, sourceDim)
	for i := range e {
		b.s[i] = math.Exp(p.sigma*r.NormFloat64() - p.sigma*p.sigma/2)
		b.sMean += b.s[i] / float64(n)
		e[i] = make([]float64, sourceDim)
		for k := range e[i] {
			x := r.NormFloat64()
			if p.skew {
				x = r.ExpFloat64() - 1
			}
			e[i][k] = l[k] * x
			b.ue[i] += e[i][k] / math.Sqrt(sourceDim)
			mean[k] += b.s[i] * e[i][k] / float64(n)
		}
		b.ee[i] = dot(e[i], e[i])
	}
	for i := range e {
		b.em[i] = dot(e[i], mean)
	}
	for _, x := range mean {
		b.um += x / math.Sqrt(sourceDim)
	}
	b.mm = dot(mean, mean)
	return b
}

// at returns ‖gᵢ‖², gᵢᵀḡ and ‖ḡ‖² for ‖μ‖ = length.
func (b *drawnBatch) at(length float64) (a, d []float64, gg float64) {
	for i, s := range b.s {
		a = append(a, s*s*(length*length+2*length*b.ue[i]+b.ee[i]))
		d = append(d, s*(length*(length*b.sMean+b.um)+length*b.sMean*b.ue[i]+b.em[i]))
		gg += d[i] / float64(len(b.s))
	}
	return a, d, gg
}

// population returns ‖μ‖² and tr Σ of gradients of that noise scale.
func (p source) population(scale float64) (normSq, trace float64) {
	// tr Σ = E s²(‖μ‖² + 1) − ‖μ‖², with E s² = exp σ².
	ss := math.Exp(p.sigma * p.sigma)
	normSq = ss / (scale + 1 - ss)
	return normSq, scale * normSq
}

// misses counts the intervals that do not hold what they are of.
type misses struct{ low, high, s, g float64 }

// simulate returns the shares of misses over trials with batches of n, for the
// given noise scales.
func (p source) simulate(n, trials int, scales []float64, seed uint64) []misses {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	t, out := quantileOfT(float64(n-1)), make([]misses, len(scales))
	count := func(x *float64, missed bool) {
		if missed {
			*x += 1 / float64(trials)
		}
	}
	for range trials {
		b := p.draw(n, r)
		for k, scale := range scales {
			normSq, trace := p.population(scale)
			a, d, gg := b.at(math.Sqrt(normSq))
			sum := 0.0
			for _, x := range a {
				sum += x
			}
			noise := GradientNoise{Samples: n, NormSq: gg, MeanSampleNormSq: sum / float64(n)}
			s, _ := noise.VarTrace()
			g, _ := noise.NormSqUnbiased()
			c := jackknife(a, d, gg)
			low, high := fieller(s, g, c, t)
			count(&out[k].low, scale < low)
			count(&out[k].high, scale > high)
			count(&out[k].s, math.Abs(s-trace) > t*math.Sqrt(c.ss))
			count(&out[k].g, math.Abs(g-normSq) > t*math.Sqrt(c.dd))
		}
	}
	return out
}

// expectedMisses holds, for batches of 16, 64 and 256 and a noise scale of 0.2, 1
// and 10 batches, the share of 20,000 simulations (10,000 of the largest) in which
// the noise scale was below or above its interval, and in which tr Σ and ‖μ‖² were
// more than t standard errors from their estimates.
var expectedMisses = map[string]map[int][3]misses{
	"normal, flat spectrum": {
		16:  {{0.0222, 0.0165, 0.0460, 0.0414}, {0.0152, 0.0092, 0.0460, 0.0252}, {0.0054, 0.0034, 0.0460, 0.0097}},
		64:  {{0.0246, 0.0160, 0.0457, 0.0416}, {0.0174, 0.0074, 0.0457, 0.0252}, {0.0070, 0.0024, 0.0457, 0.0104}},
		256: {{0.0263, 0.0161, 0.0506, 0.0419}, {0.0196, 0.0077, 0.0506, 0.0272}, {0.0078, 0.0021, 0.0506, 0.0102}},
	},
	"normal, spectrum 1/k": {
		16:  {{0.0075, 0.0160, 0.0647, 0.0278}, {0.0075, 0.0030, 0.0647, 0.0162}, {0.0061, 0.0013, 0.0647, 0.0118}},
		64:  {{0.0223, 0.0052, 0.0545, 0.0337}, {0.0241, 0.0005, 0.0545, 0.0291}, {0.0160, 0.0001, 0.0545, 0.0262}},
		256: {{0.0303, 0.0031, 0.0498, 0.0336}, {0.0285, 0.0001, 0.0498, 0.0290}, {0.0167, 0.0001, 0.0498, 0.0279}},
	},
	"normal, spectrum 1/k²": {
		16:  {{0.0012, 0.0274, 0.0999, 0.0230}, {0.0020, 0.0015, 0.0999, 0.0142}, {0.0037, 0.0007, 0.0999, 0.0108}},
		64:  {{0.0124, 0.0011, 0.0647, 0.0710}, {0.0410, 0, 0.0647, 0.0720}, {0.0189, 0, 0.0647, 0.0686}},
		256: {{0.0480, 0, 0.0524, 0.0906}, {0.0866, 0, 0.0524, 0.0954}, {0.0252, 0, 0.0524, 0.0987}},
	},
	"exponential, spectrum 1/k": {
		16:  {{0.0020, 0.0469, 0.1251, 0.0339}, {0.0038, 0.0052, 0.1251, 0.0174}, {0.0056, 0.0036, 0.1251, 0.0122}},
		64:  {{0.0095, 0.0070, 0.0912, 0.0381}, {0.0168, 0.0009, 0.0912, 0.0285}, {0.0140, 0.0009, 0.0912, 0.0224}},
		256: {{0.0227, 0.0019, 0.0676, 0.0348}, {0.0268, 0.0003, 0.0676, 0.0315}, {0.0181, 0.0003, 0.0676, 0.0296}},
	},
	"norms log-normal 0.5, spectrum 1/k": {
		16:  {{0.0014, 0.0320, 0.1647, 0.0934}, {0.0011, 0.0023, 0.1537, 0.0614}, {0.0013, 0.0006, 0.1521, 0.0050}},
		64:  {{0.0059, 0.0133, 0.1009, 0.0649}, {0.0088, 0.0007, 0.0985, 0.0394}, {0.0080, 0.0003, 0.0979, 0.0151}},
		256: {{0.0164, 0.0040, 0.0738, 0.0436}, {0.0188, 0.0003, 0.0727, 0.0310}, {0.0121, 0, 0.0720, 0.0203}},
	},
	"norms log-normal 1, spectrum 1/k": {
		16:  {{0.0001, 0.1661, 0.4561, 0.2085}, {0, 0.0220, 0.4161, 0.2125}, {0, 0.0001, 0.4064, 0.0245}},
		64:  {{0.0002, 0.2854, 0.3067, 0.1313}, {0.0001, 0.0113, 0.3003, 0.1136}, {0.0006, 0.0001, 0.2988, 0.0067}},
		256: {{0.0003, 0.1448, 0.2108, 0.0845}, {0.0008, 0.0022, 0.2084, 0.0532}, {0.0037, 0.0001, 0.2075, 0.0096}},
	},
}

// The coverage of the intervals is what the comment of noiseScaleInterval says.
func TestCoverageOfTheNoiseScaleInterval(t *testing.T) {
	for _, p := range sources {
		for n, want := range expectedMisses[p.name] {
			t.Run(fmt.Sprintf("%s/%d", p.name, n), func(t *testing.T) {
				trials := 64000 / n
				size := float64(n)
				got := p.simulate(n, trials, []float64{0.2 * size, size, 10 * size}, 1)
				for k, scale := range []float64{0.2, 1, 10} {
					for what, x := range map[string][2]float64{
						"below the interval":                  {got[k].low, want[k].low},
						"above the interval":                  {got[k].high, want[k].high},
						"tr Σ beyond its standard error":      {got[k].s, want[k].s},
						"‖μ‖² beyond the standard error of G": {got[k].g, want[k].g},
					} {
						// Four standard deviations of both simulations, and a miss.
						p := x[1] + 1/float64(trials)
						allowed := 4*math.Sqrt(p*(1-p)*(1/float64(trials)+1e-4)) + 1/float64(trials)
						if math.Abs(x[0]-x[1]) > allowed {
							t.Errorf("noise scale %g batches: %s: %.4f of %d trials, want %.4f ± %.4f", scale, what, x[0], trials, x[1], allowed)
						}
					}
				}
			})
		}
	}
}
