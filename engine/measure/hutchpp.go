package measure

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// HutchPPEstimate is an estimate of tr A by Hutch++.
type HutchPPEstimate struct {
	// Trace is the estimate; its standard error is that of the remainder, of
	// which Count probes were drawn. It is absent for a single probe.
	Trace Average
	// LowRank is tr QᵀAQ, the part of Trace that is exact given Q.
	LowRank  float64
	Rank     int // columns of Q
	Products int // with A, at most what the configuration allows
}

// HutchPP estimates tr A by Hutch++ (Meyer, Musco, Musco & Woodruff 2021,
// arXiv:2010.09649, algorithm 1) with at most c.Probes products, at least 3. A
// third of them makes Q, an orthonormal basis of A·S for k = Probes/3 random
// sign vectors S; a third is for the trace on its span, which is exact; and the
// rest, m probes z, is Hutchinson's estimate of what is left:
//
//	tr A ≈ tr QᵀAQ + (1/m) Σ z'ᵀAz',  z' = (I − QQᵀ)z
//
// The probes z are independent of Q, so the sum is unbiased and so is, given Q,
// the standard error. For a positive semi-definite A the relative error is ε
// with O(1/ε) products, where Hutchinson's estimator takes O(1/ε²). Where
// eigenvalues do not decay, or for a long cancelling spectrum, it gains nothing.
//
// Memory is k + 2 vectors of parameters. Errors are those of Hutchinson.
func HutchPP[T engine.Float](ctx context.Context, a Operator[T], c TraceConfig) (HutchPPEstimate, error) {
	c.setDefaults()
	h := &hutchPP[T]{ctx: ctx, a: a, c: c, x: make([]T, size(a)), ax: make([]T, size(a))}
	var r HutchPPEstimate
	k := max(1, c.Probes/3)
	if err := h.sketch(k); err != nil {
		return r, err
	}
	r.Rank = len(h.q)
	for _, q := range h.q {
		v, err := h.quadratic(q)
		if err != nil {
			return r, err
		}
		r.LowRank += v
	}
	rest := make([]float64, max(1, c.Probes-2*k))
	for i := range rest {
		h.a.Session().Signs(h.x, rng.New(rng.Probes, c.Seed, c.First+uint64(i)))
		h.project(h.x, 1)
		v, err := h.quadratic(h.x)
		if err != nil {
			return r, err
		}
		rest[i] = v
	}
	r.Trace = average(rest)
	r.Trace.Value += r.LowRank
	r.Products = h.products
	return r, nil
}

// hutchPP is the work of one estimate.
type hutchPP[T engine.Float] struct {
	ctx      context.Context
	a        Operator[T]
	c        TraceConfig
	q        [][]T // orthonormal
	x, ax    []T
	products int
}

// apply computes ax = A·x.
func (h *hutchPP[T]) apply(x []T) error {
	h.c.Progress(h.products, h.c.Probes)
	if err := h.ctx.Err(); err != nil {
		return err
	}
	h.a.Apply(h.ax, x)
	h.products++
	return nil
}

// quadratic returns xᵀAx.
func (h *hutchPP[T]) quadratic(x []T) (float64, error) {
	if err := h.apply(x); err != nil {
		return 0, err
	}
	v := h.a.Session().Dot(x, h.ax)
	if !finite(v) {
		return 0, errProduct
	}
	return v, nil
}

// sketch makes q an orthonormal basis of the products of A with k sign
// vectors. It has fewer than k vectors where A has a lower rank.
func (h *hutchPP[T]) sketch(k int) error {
	s := h.a.Session()
	for i := range k {
		s.Signs(h.x, rng.New(rng.Probes, h.c.Seed, sketchProbes+h.c.First+uint64(i)))
		if err := h.apply(h.x); err != nil {
			return err
		}
		before := s.NormSq(h.ax)
		if !finite(before) {
			return errProduct
		}
		h.project(h.ax, 2)
		after := s.NormSq(h.ax)
		// What is below the rounding of the product says nothing of A.
		if after <= before*epsilon[T]()*epsilon[T]() || after < leastNormSq[T]() || len(h.q) == len(h.x) {
			continue
		}
		q := make([]T, len(h.ax))
		copy(q, h.ax)
		s.Scale(1/math.Sqrt(after), q)
		h.q = append(h.q, q)
	}
	return nil
}

// project makes x orthogonal to q by Gram–Schmidt's method. Of a vector that
// may lie almost in the span of q, what a first pass leaves is not orthogonal
// to working precision, and a second makes it so (Giraud, Langou & Rozložník
// 2005).
func (h *hutchPP[T]) project(x []T, passes int) {
	s := h.a.Session()
	for range passes {
		for _, q := range h.q {
			s.Axpy(-s.Dot(q, x), q, x)
		}
	}
}

// epsilon returns what sums of many products in T are rounded to, relatively:
// a hundred times the distance from 1 to the next number.
func epsilon[T engine.Float]() float64 {
	if isDouble[T]() {
		return 100 * 0x1p-52
	}
	return 100 * 0x1p-23
}

// leastNormSq returns the squared norm below which a vector of T is too small
// for its direction to be known: its reciprocal norm, or in float64 the square
// itself, leaves the range of normal numbers. Gradient and Hessian of a network
// that fits perfectly are so small, just before they are zero.
func leastNormSq[T engine.Float]() float64 {
	if isDouble[T]() {
		return 0x1p-970
	}
	return 0x1p-252
}
