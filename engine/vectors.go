package engine

import (
	"time"

	"sgflow/engine/ritz"
	"sgflow/engine/rng"
)

// Operations on flat vectors. On a GPU they are queued, and run in the order of the calls.
// Those that return a number wait for it; those that store numbers do so by the next Wait.

// NewVector returns a vector of n zeros near to where s computes: operations on it
// copy nothing and need not be waited for, while other slices are copied to a GPU and
// back at each. It lives until Close.
//
// Its elements, and those of Params and Grad, are the session's between a call that
// takes the vector, or runs samples or an update, and the next Wait. The caller may
// neither read nor write them meanwhile, but pass them on to further operations.
func (s *Session[T]) NewVector(n int) []T {
	if d, ok := s.machine.(device[T]); ok {
		return d.NewVector(n)
	}
	return make([]T, n)
}

// Wait returns when all that s was asked for is done: vectors hold what operations have
// written to them and may be written to, and the numbers that were to be stored are. It
// costs nothing where nothing is queued, as on the processor. Every method that returns
// a number or writes to a slice of float64 waits too, but for those that say by the next
// Wait; so do Input, Logits and Split.
func (s *Session[T]) Wait() {
	if d, ok := s.machine.(device[T]); ok {
		d.Wait()
	}
}

// Lap stores in took, by the next Wait, how long what s was asked for since the Lap before
// takes: on a GPU there, whatever the host does meanwhile. With nil it only begins; there is
// one such between a Wait and the first Lap that tells.
func (s *Session[T]) Lap(took *time.Duration) {
	if d, ok := s.machine.(device[T]); ok {
		d.Lap(took)
		return
	}
	now := time.Now()
	if took != nil {
		*took = now.Sub(s.lapped)
	}
	s.lapped = now
}

// Fork begins a branch, which Join ends: what s is asked for between needs nothing of what it was
// asked for since the last Gradient, nor does anything need what it gives, before the next
// Wait. Steps that a GPU takes by itself do branches and the rest at the same time.
func (s *Session[T]) Fork() {
	if d, ok := s.machine.(device[T]); ok {
		d.Fork()
	}
}

// Join ends a branch.
func (s *Session[T]) Join() {
	if d, ok := s.machine.(device[T]); ok {
		d.Join()
	}
}

// Dot returns Σ aᵢbᵢ, accumulated in float64 in a fixed order.
func (s *Session[T]) Dot(a, b []T) float64 { return s.machine.Dot(a, b) }

// DotTo stores what Dot returns in dst by the next Wait.
func (s *Session[T]) DotTo(dst *float64, a, b []T) {
	if d, ok := s.machine.(device[T]); ok {
		d.DotTo(dst, a, b)
		return
	}
	*dst = s.machine.Dot(a, b)
}

// DistanceSq returns Σ (aᵢ − bᵢ)², accumulated in float64 in a fixed order.
func (s *Session[T]) DistanceSq(a, b []T) float64 { return s.machine.DistanceSq(a, b) }

// NormSq returns Σ xᵢ², accumulated in float64 in a fixed order.
func (s *Session[T]) NormSq(x []T) float64 { return s.machine.NormSq(x) }

// ExchangeParts stores old = x, and for every parameter's part of them Σ oldᵢxᵢ, with what
// old was, in dots, and Σ xᵢ² in normSqs, each as Dot does, in one pass. The numbers are
// there by the next Wait. old may be nil, then dots are 0.
func (s *Session[T]) ExchangeParts(dots, normSqs []float64, old, x []T) {
	s.machine.ExchangeParts(dots, normSqs, old, x)
}

// Signs fills x with the Rademacher probe of the given stream (see rng.Signs).
func (s *Session[T]) Signs(x []T, stream rng.Stream) { s.machine.Signs(x, stream) }

// Copy stores x in y, of the same length.
func (s *Session[T]) Copy(y, x []T) {
	if d, ok := s.machine.(device[T]); ok {
		d.Copy(y, x)
		return
	}
	copy(y, x)
}

// Scale computes x *= alpha.
func (s *Session[T]) Scale(alpha float64, x []T) { s.machine.Scale(alpha, x) }

// Axpy computes y += alpha·x.
func (s *Session[T]) Axpy(alpha float64, x, y []T) { s.machine.Axpy(alpha, x, y) }

// Direction makes d the second direction of the next projection by Ritz, beside y, with a
// product hy = H·y:
//
//	d = u/‖u‖                         where guess.U = u lasts (see ritz.Guess), or ‖y‖² is below least
//	d = (hy − (yᵀhy/‖y‖²)·y)/‖hy‖     else, and 0 where ‖hy‖² is below least
//
// It stores yᵀhy, as Dot returns it, in yHy by the next Wait. What yy points to is ‖y‖² where that
// is known by now, as on the processor; a GPU, where it may not be, sums it itself. All have the
// same length.
func (s *Session[T]) Direction(d []T, guess ritz.Guess[T], y, hy []T, yy *float64, least float64, yHy *float64) {
	s.machine.Direction(d, guess, y, hy, yy, least, yHy)
}

// Ritz projects a symmetric matrix H on the span of x and y (see package ritz), given their
// products hx and hy with it, and ‖y‖² and yᵀHy by yy and yHy, of which holds what is said
// of Direction's yy. With the unit vector w = αx + βy of the span with the largest λ = wᵀHw, and
// r = Hw − λw = α·hx + β·hy − λw, it moves guess to where w is to be expected at the next H,
//
//	u = w + τr
//
// By the next Wait step holds the solution, ‖r‖² and uᵀw with what u was, sums being those
// of Dot up to rounding. A vector whose squared norm is below least counts as none.
func (s *Session[T]) Ritz(guess ritz.Guess[T], x, hx, y, hy []T, yy, yHy *float64, least float64, step *ritz.Step) {
	s.machine.Ritz(guess, x, hx, y, hy, yy, yHy, least, step)
}
