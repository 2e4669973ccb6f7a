package measure

import (
	"math"

	"sgflow/engine"
)

var lambdaMax = Quantity{
	Name:  "lambda_max",
	Keys:  []string{"lambda_max", "lambda_max_residual"},
	Group: Flatness,
	Sets:  []string{setFlatness, setFull},
	Formula: "the largest (algebraic) eigenvalue of H, with the residual ‖Hv − λv‖ of the unit vector v that gave it; " +
		"followed from step to step at two products each, or iterated to --flatness-tol (--measure-every above 1, and the set full)",
	Source:  "thick-restart Lanczos: Wu & Simon 2000, doi:10.1137/S0895479898334605",
	Unit:    "loss per parameter²",
	Cost:    "2 Hessian-vector products; more where iterated",
	Needs:   Products,
	measure: rule{measureLambdaMax[float32], measureLambdaMax[float64]},
}

func measureLambdaMax[T engine.Float](p *Point[T]) error {
	stream := newEigenStream(p)
	hg, gHg := p.GradientProduct()
	est, ok := stream.step(p.o, p.o.Grad(), hg, p.gradNormSq(), gHg)
	if ok && p.c.converge() {
		est = iterate(p, stream, est)
	}
	p.logIf("lambda_max", est.value, ok)
	p.logIf("lambda_max_residual", est.residual, ok)
	return nil
}

// iterate improves the stream's estimate to the tolerance.
func iterate[T engine.Float](p *Point[T], stream eigenStream[T], est estimate) estimate {
	o, c := p.o, p.c
	for o.Products() < c.MaxProducts && est.residual > c.Tol*math.Abs(est.value) {
		l := lanczos[T]{o: o, sign: 1, k: 1, basis: 12, tol: c.Tol / 2, maxSteps: c.MaxProducts - o.Products() - 1}
		if l.maxSteps < 1 {
			break
		}
		pairs, _ := l.run(stream.u) // fails only by a tick, and there is none
		copy(stream.u, pairs[0].Vector)
		// The pair's own product gives the residual that is reported.
		o.Product(stream.hd, stream.u)
		est.value = o.s.Dot(stream.u, stream.hd)
		o.s.Axpy(-est.value, stream.u, stream.hd)
		est.residual = math.Sqrt(o.s.NormSq(stream.hd))
	}
	return est
}
