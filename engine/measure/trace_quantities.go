package measure

import (
	"sgflow/engine"
	"sgflow/engine/record"
)

var frobenius = Quantity{
	Name:    "frobenius",
	Keys:    []string{"frobenius", "frobenius_stderr"},
	Group:   Flatness,
	Formula: "‖H‖_F = √tr H², tr H² as the mean of ‖Hz‖² over the probes z of trace, with the standard error by the delta method: that of the mean, divided by 2‖H‖_F",
	Source:  "Hutchinson 1990, doi:10.1080/03610919008812866; for its role: Wu, Wang & Su 2022, arXiv:2207.02628",
	Unit:    "loss per parameter²",
	Cost:    "none beside trace",
	Needs:   Products | TraceProbes,
	queue:   rule{queueTrace[float32], queueTrace[float64]},
	measure: rule{measureFrobenius[float32], measureFrobenius[float64]},
}

func measureFrobenius[T engine.Float](p *Point[T]) error {
	p.trace()
	c := &p.curvature
	t := TraceEstimate{FrobeniusSq: Average{Value: c.zz, Stderr: opt(c.zzErr, c.zzErrOK)}}
	p.logAverage("frobenius", "frobenius_stderr", t.Frobenius())
	return nil
}

var traceHutchPP = Quantity{
	Name:    "trace_hutchpp",
	Keys:    []string{"trace_hutchpp", "trace_hutchpp_stderr"},
	Group:   Flatness,
	Formula: "tr H by Hutch++ with --flatness-window products: tr QᵀHQ for a basis Q of H times a third as many sign vectors, and Hutchinson's estimate of the rest with its standard error",
	Source:  "Meyer, Musco, Musco & Woodruff 2021, arXiv:2010.09649, algorithm 1",
	Unit:    "loss per parameter²",
	Cost:    "--flatness-window Hessian-vector products",
	Needs:   Products,
	measure: rule{measureTraceHutchPP[float32], measureTraceHutchPP[float64]},
}

func measureTraceHutchPP[T engine.Float](p *Point[T]) error {
	const drawn = "trace_hutchpp.probes"
	k := p.number(drawn)
	r, err := HutchPP[T](p.ctx, p.o, TraceConfig{Probes: p.c.Window, Seed: p.c.Seed, First: uint64(k), Progress: p.progress("trace_hutchpp")})
	if err != nil {
		return err
	}
	p.setNumber(drawn, k+float64(r.Products))
	p.logAverage("trace_hutchpp", "trace_hutchpp_stderr", r.Trace)
	return nil
}

var lambdaMin = Quantity{
	Name:    "lambda_min",
	Keys:    []string{"lambda_min", "lambda_min_residual"},
	Group:   Flatness,
	Formula: "the smallest (algebraic) eigenvalue of H, with the residual ‖Hv − λv‖ of its unit vector; iterated until that is --flatness-tol of the largest magnitude of an eigenvalue",
	Source:  "Lanczos 1950, doi:10.6028/jres.045.026",
	Unit:    "loss per parameter²",
	Cost:    "10 to 50 Hessian-vector products",
	Needs:   Products,
	measure: rule{measureLambdaMin[float32], measureLambdaMin[float64]},
}

func measureLambdaMin[T engine.Float](p *Point[T]) error {
	return eigenvalue[T](p, "lambda_min", p.o, true)
}

// setTrace makes an estimate by many probes the point's.
func (p *Point[T]) setTrace(t TraceEstimate) {
	take := func(a Average) (value, stderr float64, ok bool) {
		e, ok := a.Stderr.Get()
		return a.Value, e, ok
	}
	p.tr, p.trErr, p.trErrOK = take(t.Trace)
	c := &p.curvature
	c.zz, c.zzErr, c.zzErrOK = take(t.FrobeniusSq)
	p.hasTrace = true
}

// exactly is an Average without an error.
func exactly(x float64) Average { return Average{Value: x, Stderr: record.Some(0), Count: 1} }
