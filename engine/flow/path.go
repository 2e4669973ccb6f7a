package flow

import (
	"context"
	"errors"
	"fmt"

	"sgflow/data"
	"sgflow/engine"
)

// ErrDiverged is the error of a path whose loss or gradient is not finite: on a
// quadratic what happens to steps above 2/λmax.
var ErrDiverged = errors.New("the path diverged")

// point is what every path has: a point with a gradient, and a clock that counts
// steps of one length.
type point[T engine.Float] struct {
	on     Surface[T]
	v      Vectors[T]
	theta  []T
	grad   []T
	length float64 // of a step
	steps  int
	loss   float64 // where the last step began, of its samples
}

// newPoint returns a path of steps of the given length that begins at start, which
// is copied.
func newPoint[T engine.Float](on Surface[T], start []T, length float64, what string) (point[T], error) {
	if len(start) != on.Dim() {
		return point[T]{}, fmt.Errorf("flow: a start of %d elements on a surface of %d", len(start), on.Dim())
	}
	if !(length > 0) || !finite(length) {
		return point[T]{}, fmt.Errorf("flow: %s %v: give a number above 0", what, length)
	}
	v := vectorsOf(on)
	p := point[T]{on: on, v: v, theta: v.NewVector(len(start)), grad: v.NewVector(len(start)), length: length}
	v.Copy(p.theta, start)
	return p, nil
}

// Theta is Path's.
func (p *point[T]) Theta() []T {
	p.v.Wait()
	return p.theta
}

// Time is Path's.
func (p *point[T]) Time() float64 { return float64(p.steps) * p.length }

// Length returns the length of a step, in time.
func (p *point[T]) Length() float64 { return p.length }

// Loss returns the mean loss where the last step began, of the samples that it
// looked at.
func (p *point[T]) Loss() float64 { return p.loss }

// gradient computes grad at theta.
func (p *point[T]) gradient(ctx context.Context, indices []int32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.loss = p.on.Gradient(p.grad, p.theta, indices)
	return p.check(p.loss)
}

// check returns an error unless the loss and the gradient are finite. A gradient
// must be as well: a loss may be flat where its derivative is not a number.
func (p *point[T]) check(loss float64) error {
	if finite(loss) && finite(p.v.NormSq(p.grad)) {
		return nil
	}
	return fmt.Errorf("flow: %w after %d steps, at t = %.4g: the loss is %v", ErrDiverged, p.steps, p.Time(), loss)
}

// Descent is full-batch gradient descent, θ ← θ − η∇L(θ).
type Descent[T engine.Float] struct{ point[T] }

// NewDescent returns gradient descent from start at rate η.
func NewDescent[T engine.Float](on Surface[T], start []T, rate float64) (*Descent[T], error) {
	p, err := newPoint(on, start, rate, "rate")
	return &Descent[T]{p}, err
}

// Step is Path's, a step of length η.
func (p *Descent[T]) Step(ctx context.Context) error {
	if err := p.gradient(ctx, nil); err != nil {
		return err
	}
	p.v.Axpy(-p.length, p.grad, p.theta)
	p.steps++
	return nil
}

// SGDConfig says how SGD moves.
type SGDConfig struct {
	Rate  float64 // η
	Batch int     // B
	// Sampling is how batches are drawn: independently (data.Replacement, what ""
	// is), or from a permutation of all samples for each epoch (data.Shuffle). The
	// last batch of an epoch holds what is left.
	Sampling data.Sampling
	Seed     uint64
}

// SGD is stochastic gradient descent, θ ← θ − ηĝ, ĝ being the mean gradient of a
// batch of B samples. Drawn with replacement, ĝ has mean ∇L and covariance Σ/B.
type SGD[T engine.Float] struct {
	point[T]
	sampler *data.Sampler
	batch   []int32
}

// NewSGD returns SGD from start.
func NewSGD[T engine.Float](on Surface[T], start []T, c SGDConfig) (*SGD[T], error) {
	p, err := newPoint(on, start, c.Rate, "rate")
	if err != nil {
		return nil, err
	}
	if c.Sampling == "" {
		c.Sampling = data.Replacement
	}
	s, err := data.NewSampler(c.Sampling, on.Samples(), c.Batch, c.Seed)
	if err != nil {
		return nil, fmt.Errorf("flow: SGD: %w", err)
	}
	return &SGD[T]{p, s, make([]int32, 0, s.MaxBatch())}, nil
}

// Step is Path's, a step of length η.
func (p *SGD[T]) Step(ctx context.Context) error {
	p.batch = p.sampler.Batch(p.steps, p.batch[:0])
	if err := p.gradient(ctx, p.batch); err != nil {
		return err
	}
	p.v.Axpy(-p.length, p.grad, p.theta)
	p.steps++
	return nil
}
