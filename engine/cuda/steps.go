//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/program"
)

// Training steps that stay on the device. The data set, the optimizer's state and
// the batches' indices are there; one graph is a whole step, and a counter in
// device memory tells it which one. What steps have to tell goes to a ring that
// is copied to the host while the next steps run.

// mostSteps is how many steps a Start has at most, slots how many may be under way.
const (
	mostSteps = 128
	slots     = 2
)

// steps is what training by itself needs.
type steps struct {
	pixels, labels, values driver.Pointer
	samples, size, classes int
	plane                  int // elements of a channel

	indices driver.Pointer // slots·mostSteps·capacity
	rates   driver.Pointer // slots·mostSteps
	ring    driver.Pointer // slots·mostSteps rows of all scalars
	counter driver.Pointer
	host    struct {
		indices []int32
		rates   []float64
		ring    []float64
	}
	events  [slots]*driver.Event
	started []int // steps of the Starts under way, the earliest first
	next    int   // slot of the next Start
}

// SetData copies the data set to the device: samples of bytes with their labels,
// and what each value of a byte becomes, channels×256. It returns false where the
// program's inputs are not such samples and their one-hot classes.
func (m *Machine) SetData(pixels []uint8, labels []int32, values []float32, classes int) bool {
	p, s := m.program, &m.steps
	n, channels := len(labels), len(values)/256
	if n == 0 || channels == 0 || len(pixels)%n != 0 || len(pixels)/n%channels != 0 || len(p.Inputs) != 2 || p.Loss == program.None {
		return false
	}
	size := len(pixels) / n
	x, y := p.Buffer(p.Inputs[0]), p.Buffer(p.Inputs[1])
	if !x.Batched || !y.Batched || x.Width() != size || y.Width() != classes || classes > size {
		return false
	}
	if m.err != nil {
		return true
	}
	s.samples, s.size, s.plane, s.classes = n, size, size/channels, classes
	m.check(m.makeSteps(pixels, labels, values))
	return true
}

// makeSteps allocates and uploads.
func (m *Machine) makeSteps(pixels []uint8, labels []int32, values []float32) (err error) {
	s := &m.steps
	device := func(what string, bytes int) (p driver.Pointer) {
		if err == nil {
			p, err = m.memory.device(what, bytes)
		}
		return p
	}
	scalars := m.buffers.scalars
	s.pixels, s.labels, s.values = device("data set", len(pixels)), device("labels", len(labels)*4), device("values of bytes", len(values)*real)
	s.indices, s.rates = device("indices of batches", slots*mostSteps*m.capacity*4), device("learning rates", slots*mostSteps*double)
	s.ring, s.counter = device("results of steps", slots*mostSteps*scalars*double), device("counter of steps", 4)
	if err != nil {
		return err
	}
	for _, f := range []func() error{
		func() error { return driver.Upload(m.ctx, "data set", s.pixels, pixels) },
		func() error { return driver.Upload(m.ctx, "labels", s.labels, labels) },
		func() error { return driver.Upload(m.ctx, "values of bytes", s.values, values) },
		func() (err error) {
			s.host.indices, err = pinned[int32](m, "indices of batches", slots*mostSteps*m.capacity)
			return err
		},
		func() (err error) {
			s.host.rates, err = pinned[float64](m, "learning rates", slots*mostSteps)
			return err
		},
		func() (err error) {
			s.host.ring, err = pinned[float64](m, "results of steps", slots*mostSteps*scalars)
			return err
		},
	} {
		if err := f(); err != nil {
			return err
		}
	}
	for k := range s.events {
		if s.events[k], err = m.ctx.NewEvent(); err != nil {
			return err
		}
	}
	return nil
}

// pinned returns n elements of pinned host memory.
func pinned[T any](m *Machine, what string, n int) ([]T, error) {
	var t T
	block, err := m.ctx.AllocPinned(what, int64(n)*int64(unsafe.Sizeof(t)))
	if err != nil {
		return nil, err
	}
	m.memory.all = append(m.memory.all, block)
	return driver.Slice[T](block), nil
}

// The texts of the panics that wrong calls of Start and Finish cause.
const (
	noData      = "cuda: steps without a data set"
	badSteps    = "cuda: steps: a wrong number of indices or rates"
	tooMany     = "cuda: a third Start before a Finish"
	nothingRuns = "cuda: Finish without a Start"
)

