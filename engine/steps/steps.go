// Package steps says what a device is given that takes training steps by itself, and what
// they leave.
package steps

import (
	"math"

	"sgflow/engine/optim"
)

// Most is how many steps one Request has at most; Together is how many a device takes as one
// piece of work, of which a Request should be a multiple where it has so many.
const (
	Most     = 128
	Together = 8
)

// Recording names what is measured at every step between its gradient and its update; 0 for
// nothing.
type Recording int

// Request are training steps that need nothing from the host on their way.
type Request[T float32 | float64] struct {
	Batch   int       // samples in a step
	Indices []int32   // into the data: Batch for each step
	Rates   []float64 // the learning rate of each step, at most Most
	// Optimizer's vectors are NewVectors; its LR is not read.
	Optimizer optim.Optimizer[T]

	// Noise asks for the norms of samples' gradients and those of parameters. Last, a
	// NewVector, holds the gradient of the step before and then that of each step; nil where
	// no products with it are wanted.
	Noise bool
	Last  []T

	// Recording asks for what was recorded, in place of norms of parameters and products with
	// Last. Of the probes that it draws, the first step's have Drawn added to the numbers of
	// their streams, each next step's one more.
	Recording Recording
	Drawn     uint64
}

// Results are what steps have to tell, an element or a row a step. There is room for Most
// steps: a row is a Most-th of its slice. The slices are reused where they are long enough.
type Results struct {
	Steps, Batch int
	Losses       []float64 // mean loss of the step's batch before its update
	Correct      []int     // samples classified rightly; −1 where not known

	// Of steps with noise: Σ ḡ′ⱼḡⱼ with the gradient ḡ′ of the step before, and ‖ḡ‖²,
	// over each parameter's part, by parameter; and ‖gᵢ‖² of each sample, parameters×batch.
	Dots, NormSqs, SampleNorms []float64

	// Of steps with a recording, which has no Dots and NormSqs: its numbers.
	Numbers []float64
}

// Row returns what x, one of r's slices of float64, has of step k.
func Row(x []float64, k int) []float64 {
	n := len(x) / Most
	return x[k*n : (k+1)*n]
}

// Reserve makes room: for sums over so many parameters, norms and numbers a step.
func (r *Results) Reserve(sums, norms, numbers int) {
	r.Losses, r.Correct = resized(r.Losses, 1), resized(r.Correct, 1)
	r.Dots, r.NormSqs = resized(r.Dots, sums), resized(r.NormSqs, sums)
	r.SampleNorms, r.Numbers = resized(r.SampleNorms, norms), resized(r.Numbers, numbers)
}

// Spoil makes the numbers of step k those of a device that has failed.
func (r *Results) Spoil(k int) {
	r.Losses[k], r.Correct[k] = math.NaN(), -1
	for _, x := range [][]float64{r.Dots, r.NormSqs, r.SampleNorms, r.Numbers} {
		for i, row := 0, Row(x, k); i < len(row); i++ {
			row[i] = math.NaN()
		}
	}
}

// resized returns Most times n elements, those of x where it has so many.
func resized[E any](x []E, n int) []E {
	n *= Most
	if cap(x) < n {
		return make([]E, n)
	}
	return x[:n]
}
