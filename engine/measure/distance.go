package measure

import (
	"math"

	"sgflow/engine"
)

var distance = Quantity{
	Name:    "distance",
	Group:   Noise,
	Sets:    []string{setEconomy, setBusiness, setFull},
	Formula: "‖θ − θ₀‖, how far from where the run began (or from where it was first measured)",
	Unit:    "parameter",
	Cost:    "a pass over θ and θ₀",
	Needs:   Training | Parameters,
	measure: rule{measureDistance[float32], measureDistance[float64]},
}

func measureDistance[T engine.Float](p *Point[T]) error {
	theta := p.o.s.Params()
	start, fresh := p.vector("distance.start", len(theta))
	if fresh {
		p.o.s.Copy(start, theta)
	}
	p.log("distance", math.Sqrt(p.o.s.DistanceSq(theta, start)))
	return nil
}

var updateSize = Quantity{
	Name:    "update_size",
	Group:   Noise,
	Sets:    []string{setEconomy, setBusiness, setFull},
	Formula: "‖Δθ‖ of the step's own update; lr·‖ḡ‖ for plain SGD",
	Unit:    "parameter",
	Cost:    "none for plain SGD; else a pass over θ and its copy of before",
	Needs:   Training | Parameters,
	updated: rule{measureUpdateSize[float32], measureUpdateSize[float64]},
}

func measureUpdateSize[T engine.Float](p *Point[T]) error {
	if p.step.Plain {
		p.log("update_size", p.step.LR*math.Sqrt(p.gradNormSq()))
		return nil
	}
	p.log("update_size", math.Sqrt(p.o.s.DistanceSq(p.o.s.Params(), p.before)))
	return nil
}
