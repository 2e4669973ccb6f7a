package engine

import "sgflow/engine/optim"

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

// Steps are training steps that need nothing from the host on their way.
type Steps[T Float] struct {
	Batch   int       // samples in a step
	Indices []int32   // into the data: Batch for each step
	Rates   []float64 // the learning rate of each step, at most MostSteps
	// Optimizer's vectors are NewVectors; its LR is not read.
	Optimizer optim.Optimizer[T]

	// Noise asks for the norms of samples' gradients and those of parameters; it needs
	// Session.NoisySteps. Last, a NewVector, holds the gradient of the step before and
	// then that of each step; nil where no products with it are wanted.
	Noise bool
	Last  []T
}

// Results are what steps have to tell, an element or a row a step. The slices are
// reused where they are long enough.
type Results struct {
	Steps, Batch int
	Losses       []float64 // mean loss of the step's batch before its update
	Correct      []int     // samples classified rightly; −1 where not known

	// Of steps with noise: Σ ḡ′ⱼḡⱼ with the gradient ḡ′ of the step before, and ‖ḡ‖²,
	// over each parameter's part, steps×parameters; and ‖gᵢ‖² of each sample,
	// steps×parameters×batch.
	Dots, NormSqs, SampleNorms []float64
}

// MostSteps is how many steps one Start takes at most.
const MostSteps = 128

// stepper is a backend that trains by itself.
type stepper[T Float] interface {
	SetData(pixels [][]uint8, labels [][]int32, values []T, classes int) bool
	Gather(first int, indices []int32)
	NoisySteps(batch int) bool
	Start(batch int, indices []int32, rates []float64, by optim.Optimizer[T], noise bool, last []T)
	Finish(losses []float64, correct []int, dots, normSqs, norms []float64) int
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

// Start queues training steps: each gathers its batch, computes loss and gradient
// and updates the parameters, exactly as filling the inputs, Gradient and Update
// do. It returns at once; at most two Starts may be under way. It needs SetData.
func (s *Session[T]) Start(c Steps[T]) {
	s.machine.(stepper[T]).Start(c.Batch, c.Indices, c.Rates, c.Optimizer, c.Noise, c.Last)
	s.started = append(s.started, started{c.Batch, c.Noise})
}

// started is a Start that is not finished.
type started struct {
	batch int
	noise bool
}

// Finish waits for the earlier Start that has not been finished and stores its
// results in r. After an error of the device (Err) losses are NaN.
func (s *Session[T]) Finish(r *Results) {
	t := s.started[0]
	s.started = append(s.started[:0], s.started[1:]...)
	params := 0
	if t.noise {
		params = len(s.program.Params)
	}
	r.Losses, r.Correct = resized(r.Losses, MostSteps), resized(r.Correct, MostSteps)
	r.Dots, r.NormSqs = resized(r.Dots, MostSteps*params), resized(r.NormSqs, MostSteps*params)
	r.SampleNorms = resized(r.SampleNorms, MostSteps*params*t.batch)
	r.Batch, r.Steps = t.batch, s.machine.(stepper[T]).Finish(r.Losses, r.Correct, r.Dots, r.NormSqs, r.SampleNorms)
}

// resized returns n elements, those of x where it has so many.
func resized[E any](x []E, n int) []E {
	if cap(x) < n {
		return make([]E, n)
	}
	return x[:n]
}
