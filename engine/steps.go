package engine

import "sgflow/engine/steps"

// Data is what samples a session has at hand: bytes, such as images, and their classes.
// They are numbered from the first of the first set to the last of the last.
type Data[T Float] struct {
	Sets    []Samples
	Classes int
	// Values are what each value of a byte becomes, by channel: channels×256. The
	// channels share a sample evenly.
	Values []T
}

// Samples are some samples of Data, such as those of a training or a test set.
type Samples struct {
	Pixels []uint8 // samples×size, row-major
	Labels []int32 // samples, each below Classes
}

// Steps are training steps that need nothing from the host on their way. Noise needs
// Session.NoisySteps, and Recording is one of Session.Record.
type Steps[T Float] = steps.Request[T]

// Results are what steps have to tell.
type Results = steps.Results

// stepper is a backend that trains by itself.
type stepper[T Float] interface {
	SetData(pixels [][]uint8, labels [][]int32, values []T, classes int) bool
	Gather(first int, indices []int32)
	NoisySteps(batch int) bool
	Record(queue func()) steps.Recording
	Start(c *steps.Request[T])
	Finish(r *steps.Results)
	Deliver(r steps.Recording, numbers []float64)
}

// SetData gives the session the data that Start takes its batches from, and
// returns whether it can train by itself on it: a GPU does where the program has
// two inputs, samples and one-hot targets, that fit the data, and a loss of package
// op's. The data is copied, unless its first set is that of the last call.
func (s *Session[T]) SetData(d Data[T]) bool {
	m, ok := s.machine.(stepper[T])
	if !ok || len(d.Sets) == 0 || len(d.Sets[0].Pixels) == 0 {
		return false
	}
	if s.data == &d.Sets[0].Pixels[0] {
		return true
	}
	var pixels [][]uint8
	var labels [][]int32
	for _, set := range d.Sets {
		pixels, labels = append(pixels, set.Pixels), append(labels, set.Labels)
	}
	if !m.SetData(pixels, labels, d.Values, d.Classes) {
		return false
	}
	s.data = &d.Sets[0].Pixels[0]
	return true
}

// Gather makes the samples first+i of the data, for each i of indices, the first of the
// inputs, as filling them does, but with no part of the host in it. It needs SetData;
// indices are at most Capacity.
func (s *Session[T]) Gather(first int, indices []int32) {
	s.machine.(stepper[T]).Gather(first, indices)
}

// NoisySteps reports whether Steps of that batch size may ask for noise: where the program
// has a rule for every sample norm and the device has room for them. It needs SetData.
func (s *Session[T]) NoisySteps(batch int) bool {
	m, ok := s.machine.(stepper[T])
	return ok && m.NoisySteps(batch)
}

// Record returns the name of what queue asks the session for, to be asked for at every step of
// Steps: products with the Hessian, and operations on NewVectors whose numbers the next Wait
// stores; anything that waits panics. queue is called now, and again whenever Start has to
// know it, with the same outcome. It needs SetData.
func (s *Session[T]) Record(queue func()) steps.Recording {
	return s.machine.(stepper[T]).Record(queue)
}

// Start queues training steps: each gathers its batch, computes loss and gradient, measures
// what was recorded and updates the parameters, exactly as filling the inputs, Gradient and
// Update do. It returns at once; at most two Starts may be under way. It needs SetData.
func (s *Session[T]) Start(c Steps[T]) { s.machine.(stepper[T]).Start(&c) }

// Finish waits for the earlier Start that has not been finished and stores its
// results in r. After an error of the device (Err) losses and other numbers are NaN.
func (s *Session[T]) Finish(r *Results) { s.machine.(stepper[T]).Finish(r) }

// Deliver stores a step's numbers (a row of Results.Numbers) where the recording asked for
// them, as Wait does. What Lap measures is that of one of the last few steps.
func (s *Session[T]) Deliver(r steps.Recording, numbers []float64) {
	s.machine.(stepper[T]).Deliver(r, numbers)
}
