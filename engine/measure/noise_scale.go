package measure

import "sgflow/engine"

var noiseScale = Quantity{
	Name:    "noise_scale",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "tr Σ̂ / (‖ḡ‖² − tr Σ̂/n), the simple noise scale; absent where the denominator is not positive",
	Source:  "McCandlish et al. 2018, arXiv:1812.06162, B_simple",
	Unit:    "samples",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureNoiseScale[float32], measureNoiseScale[float64]},
}

func measureNoiseScale[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		x, ok := g.Scale()
		p.logIf("noise_scale", x, ok)
	}
	return nil
}

var noiseScaleEMA = Quantity{
	Name:    "noise_scale_ema",
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "⟨tr Σ̂⟩ / ⟨‖ḡ‖² − tr Σ̂/n⟩ of exponential averages over steps with decay 0.99; absent where the denominator is not positive",
	Source:  "McCandlish et al. 2018, arXiv:1812.06162, appendix A.1",
	Unit:    "samples",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms | Training,
	queue:   rule{queueNoise[float32], queueNoise[float64]},
	measure: rule{measureNoiseScaleEMA[float32], measureNoiseScaleEMA[float64]},
}

// emaDecay is the weight of the past in the exponential averages behind
// noise_scale_ema: a memory of about a hundred steps. Both averages start at
// zero, so their ratio needs no bias correction.
const emaDecay = 0.99

func measureNoiseScaleEMA[T engine.Float](p *Point[T]) error {
	const averages = "noise_scale_ema.averages" // of numerator and denominator
	a := p.list(averages)
	if a == nil {
		a = make([]float64, 2)
		p.remember(averages, a)
	}
	g, ok := p.Noise()
	if !ok {
		return nil
	}
	if v, ok := g.VarTrace(); ok {
		d, _ := g.NormSqUnbiased()
		a[0] = emaDecay*a[0] + (1-emaDecay)*v
		a[1] = emaDecay*a[1] + (1-emaDecay)*d
	}
	if a[1] > 0 {
		p.log("noise_scale_ema", a[0]/a[1])
	}
	return nil
}