// Start queues len(rates) steps of training on batches of the data set: indices
// has batch for each. velocity is as for Step, u.LR is not read.
func (m *Machine) Start(batch int, indices []int32, rates []float64, velocity []float32, u optim.Update) {
	s, count := &m.steps, len(rates)
	m.checkBatch(batch)
	switch {
	case s.samples == 0:
		panic(noData)
	case count < 1 || count > mostSteps || len(indices) != count*batch:
		panic(badSteps)
	case len(s.started) == slots:
		panic(tooMany)
	case len(velocity) != m.program.NumParams && (velocity != nil || u.Momentum != 0):
		panic(badVector)
	}
	slot := s.next
	s.next = (s.next + 1) % slots
	s.started = append(s.started, count)
	m.loaded, m.batch, m.pulled = 0, 0, false
	m.changed()
	if m.err != nil {
		return
	}
	first := slot * mostSteps
	// On the host each slot has its own room, as the copies of an earlier Start may
	// still be under way; on the device they come one after the other.
	mine, lr := s.host.indices[first*m.capacity:], s.host.rates[first:]
	copy(mine, indices)
	copy(lr, rates)
	m.copy("indices of batches", s.indices+driver.Pointer(first*batch*4), hostAddress(mine), count*batch*4)
	m.copy("learning rates", s.rates+driver.Pointer(first*double), hostAddress(lr), count*double)
	if m.err == nil {
		m.check(m.stream.Fill("counter of steps", s.counter, uint32(first), 1))
	}
	var v driver.Pointer
	if u.Momentum != 0 {
		if v = m.see(0, velocity); v != address(velocity) {
			panic(farVelocity)
		}
	}
	u.LR = 0
	key := run{what: fmt.Sprintf("step of %+v with velocity %x", u, v), n: batch}
	m.noise, m.toGradient = false, true
	for range count {
		m.graph(key, func() { m.step(batch, v, u) })
	}
	bytes := driver.Pointer(m.buffers.scalars * double)
	at := driver.Pointer(first) * bytes
	m.copy("results of steps", hostAddress(s.host.ring)+at, s.ring+at, count*int(bytes))
	if m.err == nil {
		m.check(m.stream.Record(s.events[slot]))
	}
}

// farVelocity is for a velocity that the device does not see.
const farVelocity = "cuda: the velocity of steps is no NewVector"

// step queues one step.
func (m *Machine) step(n int, velocity driver.Pointer, u optim.Update) {
	s, p := &m.steps, m.program
	m.launch("gathering a batch", m.kernels.gather, driver.Grid{Blocks: driver.Dim{X: n, Y: blocks(s.size, 256)}, Threads: driver.Dim{X: 256}},
		driver.Ptr(m.buffers.at[p.Inputs[0]]), driver.Ptr(m.buffers.at[p.Inputs[1]]), driver.Ptr(s.pixels), driver.Ptr(s.labels), driver.Ptr(s.values),
		driver.Ptr(s.indices), driver.Ptr(s.counter), driver.Int(n), driver.Int(s.size), driver.Int(s.plane), driver.Int(s.classes))
	m.run(program.Forward, n)
	m.clear(m.buffers.grad, m.gradGaps)
	m.runList(m.phases[program.Gradient], n)
	m.queueUpdate(velocity, u, s.rates, s.counter)
	m.launch("results of a step", m.kernels.record, elements(1), driver.Ptr(s.ring), driver.Ptr(m.buffers.doubles), driver.Int(m.buffers.scalars), driver.Ptr(s.counter))
}

// Finish waits for the steps of the earliest Start that was not finished, stores
// their mean losses and how many samples were classified rightly, −1 where that is
// not known, and returns how many there were.
func (m *Machine) Finish(losses []float64, correct []int) int {
	s := &m.steps
	if len(s.started) == 0 {
		panic(nothingRuns)
	}
	slot := (s.next + slots - len(s.started)) % slots
	count := s.started[0]
	s.started = append(s.started[:0], s.started[1:]...)
	if m.err == nil {
		m.check(s.events[slot].Synchronize("waiting for steps"))
	}
	p, b := m.program, &m.buffers
	for k := range count {
		row := s.host.ring[(slot*mostSteps+k)*b.scalars:]
		losses[k], correct[k] = math.NaN(), -1
		if m.err != nil {
			continue
		}
		losses[k] = row[b.doubleAt[p.Loss]]
		if p.Correct != program.None {
			correct[k] = int(row[b.doubleAt[p.Correct]])
		}
	}
	return count
}

// close frees what is not memory.
func (s *steps) close() (errs []error) {
	for _, e := range s.events {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errs
}
