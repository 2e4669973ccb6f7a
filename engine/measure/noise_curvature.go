package measure

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

var noiseCurvature = Quantity{
	Name:  "noise_curvature",
	Keys:  []string{"noise_curvature", "noise_curvature_stderr", "noise_alignment"},
	Group: Flatness,
	Formula: "Tr(HΣ̂) = E[wᵀHw] with w = Σᵢεᵢ(gᵢ − ḡ)/√(n−1) and independent signs εᵢ, one w a step: mean over the last --flatness-window (probe: as many at once), with its standard error; " +
		"and noise_alignment = Tr(HΣ̂)/(tr H·tr Σ̂/P), 1 where the noise doesn't know the curvature, absent where tr H ≤ 0 or tr Σ̂ = 0; all absent for n = 1",
	Source:  "Zhu et al. 2019, arXiv:1803.00195; estimator: Hutchinson 1990",
	Unit:    "loss³ per parameter⁴; noise_alignment 1",
	Cost:    "1 Hessian-vector product and 0.6 steps; noise_alignment another product, shared with trace",
	Needs:   SampleNorms | SampleGrads | Products | TraceProbes,
	measure: rule{measureNoiseCurvature[float32], measureNoiseCurvature[float64]},
}

// noiseStream is the first index of the streams of εᵢ: those of the trace's
// probes lie below.
const noiseStream = 1 << 41

// noiseWindow names the last values of wᵀHw.
const noiseWindow = "noise_curvature.window"

func measureNoiseCurvature[T engine.Float](p *Point[T]) error {
	g, ok := p.Noise()
	if !ok || p.n < 2 {
		return nil
	}
	draws := 1
	if p.step == nil { // a window is filled by steps of training only
		draws = p.c.Window
	}
	for range draws {
		p.window(noiseWindow, p.drawNoiseCurvature())
	}
	m, stderr, ok := mean(p.list(noiseWindow))
	p.log("noise_curvature", m)
	p.logIf("noise_curvature_stderr", stderr, ok)
	v, _ := g.VarTrace()
	if tr, _, _ := p.trace(); tr > 0 && v > 0 {
		p.log("noise_alignment", m/tr/v*float64(len(p.o.Grad()))) // tr·v may be too small a number
	}
	return nil
}

// drawNoiseCurvature returns wᵀHw for the next w.
func (p *Point[T]) drawNoiseCurvature() float64 {
	const drawn = "noise_curvature.probes"
	k := p.number(drawn)
	p.setNumber(drawn, k+1)
	p.signs = grow(p.signs, p.n)
	rng.Signs(p.signs, rng.New(rng.Probes, p.c.Seed, noiseStream+uint64(k)), 0)
	_, center := variance(p.signs)
	for i := range p.signs {
		p.signs[i] = (p.signs[i] - center) / math.Sqrt(float64(p.n-1))
	}
	w, hw := p.temporary(0), p.temporary(1)
	p.o.CombineSamples(w, p.signs)
	p.o.Product(hw, w)
	return p.o.s.Dot(w, hw)
}
