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
	o.queueNoise(nil)
	o.s.Wait()
	total, byParam, _ = o.noise(layers, len(o.indices))
	return total, byParam, o.normsOK
}

// queueNoise queues the pass over the gradient that noise waits for; where last is not
// nil it stores last = ḡ.
func (o *Objective[T]) queueNoise(last []T) {
	params := len(o.s.Program().Params)
	o.parts = grow(o.parts, 2*params)
	o.s.ExchangeParts(o.parts[:params], o.parts[params:], last, o.s.Grad())
}

// normSqOfParts is ‖ḡ‖² after queueNoise was waited for.
func (o *Objective[T]) normSqOfParts() (sum float64) {
	for _, x := range o.parts[len(o.parts)/2:] {
		sum += x
	}
	return sum
}

// noise is Noise of n samples after queueNoise was waited for; it also returns Σ lastᵢḡᵢ with
// what last was.
func (o *Objective[T]) noise(layers []GradientNoise, n int) (total GradientNoise, byParam []GradientNoise, dot float64) {
	params := len(o.parts) / 2
	return o.noiseOf(layers, n, o.parts[:params], o.parts[params:])
}

// noiseOf is noise of n samples, given what the pass over the gradient found.
func (o *Objective[T]) noiseOf(layers []GradientNoise, n int, dots, normSqs []float64) (total GradientNoise, byParam []GradientNoise, dot float64) {
	total.Samples = n
	for k := range o.norms {
		g := GradientNoise{Samples: n, NormSq: normSqs[k]}
		dot += dots[k]
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

// recordLayers fills one record a parameter, reusing layers.
func recordLayers[T engine.Float](s *engine.Session[T], by []GradientNoise, layers record.Layers) record.Layers {
	params := s.Program().Params
	for len(layers) < len(by) {
		layers = append(layers, record.Layer{Name: params[len(layers)].Name})
	}
	for k, g := range by {
		v := append(layers[k].Numbers[:0], record.Number{Name: "grad_norm_sq", X: g.NormSq})
		if x, ok := g.VarTrace(); ok {
			v = append(v, record.Number{Name: "grad_var_trace", X: x})
		}
		layers[k].Numbers = v
	}
	return layers
}
