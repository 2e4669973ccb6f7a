package measure

import (
	"context"
	"math"

	"sgflow/engine"
)

// Ascend replaces ḡ of the samples of o's last Gradient by their gradient at the
// point of ascent, ∇L(θ + ε) with the ε of [SAM]: the gradient that sharpness-aware
// minimisation follows from θ (Foret et al. 2021, arXiv:2010.01412, algorithm 1;
// Kwon et al. 2021, arXiv:2102.11600, if c is Adaptive). Where ḡ, or Tḡ, is zero it
// stays as it is. Zero values of c are the defaults.
//
// It takes one evaluation of the gradient, and after the first call allocates
// nothing. θ is as before when it returns. What the session computed for single
// samples is gone: products with Hessian and samples' gradients have to be taken
// before.
func Ascend[T engine.Float](o *Objective[T], c SAMConfig) {
	c.setDefaults()
	e := o.depart(context.Background())
	e.grad = o.s.Grad() // not kept: the direction is used before the gradient there is made
	direction, norm := e.grad, math.Sqrt(o.s.NormSq(e.grad))
	if c.Adaptive {
		direction, norm = e.adaptive()
	}
	if norm > 0 {
		e.move(c.Rho/norm, direction)
		_ = e.gradient(o.s.Grad()) // fails only where its context ends
		o.s.Copy(o.s.Params(), e.theta)
	}
	e.grad, e.ctx = nil, nil
}
