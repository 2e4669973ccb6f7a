package measure

import (
	"math"

	"sgflow/engine"
)

var sampleNorms = Quantity{
	Name:    "sample_norms",
	Keys:    sampleNormKeys,
	Group:   Noise,
	Sets:    []string{setNoise},
	Formula: "least, quartiles and largest of ‖gᵢ‖ over the samples; quartiles by linear interpolation",
	Source:  "Hyndman & Fan 1996, definition 7",
	Unit:    "loss per parameter",
	Cost:    "none beside grad_var_trace",
	Needs:   SampleNorms,
	measure: rule{measureSampleNorms[float32], measureSampleNorms[float64]},
}

var sampleNormKeys = []string{"sample_norm_min", "sample_norm_q1", "sample_norm_median", "sample_norm_q3", "sample_norm_max"}

func measureSampleNorms[T engine.Float](p *Point[T]) error {
	total := p.SampleNormSq()
	if total == nil {
		return nil
	}
	p.ordered = append(p.ordered[:0], total...)
	for i, x := range p.ordered {
		p.ordered[i] = math.Sqrt(x)
	}
	q := quartiles(p.ordered)
	for i, key := range sampleNormKeys {
		p.log(key, q[i])
	}
	return nil
}
