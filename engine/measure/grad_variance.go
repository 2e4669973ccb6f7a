package measure

import "sgflow/engine"

var gradVarTrace = Quantity{
	Name:    "grad_var_trace",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "tr Σ̂ = Σᵢ‖gᵢ − ḡ‖²/(n−1), the unbiased trace of the covariance of the per-sample gradients; exact for the samples; absent for n = 1",
	Source:  "per-sample norms as Goodfellow 2015, arXiv:1510.01799",
	Unit:    "loss² per parameter²",
	Cost:    "0.05 steps for the sample norms",
	Needs:   SampleNorms,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureGradVarTrace[float32], measureGradVarTrace[float64]},
}

func measureGradVarTrace[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		x, ok := g.VarTrace()
		p.logIf("grad_var_trace", x, ok)
	}
	return nil
}

var fisherTrace = Quantity{
	Name:    "fisher_trace",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "(1/n) Σᵢ‖gᵢ‖², the trace of the empirical Fisher matrix",
	Unit:    "loss² per parameter²",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureFisherTrace[float32], measureFisherTrace[float64]},
}

func measureFisherTrace[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		p.log("fisher_trace", g.MeanSampleNormSq)
	}
	return nil
}
