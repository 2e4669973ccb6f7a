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
