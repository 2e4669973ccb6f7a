package measure

import (
	"sgflow/engine"
	"sgflow/engine/record"
)

// GradientNoise is what per-sample gradients say of one batch, for one
// parameter or in total. With gᵢ the gradient of sample i's loss, ḡ their mean:
type GradientNoise struct {
	Samples int
	// NormSq is ‖ḡ‖².
	NormSq float64
	// MeanSampleNormSq is (1/n) Σ‖gᵢ‖², the trace of the empirical Fisher matrix.
	MeanSampleNormSq float64
}

// VarTrace returns the unbiased trace of the covariance of the gᵢ,
//
//	tr Σ̂ = (1/(n−1)) Σ‖gᵢ − ḡ‖² = (Σ‖gᵢ‖² − n‖ḡ‖²)/(n−1),
//
// and false for a single sample. It is not negative: where rounding would
// make it so (identical samples), it is zero.
func (g GradientNoise) VarTrace() (float64, bool) {
	if g.Samples < 2 {
		return 0, false
	}
	n := float64(g.Samples)
	return max(0, n/(n-1)*(g.MeanSampleNormSq-g.NormSq)), true
}

// NormSqUnbiased returns ‖ḡ‖² − tr Σ̂/n, an unbiased estimate of the squared
// norm of the true gradient, which may be negative; false for a single sample.
func (g GradientNoise) NormSqUnbiased() (float64, bool) {
	v, ok := g.VarTrace()
	return g.NormSq - v/float64(g.Samples), ok
}

// Scale returns the simple noise scale tr Σ̂ / (‖ḡ‖² − tr Σ̂/n), in samples
// (McCandlish et al. 2018, arXiv:1812.06162, B_simple); false where the
// denominator is not positive.
func (g GradientNoise) Scale() (float64, bool) {
	v, _ := g.VarTrace()
	d, ok := g.NormSqUnbiased()
	if !ok || d <= 0 {
		return 0, false
	}
	return v / d, true
}

// Noise returns the noise of the last Gradient with noise: in total, and for
// every parameter appended to layers. ok is false where samples' gradients do
// not exist, since the graph mixes samples; only NormSq is valid then.
func (o *Objective[T]) Noise(layers []GradientNoise) (total GradientNoise, byParam []GradientNoise, ok bool) {
	total, byParam, _ = o.noise(layers, nil)
	return total, byParam, o.normsOK
}

// noise is Noise; where last is not nil it also returns Σ lastᵢḡᵢ and stores
// last = ḡ, in the same pass over the gradient.
func (o *Objective[T]) noise(layers []GradientNoise, last []T) (total GradientNoise, byParam []GradientNoise, dot float64) {
	n := len(o.indices)
	total.Samples = n
	for k, p := range o.s.Program().Params {
		g := GradientNoise{Samples: n}
		grad := o.s.Grad()[p.Offset : p.Offset+p.Size]
		if last == nil {
			g.NormSq = o.s.NormSq(grad)
		} else {
			var d float64
			d, g.NormSq = o.s.Exchange(last[p.Offset:p.Offset+p.Size], grad)
			dot += d
		}
		for _, v := range o.SampleNorms(k) {
			g.MeanSampleNormSq += v
		}
		g.MeanSampleNormSq /= float64(n)
		total.NormSq += g.NormSq
		total.MeanSampleNormSq += g.MeanSampleNormSq
		layers = append(layers, g)
	}
	return total, layers, dot
}

// emaDecay is the weight of the past in the exponential averages behind
// noise_scale_ema: a memory of about a hundred steps.
const emaDecay = 0.99

// noiseAverage keeps exponential averages of tr Σ̂ and of ‖ḡ‖² − tr Σ̂/n, whose
// ratio is far steadier than that of one batch (McCandlish et al. 2018,
// appendix A.1). Both start at zero, so the ratio needs no bias correction.
type noiseAverage struct {
	Var  float64 `json:"var"`
	Norm float64 `json:"norm"`
}

func (a *noiseAverage) add(g GradientNoise) {
	v, ok := g.VarTrace()
	if !ok {
		return
	}
	n, _ := g.NormSqUnbiased()
	a.Var = emaDecay*a.Var + (1-emaDecay)*v
	a.Norm = emaDecay*a.Norm + (1-emaDecay)*n
}

func (a *noiseAverage) scale() (float64, bool) {
	if a.Norm <= 0 {
		return 0, false
	}
	return a.Var / a.Norm, true
}

func opt(v float64, ok bool) record.Opt {
	if !ok {
		return record.Opt{}
	}
	return record.Some(v)
}

// recordNoise fills the contract's quantities that follow from g.
func recordNoise(g GradientNoise, out *record.Noise) {
	out.GradNormSq = record.Some(g.NormSq)
	out.GradVarTrace = opt(g.VarTrace())
	out.GradNormSqUnbiased = opt(g.NormSqUnbiased())
	out.NoiseScale = opt(g.Scale())
	out.FisherTrace = record.Some(g.MeanSampleNormSq)
}

// recordLayers fills one record a parameter, reusing layers.
func recordLayers[T engine.Float](s *engine.Session[T], by []GradientNoise, layers record.Layers) record.Layers {
	layers = layers[:0]
	for k, g := range by {
		layers = append(layers, record.Layer{
			Name: s.Program().Params[k].Name, GradNormSq: record.Some(g.NormSq), GradVarTrace: opt(g.VarTrace()),
		})
	}
	return layers
}
