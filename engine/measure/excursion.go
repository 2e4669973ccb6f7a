package measure

import (
	"context"
	"errors"
	"fmt"

	"sgflow/engine"
)

// ErrZeroGradient is returned where a direction is to be that of a gradient
// which is zero.
var ErrZeroGradient = errors.New("measure: the gradient is zero and has no direction")

// errLoss is what ends an examination of a point whose loss is not finite.
func errLoss(loss float64) error { return fmt.Errorf("%w: the loss is %g", ErrDiverged, loss) }

// excursion evaluates the mean loss of the samples of an objective's last
// Gradient at other parameters, and comes back: back restores θ and ḡ bit for
// bit, and the objective evaluates its samples anew when it needs them.
//
//	e := o.leave(ctx)
//	defer e.back()
type excursion[T engine.Float] struct {
	ctx       context.Context
	o         *Objective[T]
	theta     []T // where it started
	grad      []T // ḡ there
	direction []T // scratch
	sums      []float64

	alpha float64 // of the move in progress
	along []T
	piece func(from, to int)
}

// leave starts an excursion; there is one at a time. The caller moves the
// session's parameters.
func (o *Objective[T]) leave(ctx context.Context) *excursion[T] {
	e := o.depart(ctx)
	e.grad = o.savedGrad()
	return e
}

// depart is leave for a caller that needs ḡ no more.
func (o *Objective[T]) depart(ctx context.Context) *excursion[T] {
	e := &o.trip
	e.ctx, e.o = ctx, o
	e.theta = grow(e.theta, len(o.s.Params()))
	o.s.Copy(e.theta, o.s.Params())
	return e
}

// back ends the excursion.
func (e *excursion[T]) back() {
	e.o.s.Copy(e.o.s.Params(), e.theta)
	e.o.s.Copy(e.o.s.Grad(), e.grad)
	e.ctx = nil
}

// each runs f for every chunk of the samples, which are in the session then.
// The error is the context's.
func (e *excursion[T]) each(f func(n int)) error {
	o := e.o
	o.loaded = false
	for at := 0; at < len(o.indices); at += o.s.Capacity() {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		chunk := o.indices[at:min(at+o.s.Capacity(), len(o.indices))]
		o.fill(chunk)
		f(len(chunk))
	}
	return nil
}

// loss returns the mean loss at the session's parameters.
func (e *excursion[T]) loss() (loss float64, err error) {
	s := e.o.s
	err = e.each(func(n int) {
		s.Forward(n)
		loss += s.Loss() * float64(n)
	})
	return loss / float64(len(e.o.indices)), err
}

// gradient computes out = ∇L at the session's parameters.
func (e *excursion[T]) gradient(out []T) error {
	s, total := e.o.s, len(e.o.indices)
	if total <= s.Capacity() {
		return e.each(func(n int) {
			s.Gradient(n, false)
			s.Copy(out, s.Grad())
		})
	}
	e.sums = grow(e.sums, len(out))
	clear(e.sums)
	err := e.each(func(n int) {
		s.Gradient(n, false)
		addScaled(s, e.sums, s.Grad(), float64(n)/float64(total))
	})
	store(s, out, e.sums)
	return err
}

// move makes θ = start + α·d, rounded once: α may be beyond the range of T.
func (e *excursion[T]) move(alpha float64, d []T) {
	if e.piece == nil { // made once, so that moving allocates nothing
		e.piece = func(from, to int) {
			theta := e.o.s.Params()
			for i := from; i < to; i++ {
				theta[i] = T(float64(e.theta[i]) + e.alpha*float64(e.along[i]))
			}
		}
	}
	e.alpha, e.along = alpha, d
	e.o.s.Split(len(d), 1, e.piece)
	e.along = nil
}
