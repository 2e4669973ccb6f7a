package flow

import (
	"math"

	"sgflow/engine"
)

// Vectors are the operations that paths need on vectors of parameters. A Surface
// that has them itself, on several threads or near a device, lends them to its
// paths; else they are plain loops. Sums are accumulated in float64.
type Vectors[T engine.Float] interface {
	// NewVector returns n zeros.
	NewVector(n int) []T
	// Wait returns when all that was asked for is done: operations may only be queued,
	// and elements are to be read and written after it.
	Wait()
	// Copy stores x in y.
	Copy(y, x []T)
	// Axpy computes y += alpha·x.
	Axpy(alpha float64, x, y []T)
	// NormSq returns Σ xᵢ².
	NormSq(x []T) float64
	// Split calls f for consecutive pieces of [0, n), each once, on some threads,
	// and returns when all are done; it waits first. cost is how many elements each of the n moves.
	Split(n, cost int, f func(from, to int))
}

// vectorsOf returns the operations for vectors on a surface.
func vectorsOf[T engine.Float](on Surface[T]) Vectors[T] {
	if v, ok := on.(Vectors[T]); ok {
		return v
	}
	return loops[T]{}
}

// loops are Vectors on one thread.
type loops[T engine.Float] struct{}

func (loops[T]) NewVector(n int) []T { return make([]T, n) }

func (loops[T]) Wait() {}

func (loops[T]) Copy(y, x []T) { copy(y, x) }

func (loops[T]) Axpy(alpha float64, x, y []T) {
	for i, v := range x {
		y[i] += T(alpha) * v
	}
}

func (loops[T]) NormSq(x []T) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

func (loops[T]) Split(n, _ int, f func(from, to int)) { f(0, n) }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
