package measure

import (
	"context"

	"sgflow/engine"
	"sgflow/engine/program"
)

// GaussNewton returns the operator of the generalised Gauss-Newton matrix of
// the mean loss of the samples of o's last Gradient,
//
//	G = (1/n) Σ JᵢᵀHᵢJᵢ,  Jᵢ = ∂zᵢ/∂θ,  Hᵢ = ∂²ℓᵢ/∂zᵢ²
//
// (Schraudolph 2002, Neural Computation 14(7)), which is positive
// semi-definite. It is the part of the Hessian that does not come from the
// curvature of the logits. It equals the Fisher matrix (1/n) Σ E[∇log p ∇log pᵀ]
// under the model's own distribution p, softmax(zᵢ) for cross-entropy and a
// Gaussian of unit variance around zᵢ for mse (Martens 2020, arXiv:1412.1193,
// §9.2): the exact Fisher needs no operator of its own.
//
// A product takes less than one with the Hessian. The operator is for the
// parameters and samples of that Gradient. The error is ErrNoLogits.
func GaussNewton[T engine.Float](o *Objective[T]) (Operator[T], error) {
	a, err := newLogitOperator(o)
	if err != nil {
		return nil, err
	}
	a.curve = func(u []T, _, _ int) { o.s.LossCurvature(u, u) }
	return a, nil
}

// GaussNewtonTrace returns the trace of the Gauss-Newton matrix G of the mean
// loss of the samples of o's last Gradient, exactly, and the trace of each
// parameter's diagonal block. With p = softmax(z), from Hᵢ = Σ_c p_c (e_c − p)(e_c − p)ᵀ
// for cross-entropy and Hᵢ = Σ_c e_c e_cᵀ for mse,
//
//	tr G = (1/n) Σᵢ Σ_c pᵢ_c ‖Jᵢᵀ(e_c − pᵢ)‖²    or    (1/n) Σᵢ Σ_c ‖Jᵢᵀe_c‖²
//
// by a pullback with its per-sample norms for each class. progress, if not nil,
// is called before each part of the set with how many samples are done. The error
// is the context's, ErrNoLogits or ErrCoupled.
func GaussNewtonTrace[T engine.Float](ctx context.Context, o *Objective[T], progress func(done, total int)) (trace float64, byParam []float64, err error) {
	a, err := newLogitOperator(o)
	if err != nil {
		return 0, nil, err
	}
	byParam = make([]float64, len(o.s.Program().Params))
	if err := a.addTrace(ctx, byParam, progress); err != nil {
		return 0, nil, err
	}
	for _, v := range byParam {
		trace += v
	}
	return trace, byParam, nil
}

// addTrace adds the traces of G's blocks to byParam.
func (a *logitOperator[T]) addTrace(ctx context.Context, byParam []float64, progress func(done, total int)) error {
	total := len(a.o.indices)
	return a.eachNorms(ctx, func(from, n int) {
		if progress != nil {
			progress(from, total)
		}
		a.weigh(n)
		for c := range a.classes {
			a.root(c)
			for k, norms := range a.norms(a.u, n) {
				sum := 0.0
				for i, x := range norms {
					sum += a.weights[i*a.classes+c] * x
				}
				byParam[k] += sum / float64(total)
			}
		}
	})
}

// weigh fills weights, n×classes, for the samples in the session: pᵢ for
// cross-entropy, ones for mse.
func (a *logitOperator[T]) weigh(n int) {
	a.u, a.weights = grow(a.u, n*a.classes), grow(a.weights, n*a.classes)
	if a.kind == program.MSE {
		for i := range a.weights {
			a.weights[i] = 1
		}
		return
	}
	z := a.o.s.Logits(n)
	for at := 0; at < len(z); at += a.classes {
		softmax(a.weights[at:at+a.classes], z[at:at+a.classes])
	}
}

// root fills u with e_c − pᵢ, for mse with e_c.
func (a *logitOperator[T]) root(c int) {
	for at := 0; at < len(a.u); at += a.classes {
		for j := range a.classes {
			x := 0.0
			if a.kind == program.CrossEntropy {
				x = -a.weights[at+j]
			}
			if j == c {
				x++
			}
			a.u[at+j] = T(x)
		}
	}
}
