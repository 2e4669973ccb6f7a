package measure

import "sgflow/engine"

var gradNormSq = Quantity{
	Name:    "grad_norm_sq",
	Group:   Noise,
	Sets:    []string{setNoise, setEconomy, setBusiness, setFull},
	Formula: "‖ḡ‖²",
	Unit:    "loss² per parameter²",
	Cost:    "a pass over ḡ",
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureGradNormSq[float32], measureGradNormSq[float64]},
}

func measureGradNormSq[T engine.Float](p *Point[T]) error {
	g, _ := p.Noise()
	p.log("grad_norm_sq", g.NormSq)
	return nil
}

var gradNormSqUnbiased = Quantity{
	Name:    "grad_norm_sq_unbiased",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "‖ḡ‖² − tr Σ̂/n, an unbiased estimate of the squared norm of the true gradient; may be negative; absent for n = 1",
	Source:  "McCandlish et al. 2018, arXiv:1812.06162, appendix A.1",
	Unit:    "loss² per parameter²",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureGradNormSqUnbiased[float32], measureGradNormSqUnbiased[float64]},
}

func measureGradNormSqUnbiased[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		x, ok := g.NormSqUnbiased()
		p.logIf("grad_norm_sq_unbiased", x, ok)
	}
	return nil
}
