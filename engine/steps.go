package engine

import "sgflow/engine/optim"

// Data is a set of samples of bytes, such as images and their classes.
type Data[T Float] struct {
	Pixels  []uint8 // samples×size, row-major
	Labels  []int32 // samples, each below Classes
	Classes int
	// Values are what each value of a byte becomes, by channel: channels×256. The
	// channels share a sample evenly.
	Values []T
}

// Steps are training steps that need nothing from the host on their way.
type Steps[T Float] struct {
	Batch    int          // samples in a step
	Indices  []int32      // into the data: Batch for each step
	Rates    []float64    // the learning rate of each step, at most MostSteps
	Update   optim.Update // the rest of the optimizer; LR is not read
	Velocity []T          // as for Session.Update
}

// MostSteps is how many steps one Start takes at most.
const MostSteps = 128

// stepper is a backend that trains by itself.
type stepper[T Float] interface {
	SetData(pixels []uint8, labels []int32, values []T, classes int) bool
	Start(batch int, indices []int32, rates []float64, velocity []T, u optim.Update)
	Finish(losses []float64, correct []int) int
}

// SetData gives the session the data set that Start takes its batches from, and
// returns whether it can train by itself on it: a GPU does where the program has
// two inputs, samples and one-hot targets, that fit the data. The data is copied.
func (s *Session[T]) SetData(d Data[T]) bool {
	m, ok := s.machine.(stepper[T])
	return ok && m.SetData(d.Pixels, d.Labels, d.Values, d.Classes)
}

// Start queues training steps: each gathers its batch, computes loss and gradient
// and updates the parameters, exactly as filling the inputs, Gradient and Update
// do. It returns at once; at most two Starts may be under way. It needs SetData.
func (s *Session[T]) Start(c Steps[T]) {
	s.machine.(stepper[T]).Start(c.Batch, c.Indices, c.Rates, c.Velocity, c.Update)
}

// Finish waits for the earlier Start that has not been finished, stores the mean
// loss of each of its steps and how many samples were classified rightly (−1 where
// not known) and returns how many steps that were. After an error of the device
// (Err) losses are NaN.
func (s *Session[T]) Finish(losses []float64, correct []int) int {
	return s.machine.(stepper[T]).Finish(losses, correct)
}
