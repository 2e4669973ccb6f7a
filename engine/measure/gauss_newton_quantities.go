package measure

import "sgflow/engine"

var ggnTrace = Quantity{
	Name:  "ggn_trace",
	Group: Flatness,
	Formula: "tr G of the Gauss-Newton matrix G = (1/n) Σ JᵢᵀHᵢJᵢ, Jᵢ the Jacobian of the logits and Hᵢ the loss's Hessian in them; exact: " +
		"(1/n) Σᵢ Σ_c pᵢ_c‖Jᵢᵀ(e_c − pᵢ)‖² for cross-entropy, (1/n) Σᵢ Σ_c ‖Jᵢᵀe_c‖² for mse; also the trace of the exact Fisher matrix",
	Source:  "Schraudolph 2002, doi:10.1162/08997660260028683; equality with the Fisher: Martens 2020, arXiv:1412.1193, section 9.2",
	Unit:    "loss per parameter²",
	Cost:    "a backward pass with sample norms for each class",
	Needs:   Products | Logits,
	measure: rule{measureGGNTrace[float32], measureGGNTrace[float64]},
}

func measureGGNTrace[T engine.Float](p *Point[T]) error {
	a, err := p.gaussNewton()
	if err != nil {
		return absent(err)
	}
	c := &p.curvature
	c.blocks = grow(c.blocks, len(p.o.s.Program().Params))
	clear(c.blocks)
	if err := a.addTrace(p.ctx, c.blocks, p.progress("ggn_trace")); err != nil {
		return absent(err)
	}
	trace := 0.0
	for _, v := range c.blocks {
		trace += v
	}
	p.log("ggn_trace", trace)
	return nil
}

var ggnLambdaMax = Quantity{
	Name:    "ggn_lambda_max",
	Keys:    []string{"ggn_lambda_max", "ggn_lambda_max_residual"},
	Group:   Flatness,
	Formula: "the largest eigenvalue of the Gauss-Newton matrix G, with the residual ‖Gv − λv‖ of its unit vector; also that of the exact Fisher matrix",
	Source:  "Schraudolph 2002, doi:10.1162/08997660260028683; Lanczos 1950, doi:10.6028/jres.045.026",
	Unit:    "loss per parameter²",
	Cost:    "5 to 15 products with G, each about a gradient",
	Needs:   Products | Logits,
	measure: rule{measureGGNLambdaMax[float32], measureGGNLambdaMax[float64]},
}

func measureGGNLambdaMax[T engine.Float](p *Point[T]) error {
	a, err := p.gaussNewton()
	if err != nil {
		return absent(err)
	}
	return eigenvalue(p, "ggn_lambda_max", a, false)
}
