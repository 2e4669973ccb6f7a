package measure

import (
	"math"

	"sgflow/engine"
)

var gradCosine = Quantity{
	Name:    "grad_cosine",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "ḡᵀḡ′/(‖ḡ‖‖ḡ′‖) with ḡ′ the gradient of the step before; absent at the first step and where either is 0",
	Unit:    "1",
	Cost:    "a pass over ḡ and ḡ′",
	Needs:   Training,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureGradCosine[float32], measureGradCosine[float64]},
}

// lastGradient names the vector that holds the last point's ḡ.
const lastGradient = "grad_cosine.last"

func measureGradCosine[T engine.Float](p *Point[T]) error {
	const lastSq = "grad_cosine.last_norm_sq"
	g, _ := p.Noise()
	if norm := math.Sqrt(g.NormSq * p.number(lastSq)); norm > 0 {
		p.log("grad_cosine", p.lastDot/norm)
	}
	p.setNumber(lastSq, g.NormSq)
	return nil
}
