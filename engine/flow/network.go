package flow

import (
	"sgflow/engine"
	"sgflow/engine/measure"
)

// Network is the mean loss of a network on samples 0 … n−1 of an objective, a
// Surface whose vectors are the session's. It writes the session's parameters.
// Between a Gradient and the methods that speak of it nothing else may run on the
// session: before the next Gradient, anything.
type Network[T engine.Float] struct {
	*engine.Session[T] // the Vectors

	o       *measure.Objective[T]
	all     []int32
	normed  bool // Gradient gives the norms of samples' gradients at next to no cost
	layers  []measure.GradientNoise
	moments []T // Σgᵢ∘gᵢ/n where the caller wants the trace alone and there are no norms
}

const coupled = "flow: samples of a program that couples them have no gradients of their own"

// NewNetwork returns the surface of samples 0 … n−1. It panics where the program
// is BatchCoupled: such a loss is no mean over samples.
func NewNetwork[T engine.Float](o *measure.Objective[T], n int) *Network[T] {
	p := o.Session().Program()
	if p.BatchCoupled {
		panic(coupled)
	}
	w := &Network[T]{Session: o.Session(), o: o, all: make([]int32, n), normed: true}
	for i := range w.all {
		w.all[i] = int32(i)
	}
	for _, q := range p.Params {
		w.normed = w.normed && q.Norms >= 0
	}
	return w
}

// Dim returns the number of parameters.
func (w *Network[T]) Dim() int { return len(w.Params()) }

// Samples returns N.
func (w *Network[T]) Samples() int { return len(w.all) }

// Objective returns the objective, that of the last Gradient's samples.
func (w *Network[T]) Objective() *measure.Objective[T] { return w.o }

// Gradient is Surface's. theta may be the session's parameters.
func (w *Network[T]) Gradient(out, theta []T, indices []int32) (loss float64) {
	if indices == nil {
		indices = w.all
	}
	if &theta[0] != &w.Params()[0] {
		w.Copy(w.Params(), theta)
	}
	loss, _ = w.o.Gradient(indices, w.normed)
	w.Copy(out, w.o.Grad())
	return loss
}

// Combine is Surface's.
func (w *Network[T]) Combine(out []T, weights []float64) { w.o.CombineSamples(out, weights) }

// Product is Surface's.
func (w *Network[T]) Product(out, v []T) { w.o.Product(out, v) }

// Variances is Surface's: (1/n)Σgᵢ∘gᵢ − ḡ∘ḡ, where rounding would make it negative
// zero.
func (w *Network[T]) Variances(out []T) (trace float64) {
	if out == nil && w.normed {
		total, layers, _ := w.o.Noise(w.layers[:0])
		w.layers = layers
		return max(0, total.MeanSampleNormSq-total.NormSq)
	}
	if out == nil {
		if w.moments == nil {
			w.moments = w.NewVector(w.Dim())
		}
		out = w.moments
	}
	w.o.SecondMoment(out)
	w.Wait()
	for i, g := range w.o.Grad() {
		out[i] = max(0, out[i]-g*g)
		trace += float64(out[i])
	}
	return trace
}
