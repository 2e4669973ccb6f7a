package measure

import (
	"math"

	"sgflow/engine"
)

// The tests of adaptive sampling (Byrd et al. 2012; Bollapragada et al. 2017)
// ask whether the noise in ḡ is small against ḡ: logged is the smallest
// constant with which the test still passes.

var normTest = Quantity{
	Name:    "norm_test",
	Group:   Noise,
	Sets:    []string{setNoise, setEconomy, setBusiness, setFull},
	Formula: "√(tr Σ̂/n)/‖ḡ‖, the smallest θ with which the norm test passes; absent for n = 1 and ḡ = 0",
	Source:  "Byrd et al. 2012, doi:10.1007/s10107-012-0572-5",
	Unit:    "1",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms,
	measure: rule{measureNormTest[float32], measureNormTest[float64]},
}

func measureNormTest[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok && g.NormSq > 0 {
		v, ok := g.VarTrace()
		p.logIf("norm_test", math.Sqrt(v/float64(p.n)/g.NormSq), ok)
	}
	return nil
}

var innerProductTest = Quantity{
	Name:    "inner_product_test",
	Group:   Noise,
	Sets:    []string{setEconomy, setBusiness, setFull},
	Formula: "√(Var(gᵢᵀḡ)/n)/‖ḡ‖², with the unbiased variance over the samples: the smallest θ with which the inner-product test passes; absent for n = 1 and ḡ = 0",
	Source:  "Bollapragada et al. 2017, arXiv:1710.11258, eq. 2.6",
	Unit:    "1",
	Cost:    "0.1 steps for the products gᵢᵀḡ",
	Needs:   SampleNorms | SampleGrads,
	measure: rule{measureInnerProductTest[float32], measureInnerProductTest[float64]},
}

func measureInnerProductTest[T engine.Float](p *Point[T]) error {
	g, ok := p.Noise()
	if !ok || p.n < 2 || g.NormSq == 0 {
		return nil
	}
	v, _ := variance(p.MeanDots())
	p.log("inner_product_test", math.Sqrt(v/float64(p.n))/g.NormSq)
	return nil
}

var orthogonalityTest = Quantity{
	Name:    "orthogonality_test",
	Group:   Noise,
	Sets:    []string{setEconomy, setBusiness, setFull},
	Formula: "√(Σᵢ‖gᵢ − (gᵢᵀḡ/‖ḡ‖²)ḡ‖²/((n−1)n))/‖ḡ‖, the smallest ν with which the orthogonality test passes; absent for n = 1 and ḡ = 0",
	Source:  "Bollapragada et al. 2017, arXiv:1710.11258, eq. 3.3",
	Unit:    "1",
	Cost:    "none beside inner_product_test",
	Needs:   SampleNorms | SampleGrads,
	measure: rule{measureOrthogonalityTest[float32], measureOrthogonalityTest[float64]},
}

func measureOrthogonalityTest[T engine.Float](p *Point[T]) error {
	g, ok := p.Noise()
	if !ok || p.n < 2 || g.NormSq == 0 {
		return nil
	}
	norms, sum := p.SampleNormSq(), 0.0
	for i, d := range p.MeanDots() {
		sum += max(0, norms[i]-d*d/g.NormSq)
	}
	n := float64(p.n)
	p.log("orthogonality_test", math.Sqrt(sum/((n-1)*n)/g.NormSq))
	return nil
}
