package measure

import "sgflow/engine"

var fisherLambdaMax = Quantity{
	Name:  "fisher_lambda_max",
	Keys:  []string{"fisher_lambda_max", "fisher_lambda_max_residual"},
	Group: Flatness,
	Formula: "the largest eigenvalue of the empirical Fisher matrix (1/n) Σ gᵢgᵢᵀ, whose trace is fisher_trace: " +
		"exact, that of the n×n matrix gᵢᵀgⱼ/n; for samples beyond the session's capacity iterated, with the residual of its unit vector",
	Source:  "Kunstner, Balles & Hennig 2019, arXiv:1905.12558, equation 3",
	Unit:    "loss² per parameter²",
	Cost:    "0.1 steps and a dense eigenproblem of size n",
	Needs:   SampleGrads,
	measure: rule{measureFisherLambdaMax[float32], measureFisherLambdaMax[float64]},
}

func measureFisherLambdaMax[T engine.Float](p *Point[T]) error {
	if values, ok := EmpiricalFisherEigenvalues(p.o); ok {
		p.log("fisher_lambda_max", values[0])
		return nil
	}
	f, err := EmpiricalFisher(p.o)
	if err != nil {
		return absent(err)
	}
	return eigenvalue(p, "fisher_lambda_max", f, false)
}

var fisherMCTrace = Quantity{
	Name:  "fisher_mc_trace",
	Keys:  []string{"fisher_mc_trace", "fisher_mc_trace_stderr"},
	Group: Flatness,
	Formula: "(1/n) Σ‖ĝᵢ‖², ĝᵢ the gradient for a label drawn from the model's own distribution (softmax; for mse a Gaussian of unit variance), " +
		"with its standard error over samples, as an estimate of a population's Fisher trace; the exact value for the samples is ggn_trace",
	Source:  "Martens 2020, arXiv:1412.1193, section 5; Kunstner, Balles & Hennig 2019, arXiv:1905.12558",
	Unit:    "loss² per parameter²",
	Cost:    "a backward pass with sample norms",
	Needs:   Products | Logits,
	measure: rule{measureFisherMCTrace[float32], measureFisherMCTrace[float64]},
}

func measureFisherMCTrace[T engine.Float](p *Point[T]) error {
	f, err := p.sampledFisher()
	if err != nil {
		return absent(err)
	}
	a, err := f.Trace(p.ctx)
	if err != nil {
		return absent(err)
	}
	p.logAverage("fisher_mc_trace", "fisher_mc_trace_stderr", a)
	return nil
}

var fisherMCLambdaMax = Quantity{
	Name:    "fisher_mc_lambda_max",
	Keys:    []string{"fisher_mc_lambda_max", "fisher_mc_lambda_max_residual"},
	Group:   Flatness,
	Formula: "the largest eigenvalue of (1/n) Σ ĝᵢĝᵢᵀ with the drawn labels of fisher_mc_trace, with the residual of its unit vector",
	Source:  "Martens 2020, arXiv:1412.1193, section 5",
	Unit:    "loss² per parameter²",
	Cost:    "5 to 15 products, each about a gradient",
	Needs:   Products | Logits,
	measure: rule{measureFisherMCLambdaMax[float32], measureFisherMCLambdaMax[float64]},
}

func measureFisherMCLambdaMax[T engine.Float](p *Point[T]) error {
	f, err := p.sampledFisher()
	if err != nil {
		return absent(err)
	}
	return eigenvalue(p, "fisher_mc_lambda_max", f, false)
}
