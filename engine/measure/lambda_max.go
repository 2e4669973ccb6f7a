package measure

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

var lambdaMax = Quantity{
	Name:  "lambda_max",
	Keys:  []string{"lambda_max", "lambda_max_residual"},
	Group: Flatness,
	Sets:  []string{setFlatness, setFull},
	Formula: "the largest (algebraic) eigenvalue of H, with the residual ‖Hv − λv‖ of the unit vector v that gave it; " +
		"followed from step to step at two products each, or iterated until the residual is --flatness-tol of it (--measure-every above 1, and the set full)",
	Source:  "Lanczos 1950, doi:10.6028/jres.045.026",
	Unit:    "loss per parameter²",
	Cost:    "2 Hessian-vector products; more where iterated",
	Needs:   Products,
	queue:   rule{queueLambdaMax[float32], queueLambdaMax[float64]},
	measure: rule{measureLambdaMax[float32], measureLambdaMax[float64]},
}

func queueLambdaMax[T engine.Float](p *Point[T]) error {
	if p.c.converge() {
		return nil
	}
	e := &p.top
	e.resume(p)
	gg, hg := p.queueNormSq(), p.queueProduct()
	e.queue(p.o, p.o.Grad(), hg, gg, &p.gHg)
	p.hasGHg, p.owed = true, true
	return nil
}

func measureLambdaMax[T engine.Float](p *Point[T]) error {
	if p.c.converge() {
		return convergeLambdaMax(p)
	}
	p.collect()
	est := p.top.estimate()
	p.log("lambda_max", est.value)
	p.log("lambda_max_residual", est.residual)
	return nil
}

// randomDirection fills u with a random vector of unit norm.
func randomDirection[T engine.Float](p *Point[T], u []T) {
	p.o.s.Signs(u, rng.New(rng.Probes, p.c.Seed, lanczosStart))
	p.o.s.Scale(1/math.Sqrt(float64(len(u))), u)
}

// convergeLambdaMax iterates to the tolerance from the last point's eigenvector
// and ḡ, which together hold most of what matters of the new one. At the first
// point a random vector takes the place of the eigenvector: where weights are
// small ḡ lies in a space, that of the last bias, which H hardly leaves, and the
// top eigenvector elsewhere.
func convergeLambdaMax[T engine.Float](p *Point[T]) error {
	s, g := p.o.s, p.o.Grad()
	u, fresh := p.vector(lambdaMaxVector, len(g))
	if fresh {
		randomDirection(p, u)
	}
	start := p.temporary(0)
	s.Copy(start, u)
	if gg := p.gradNormSq(); gg >= leastNormSq[T]() {
		s.Axpy(1/math.Sqrt(gg), g, start)
	}
	if p.quick == nil {
		p.quick = &lanczos[T]{o: p.o, sign: 1, k: 1, quick: true, basis: p.c.MaxProducts, maxSteps: p.c.MaxProducts, tol: p.c.Tol}
	}
	pairs, err := p.quick.run(start)
	if err != nil || len(pairs) == 0 {
		return err
	}
	s.Copy(u, pairs[0].Vector)
	p.log("lambda_max", pairs[0].Value)
	p.log("lambda_max_residual", pairs[0].Residual)
	return nil
}
