// Package flow follows points through parameter space: mini-batch SGD, gradient
// descent, the gradient flow both discretise, and the stochastic differential
// equations that are said to describe SGD,
//
//	dθ = −∇L dt + √(η/B · Σ(θ)) dW,
//
// so that the real thing can be laid beside its models.
//
// A [Surface] is a mean loss that can be asked for gradients, for combinations of
// its samples' gradients and for products with its Hessian: a [Network], or one of
// the problems of package model, where theory is exact. A [Path] moves a point over
// it; time is t = Σ η, so that a step of SGD at rate η and a stretch η of gradient
// flow are the same length, whatever moves:
//
//	SGD          θ ← θ − η ĝ, ĝ the mean gradient of a batch
//	Descent      θ ← θ − η ∇L
//	GradientFlow θ̇ = −∇L, by the Runge-Kutta pair of Dormand and Prince
//	Diffusion    the equation above by Euler and Maruyama, Σ in full or simplified
//	SVAG         SGD with smaller steps and as much more noise
//	Langevin     SGD with noise of a chosen temperature
//
// Several paths may share a Surface, moved in turn. Vectors are of the run's type;
// randomness comes from package rng and depends on the seed alone; a step allocates
// nothing. Package study runs paths side by side and measures them.
package flow
