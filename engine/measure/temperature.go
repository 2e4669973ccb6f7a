package measure

import "sgflow/engine"

var temperature = Quantity{
	Name:    "temperature",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "lr/(n·(1 − momentum)), the scale of the noise of SGD's stationary distribution; absent for other optimizers",
	Source:  "Mandt et al. 2017, arXiv:1704.04289; Jastrzębski et al. 2017, arXiv:1711.04623",
	Unit:    "parameter² per loss and sample",
	Cost:    "none",
	Needs:   Training,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureTemperature[float32], measureTemperature[float64]},
}

func measureTemperature[T engine.Float](p *Point[T]) error {
	p.logIf("temperature", p.step.LR/(float64(p.n)*(1-p.step.Momentum)), !p.step.NotSGD)
	return nil
}

var cabs = Quantity{
	Name:    "cabs",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "lr·tr Σ̂/L, the batch size that CABS suggests for SGD without momentum; absent for n = 1, L = 0 and other optimizers than SGD",
	Source:  "Balles et al. 2017, arXiv:1612.05086, eq. 22",
	Unit:    "samples",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms | Training,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureCABS[float32], measureCABS[float64]},
}

func measureCABS[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok && p.loss > 0 && !p.step.NotSGD {
		v, ok := g.VarTrace()
		p.logIf("cabs", p.step.LR*v/p.loss, ok)
	}
	return nil
}
