package engine

import (
	"fmt"
	"time"

	"sgflow/engine/cpu"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/program"
)

// Float is the type of a run: float32 or float64.
type Float interface{ float32 | float64 }

// Config says how a Session runs a Program.
type Config struct {
	Batch   int // the largest number of samples in one run
	Threads int // of the processor; 0 is all cores
	// CUDA is the device to compute on, in float32; nil is the processor.
	CUDA *driver.Device
	TF32 bool // round the factors of its large products to TF32, which is faster
}

// Session runs a Program: it owns parameters, gradient and activations. It is
// not for concurrent use; slices it returns are its own memory and stay valid
// until Close. On a GPU what it is asked to do is queued: see Wait.
type Session[T Float] struct {
	program *program.Program
	machine backend[T]
	data    *uint8    // the first pixel of the data that the device holds
	lapped  time.Time // when Lap was last called
}

// NewSession plans and allocates everything a run needs. All parameters are
// zero.
func NewSession[T Float](p *program.Program, c Config) (*Session[T], error) {
	if c.Batch < 1 {
		return nil, fmt.Errorf("engine: batch size %d: it must be at least 1", c.Batch)
	}
	var m backend[T]
	var err error
	if c.CUDA != nil {
		m, err = newCUDA[T](p, c)
	} else {
		m, err = cpu.New[T](p, cpu.Options{Capacity: c.Batch, Threads: c.Threads})
	}
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return &Session[T]{program: p, machine: m}, nil
}

// Close frees the session and stops its workers.
func (s *Session[T]) Close() { s.machine.Close() }

// Err returns the first error of the device that s computes on, nil where there was
// none. After one, nothing is computed and numbers are NaN. The processor has none.
func (s *Session[T]) Err() error {
	if d, ok := s.machine.(device[T]); ok {
		return d.Err()
	}
	return nil
}

// Counts returns how often s has asked its device for something, and waited for it; zeros
// for the processor.
func (s *Session[T]) Counts() driver.Counts {
	if d, ok := s.machine.(device[T]); ok {
		return d.Counts()
	}
	return driver.Counts{}
}

// Program returns the program that s runs.
func (s *Session[T]) Program() *program.Program { return s.program }

// Capacity returns the largest number of samples in one run.
func (s *Session[T]) Capacity() int { return s.machine.Capacity() }

// Params returns θ, all parameters flat in the program's order, a vector like those of
// NewVector. Writing to it sets them.
func (s *Session[T]) Params() []T { return s.machine.Theta() }

// Grad returns ḡ, the gradient of the mean loss by the last Gradient, in the
// layout of Params, a vector like those of NewVector.
func (s *Session[T]) Grad() []T { return s.machine.Grad() }

// Input returns the k-th input with room for Capacity samples, row-major, for the caller
// to fill: it waits (see Wait). A run of n samples reads the first n rows.
func (s *Session[T]) Input(k int) []T { return s.machine.Input(k) }

// Forward computes the loss of the first n samples.
func (s *Session[T]) Forward(n int) { s.machine.Forward(n) }

// Gradient computes the loss of the first n samples and its gradient, and
// with noise the per-sample gradient norms too.
func (s *Session[T]) Gradient(n int, noise bool) { s.machine.Gradient(n, noise) }

// Product computes out = H·v, H being the Hessian of the mean loss of the
// samples of the last Gradient at the parameters it saw. It reuses that run's
// activations, so parameters and inputs must not have changed since. out and
// v have the length of Params and must not overlap. Like Forward, Gradient and all
// operations on vectors it may only be queued: see Wait.
func (s *Session[T]) Product(out, v []T) { s.machine.Product(out, v) }

// Loss returns the mean loss of the last run.
func (s *Session[T]) Loss() float64 { return s.machine.Loss() }

// Correct returns the number of samples of the last run that were classified
// rightly; −1 where the program knows no logits.
func (s *Session[T]) Correct() int { return s.machine.Correct() }

// LossTo stores what Loss and Correct return in loss and correct by the next Wait.
func (s *Session[T]) LossTo(loss, correct *float64) {
	if d, ok := s.machine.(device[T]); ok {
		d.LossTo(loss, correct)
		return
	}
	*loss, *correct = s.machine.Loss(), float64(s.machine.Correct())
}

// Logits returns the logits of the last run's n samples, n×classes.
func (s *Session[T]) Logits(n int) []T { return s.machine.Logits(n) }

// SampleNorms returns ‖gᵢ‖² of every sample of the last Gradient with noise,
// for the k-th parameter; nil if no rule gives it for that parameter.
func (s *Session[T]) SampleNorms(k int) []float64 { return s.machine.Norms(k) }

// Update moves the parameters by one optimizer step along the gradient.
// velocity has the length of Params, or is nil for an update without momentum.
func (s *Session[T]) Update(velocity []T, u optim.Update) { s.machine.Step(velocity, u) }

// Adam moves the parameters by one step of Adam along the gradient (see
// optim.AdamStep). The moments have the length of Params.
func (s *Session[T]) Adam(first, second []T, u optim.AdamUpdate) { s.machine.Adam(first, second, u) }
