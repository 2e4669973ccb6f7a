package flow

import (
	"context"
	"fmt"
	"math"

	"sgflow/engine"
)

// The pair of Dormand and Prince (1980, doi:10.1016/0771-050X(80)90013-3),
// "RK5(4)7M": seven stages, the last of which is the first of the next step. The
// last row of stageWeights is the solution of order 5; errorWeights is its
// difference from that of order 4.
var (
	stageWeights = [6][]float64{
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	}
	errorWeights = [7]float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40}
)

// How the length of a step follows from the error of the last: by a controller
// with memory, h ← h·0.9·e⁻ᵅ·e′ᵝ, e′ being the error before, which holds the
// length steady where stability rather than accuracy bounds it (Hairer & Wanner
// 1996, Solving Ordinary Differential Equations II, IV.2; β = 0.04 and
// α = 1/5 − 0.75β are those of their DOPRI5).
const (
	controlBeta  = 0.04
	controlAlpha = 0.2 - 0.75*controlBeta
	controlSafe  = 0.9
	mostGrowth   = 10
	leastGrowth  = 0.2
	leastError   = 1e-4 // for e′, so that one lucky step does not upset the next
)

// DefaultTolerance returns the tolerance of gradient flow in the type of a run:
// well above what the rounding of its gradients makes of a step.
func DefaultTolerance[T engine.Float]() float64 {
	if _, double := any(T(0)).(float64); double {
		return 1e-8
	}
	return 1e-5
}

// GradientFlow is the solution of θ̇ = −∇L(θ) by steps of the Dormand-Prince pair of
// order 5, each of which is taken again with a smaller length unless the difference
// from order 4 has at most Tolerance times the norm of θ.
type GradientFlow[T engine.Float] struct {
	point[T]
	tol    float64
	time   float64
	h      float64 // length of the next step
	last   float64 // error of the last
	k      [7][]T  // −∇L of the stages, k[0] at theta
	ready  bool    // k[0] is known
	next   []T
	delta  []T
	tries  int
	reject bool // the last try was one too long
}

// NewGradientFlow returns gradient flow from start. first is the length of the
// first step that is tried: the rate of the descent it is compared with, say. tol
// is the tolerance; 0 is DefaultTolerance.
func NewGradientFlow[T engine.Float](on Surface[T], start []T, first, tol float64) (*GradientFlow[T], error) {
	p, err := newPoint(on, start, first, "first step")
	if err != nil {
		return nil, err
	}
	if tol == 0 {
		tol = DefaultTolerance[T]()
	}
	if !(tol > 0 && tol < 1) {
		return nil, fmt.Errorf("flow: tolerance %v: give a number between 0 and 1", tol)
	}
	f := &GradientFlow[T]{point: p, tol: tol, h: first, last: leastError}
	for i := range f.k {
		f.k[i] = f.v.NewVector(len(start))
	}
	f.next, f.delta = f.v.NewVector(len(start)), f.v.NewVector(len(start))
	return f, nil
}

// Time is Path's.
func (f *GradientFlow[T]) Time() float64 { return f.time }

// Length returns the length of the next step that is tried.
func (f *GradientFlow[T]) Length() float64 { return f.h }

// Evaluations returns the gradients computed so far.
func (f *GradientFlow[T]) Evaluations() int { return f.tries }

// Step is Path's, of the length that the tolerance allows.
func (f *GradientFlow[T]) Step(ctx context.Context) error { return f.StepTo(ctx, math.Inf(1)) }

// To goes on until time t, exactly: the last step is cut. Its errors are Step's.
func (f *GradientFlow[T]) To(ctx context.Context, t float64) error {
	for f.time < t {
		if err := f.StepTo(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// StepTo is Step, but ends at time end at the latest, and then exactly there.
func (f *GradientFlow[T]) StepTo(ctx context.Context, end float64) error {
	if !f.ready {
		if err := f.slope(ctx, f.k[0], f.theta); err != nil {
			return err
		}
		f.ready = true
	}
	for {
		h, cut := f.h, false
		if f.time+h >= end-1e-12*math.Abs(end) {
			h, cut = end-f.time, true
		}
		if f.time+h == f.time && !cut {
			return fmt.Errorf("flow: gradient flow: %w at t = %.4g: no step is short enough for a tolerance of %g", ErrDiverged, f.time, f.tol)
		}
		e, err := f.try(ctx, h)
		if err != nil {
			return err
		}
		growth := controlSafe * math.Pow(math.Max(e, 1e-10), -controlAlpha) * math.Pow(f.last, controlBeta)
		if !finite(e) {
			growth = leastGrowth
		}
		growth = min(max(growth, leastGrowth), mostGrowth)
		if !(e <= 1) {
			f.h, f.reject = h*min(growth, controlSafe), true
			continue
		}
		if f.reject { // not at once as long as what has just failed
			growth, f.reject = min(growth, 1), false
		}
		f.last = max(e, leastError)
		if !cut || growth < 1 { // a step that was cut says nothing of longer ones
			f.h = h * growth
		}
		f.theta, f.next = f.next, f.theta
		f.k[0], f.k[6] = f.k[6], f.k[0]
		f.steps++
		f.time += h
		if cut {
			f.time = end
		}
		return nil
	}
}

// try computes next, a step of length h from theta, and returns the norm of its
// error over what is tolerated.
func (f *GradientFlow[T]) try(ctx context.Context, h float64) (e float64, err error) {
	for i, row := range stageWeights {
		f.v.Copy(f.next, f.theta)
		for j, a := range row {
			if a != 0 {
				f.v.Axpy(h*a, f.k[j], f.next)
			}
		}
		if err := f.slope(ctx, f.k[i+1], f.next); err != nil {
			if ctx.Err() == nil {
				return math.Inf(1), nil // the stage is too far off
			}
			return 0, err
		}
	}
	f.v.Wait()
	clear(f.delta)
	for j, w := range errorWeights {
		if w != 0 {
			f.v.Axpy(h*w, f.k[j], f.delta)
		}
	}
	size := math.Sqrt(max(f.v.NormSq(f.theta), f.v.NormSq(f.next)))
	return math.Sqrt(f.v.NormSq(f.delta)) / (f.tol * max(size, f.tol)), nil
}

// slope computes k = ∇L at theta with the opposite sign.
func (f *GradientFlow[T]) slope(ctx context.Context, k, theta []T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.tries++
	f.loss = f.on.Gradient(f.grad, theta, nil)
	if err := f.check(f.loss); err != nil {
		return err
	}
	f.v.Wait()
	clear(k)
	f.v.Axpy(-1, f.grad, k)
	return nil
}
