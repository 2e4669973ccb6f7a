package measure

import "sgflow/engine"

var batchSharpness = Quantity{
	Name:    "batch_sharpness",
	Group:   Flatness,
	Sets:    []string{setFlatness},
	Formula: "ḡᵀHḡ/‖ḡ‖², H and ḡ of the same samples; absent for ḡ = 0",
	Source:  "Andreyev & Beneventano 2024, arXiv:2412.20553",
	Unit:    "loss per parameter²",
	Cost:    "1 Hessian-vector product, shared with lambda_max",
	Needs:   Products,
	queue:   rule{queueBatchSharpness[float32], queueBatchSharpness[float64]},
	measure: rule{measureBatchSharpness[float32], measureBatchSharpness[float64]},
}

func queueBatchSharpness[T engine.Float](p *Point[T]) error {
	p.queueNormSq()
	p.queueGradientProduct()
	return nil
}

func measureBatchSharpness[T engine.Float](p *Point[T]) error {
	if gg := p.gradNormSq(); gg > 0 {
		_, gHg := p.GradientProduct()
		p.log("batch_sharpness", gHg/gg)
	}
	return nil
}
