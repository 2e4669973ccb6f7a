package measure

import "sgflow/engine"

var trace = Quantity{
	Name:    "trace",
	Keys:    []string{"trace", "trace_stderr"},
	Group:   Flatness,
	Sets:    []string{setFlatness, setBusiness, setFull},
	Formula: "tr H as the mean of zᵀHz over the last --flatness-window Rademacher probes z, one a step, with its standard error",
	Source:  "Hutchinson 1990, doi:10.1080/03610919008812866",
	Unit:    "loss per parameter²",
	Cost:    "1 Hessian-vector product",
	Needs:   Products | TraceProbes,
	measure: rule{measureTrace[float32], measureTrace[float64]},
}

func measureTrace[T engine.Float](p *Point[T]) error {
	tr, stderr, ok := p.trace()
	p.log("trace", tr)
	p.logIf("trace_stderr", stderr, ok)
	return nil
}

// trace draws the point's probe and returns the mean of the window and its
// standard error; ok is false for the error of a single probe.
func (p *Point[T]) trace() (tr, stderr float64, ok bool) {
	if p.hasTrace {
		return p.tr, p.trErr, p.trErrOK
	}
	const drawn, values = "trace.probes", "trace.window" // how many probes were drawn; the last zᵀHz, oldest first
	k := p.number(drawn)
	p.setNumber(drawn, k+1)
	q := quadratic(p.o, p.c.Seed, uint64(k), p.temporary(0), p.temporary(1))
	p.tr, p.trErr, p.trErrOK = mean(p.window(values, q))
	if p.c.Select.Has(frobenius.Name) {
		c := &p.curvature
		c.zz, c.zzErr, c.zzErrOK = mean(p.window("frobenius.window", p.o.s.NormSq(p.temporary(1))))
	}
	p.hasTrace = true
	return p.tr, p.trErr, p.trErrOK
}

var ticTrace = Quantity{
	Name:    "tic_trace",
	Group:   Flatness,
	Sets:    []string{setBusiness, setFull},
	Formula: "fisher_trace/trace, the Takeuchi criterion with the matrices' traces in place of the matrices; absent where the trace is not positive",
	Source:  "Thomas et al. 2019, arXiv:1906.07774",
	Unit:    "loss",
	Cost:    "none beside trace",
	Needs:   SampleNorms | Products | TraceProbes,
	measure: rule{measureTICTrace[float32], measureTICTrace[float64]},
}

func measureTICTrace[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		tr, _, _ := p.trace()
		p.logIf("tic_trace", g.MeanSampleNormSq/tr, tr > 0)
	}
	return nil
}
