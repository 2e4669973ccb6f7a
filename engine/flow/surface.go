package flow

import (
	"context"

	"sgflow/engine"
)

// Surface is a mean loss L(θ) = (1/N) Σ ℓᵢ(θ) over N samples.
//
// It remembers the last Gradient, of which the other methods speak: its samples,
// which must not change until the next one, and its θ, which may. It is not for
// concurrent use. Vectors have Dim elements and do not overlap.
type Surface[T engine.Float] interface {
	// Dim returns the number of elements of θ.
	Dim() int
	// Samples returns N.
	Samples() int
	// Gradient stores in out the mean gradient over the samples indices (nil: all
	// N) at theta, and returns their mean loss.
	Gradient(out, theta []T, indices []int32) (loss float64)
	// Combine stores in out Σ wᵢ∇ℓᵢ over the samples of the last Gradient at its
	// theta, w by their order there.
	Combine(out []T, w []float64)
	// Product stores in out H·v, H the Hessian of the mean loss of the samples of
	// the last Gradient at its theta.
	Product(out, v []T)
	// Variances stores in out, if it is not nil, the diagonal of Σ, and returns
	// its trace: Σ = (1/n) Σ (∇ℓᵢ − ḡ)(∇ℓᵢ − ḡ)ᵀ over the n samples of the last
	// Gradient, ḡ being their mean. out == nil costs less.
	Variances(out []T) (trace float64)
}

// Path moves a point through time t = Σ η. It is not for concurrent use.
type Path[T engine.Float] interface {
	// Theta returns the point: memory of the path's own, good until the next step. It
	// waits for the step that led there.
	Theta() []T
	// Time returns t.
	Time() float64
	// Step goes one step of the path's own length. Its error is ErrDiverged where
	// the loss or the point is no longer finite, and the context's where it is
	// cancelled; the path is not to be moved after one.
	Step(ctx context.Context) error
}
