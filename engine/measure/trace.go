package measure

import (
	"sgflow/engine"
	"sgflow/engine/rng"
)

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
	queue:   rule{queueTrace[float32], queueTrace[float64]},
	measure: rule{measureTrace[float32], measureTrace[float64]},
}

func measureTrace[T engine.Float](p *Point[T]) error {
	tr, stderr, ok := p.trace()
	p.log("trace", tr)
	p.logIf("trace_stderr", stderr, ok)
	return nil
}

func queueTrace[T engine.Float](p *Point[T]) error {
	p.queueTrace()
	return nil
}

// queueTrace draws the point's probe z and queues zᵀHz and ‖Hz‖².
func (p *Point[T]) queueTrace() {
	if p.hasTrace || p.probed {
		return
	}
	s, z, hz := p.o.s, p.temporary(0), p.temporary(1)
	s.Fork()
	s.Signs(z, rng.New(rng.Probes, p.c.Seed, p.drawn()))
	p.o.Product(hz, z)
	s.DotTo(&p.zHz, z, hz)
	if p.c.Select.Has(frobenius.Name) {
		s.DotTo(&p.hzSq, hz, hz)
	}
	s.Join()
	p.probed, p.owed = true, true
}

// traceProbes names how many probes were drawn.
const traceProbes = "trace.probes"

// drawn returns the number of the next probe; while steps are recorded, those that are drawn
// before are added at each of them.
func (p *Point[T]) drawn() uint64 {
	if p.recording {
		return 0
	}
	return uint64(p.number(traceProbes))
}

// trace returns the mean of zᵀHz over the window of probes and its standard error; ok is
// false for the error of a single probe.
func (p *Point[T]) trace() (tr, stderr float64, ok bool) {
	if p.hasTrace {
		return p.tr, p.trErr, p.trErrOK
	}
	p.queueTrace()
	p.collect()
	p.setNumber(traceProbes, p.number(traceProbes)+1)
	p.tr, p.trErr, p.trErrOK = mean(p.window("trace.window", p.zHz)) // the last, oldest first
	if p.c.Select.Has(frobenius.Name) {
		c := &p.curvature
		c.zz, c.zzErr, c.zzErrOK = mean(p.window("frobenius.window", p.hzSq))
	}
	p.hasTrace, p.probed = true, false
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
	queue:   rule{queueTICTrace[float32], queueTICTrace[float64]},
	measure: rule{measureTICTrace[float32], measureTICTrace[float64]},
}

func queueTICTrace[T engine.Float](p *Point[T]) error {
	if p.o.normsOK {
		p.queueTrace()
	}
	return nil
}

func measureTICTrace[T engine.Float](p *Point[T]) error {
	if g, ok := p.Noise(); ok {
		tr, _, _ := p.trace()
		p.logIf("tic_trace", g.MeanSampleNormSq/tr, tr > 0)
	}
	return nil
}
