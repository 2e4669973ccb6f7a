package engine

import "sgflow/engine/rng"

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

// Unit computes out = v/‖v‖ for v = x + beta·y, or 0 where ‖v‖² is below least. out may be x.
// It stores ‖v‖², as NormSq returns it, in normSq by the next Wait.
func (s *Session[T]) Unit(out, x []T, beta float64, y []T, least float64, normSq *float64) {
	s.machine.Unit(out, x, beta, y, least, normSq)
}

// Orthonormalize is Unit for v = x − (aᵀx/aa)·a with the positive aa = ‖a‖². It stores aᵀx
// too, as Dot returns it, in dot by the next Wait.
func (s *Session[T]) Orthonormalize(out, x, a []T, aa, least float64, dot, normSq *float64) {
	s.machine.Orthonormalize(out, x, a, aa, least, dot, normSq)
}

// Residual computes, for a combination of two vectors whose products with a matrix H are
// known, the residual at lambda:
//
//	w = alpha·x + beta·y,  r = Hw − lambda·w = alpha·hx + beta·hy − lambda·w
//
// w may be x and r may be hx. It stores Σ rᵢ² in rr and Σ uᵢwᵢ in uw, as Dot returns them, by
// the next Wait; u is neither w nor r.
func (s *Session[T]) Residual(w, r, x, hx, y, hy, u []T, alpha, beta, lambda float64, rr, uw *float64) {
	s.machine.Residual(w, r, x, hx, y, hy, u, alpha, beta, lambda, rr, uw)
}
