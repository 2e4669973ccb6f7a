package measure

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"sgflow/engine"
)

var noiseScaleInterval = Quantity{
	Name: "noise_scale_interval",
	Keys: []string{
		"grad_var_trace_stderr", "grad_norm_sq_unbiased_stderr", "noise_scale_low", "noise_scale_high",
	},
	Group: Noise,
	Formula: "standard errors of S = tr Σ̂ and G = ‖ḡ‖² − tr Σ̂/n by the jackknife over the samples, and the 95 % interval of S/G by Fieller's theorem from them: " +
		"all b with (S − bG)² ≤ t²·Var(S − bG), t of n − 1 degrees of freedom; an end is absent where the interval has none; all absent for n < 3",
	Source:  "Efron & Stein 1981, doi:10.1214/aos/1176345462; Fieller 1954, doi:10.1111/j.2517-6161.1954.tb00159.x",
	Unit:    "as the quantities themselves",
	Cost:    "0.1 steps for the products gᵢᵀḡ, shared with inner_product_test",
	Needs:   SampleNorms | SampleGrads,
	measure: rule{measureNoiseInterval[float32], measureNoiseInterval[float64]},
}

func measureNoiseInterval[T engine.Float](p *Point[T]) error {
	g, ok := p.Noise()
	if !ok || p.n < 3 {
		return nil
	}
	s, _ := g.VarTrace()
	d, _ := g.NormSqUnbiased()
	j := jackknife(p.SampleNormSq(), p.MeanDots(), g.NormSq)
	p.log("grad_var_trace_stderr", math.Sqrt(j.ss))
	p.log("grad_norm_sq_unbiased_stderr", math.Sqrt(j.dd))
	t := studentT(p)
	low, high := fieller(s, d, j, t)
	p.logIf("noise_scale_low", low, !math.IsInf(low, 0))
	p.logIf("noise_scale_high", high, !math.IsInf(high, 0))
	return nil
}

// studentT returns the 97.5 % quantile of Student's t with n − 1 degrees of
// freedom, remembered as long as n stays the same.
func studentT[T engine.Float](p *Point[T]) float64 {
	const name = "noise_scale_interval.t" // n, quantile
	t := p.list(name)
	if t == nil {
		t = make([]float64, 2)
		p.remember(name, t)
	}
	if t[0] != float64(p.n) {
		t[0], t[1] = float64(p.n), distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(p.n - 1)}.Quantile(0.975)
	}
	return t[1]
}

// covariance is that of estimates of S = tr Σ̂ and G = ‖ḡ‖² − S/n.
type covariance struct{ ss, sd, dd float64 }

// jackknife returns the jackknife covariance of S and G from a[i] = ‖gᵢ‖²,
// d[i] = gᵢᵀḡ and gg = ‖ḡ‖², n ≥ 3 samples. Leaving out sample i, with m = n−1,
//
//	‖ḡ₍ᵢ₎‖² = (n²‖ḡ‖² − 2n dᵢ + aᵢ)/m²
//	S₍ᵢ₎ = (Σⱼaⱼ − aᵢ − m‖ḡ₍ᵢ₎‖²)/(m−1),   G₍ᵢ₎ = ‖ḡ₍ᵢ₎‖² − S₍ᵢ₎/m
//
// and the covariance is (m/n) Σᵢ of products of deviations from their means.
func jackknife(a, d []float64, gg float64) (c covariance) {
	n := float64(len(a))
	m := n - 1
	sum := 0.0
	for _, x := range a {
		sum += x
	}
	without := func(i int) (s, g float64) {
		sq := (n*n*gg - 2*n*d[i] + a[i]) / (m * m)
		s = (sum - a[i] - m*sq) / (m - 1)
		return s, sq - s/m
	}
	var meanS, meanG float64
	for i := range a {
		s, g := without(i)
		meanS += s / n
		meanG += g / n
	}
	for i := range a {
		s, g := without(i)
		c.ss += m / n * (s - meanS) * (s - meanS)
		c.sd += m / n * (s - meanS) * (g - meanG)
		c.dd += m / n * (g - meanG) * (g - meanG)
	}
	return c
}

// fieller returns the interval of the ratio s/d: all b with
// (s − b·d)² ≤ t²·(ss − 2b·sd + b²·dd), as far as b ≥ 0, which a noise scale
// is. Where d is not significantly above zero the interval has no upper end,
// +Inf.
func fieller(s, d float64, c covariance, t float64) (low, high float64) {
	// A b² − 2B b + C ≤ 0
	a, b, e := d*d-t*t*c.dd, s*d-t*t*c.sd, s*s-t*t*c.ss
	root := b*b - a*e
	switch {
	case a > 0 && root >= 0 && d > 0:
		r := math.Sqrt(root)
		return max(0, (b-r)/a), (b + r) / a
	case a < 0 && root > 0:
		// Everything but what lies between the roots; the part that holds s/d
		// (or, for d ≤ 0, ends in infinity) is the upper one.
		return max(0, (b-math.Sqrt(root))/a), math.Inf(1)
	}
	return 0, math.Inf(1)
}
