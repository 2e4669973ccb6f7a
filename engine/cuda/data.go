//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
	"sgflow/engine/steps"
)

// SetData copies the data to the device: sets of samples of bytes with their labels,
// and what each value of a byte becomes, channels×256. Samples are numbered through all
// sets. It returns false where the program's inputs are not such samples and their one-hot
// classes, or its loss is no instruction of its own, which counts the steps.
func (m *Machine) SetData(pixels [][]uint8, labels [][]int32, values []float32, classes int) bool {
	p, s := m.program, &m.training
	channels := len(values) / 256
	if channels == 0 || len(p.Inputs) != 2 || p.Loss == program.None {
		return false
	}
	x, y := p.Buffer(p.Inputs[0]), p.Buffer(p.Inputs[1])
	size, n := x.Width(), 0
	if !x.Batched || !y.Batched || size%channels != 0 || y.Width() != classes || classes > size {
		return false
	}
	for k := range labels {
		if len(pixels[k]) != len(labels[k])*size {
			return false
		}
		n += len(labels[k])
	}
	if n == 0 {
		return false
	}
	if m.err != nil {
		return true
	}
	if s.loss = m.meanLoss(); s.loss == nil {
		return false
	}
	m.dropGraphs() // of other data
	s.samples, s.size, s.plane, s.classes = n, size, size/channels, classes
	m.check(m.makeSteps(pixels, labels, values))
	return true
}

// meanLoss returns the instruction that computes the program's loss, nil where it
// is made of others than a Loss.
func (m *Machine) meanLoss() *loss {
	at := m.buffers.doubles + driver.Pointer(m.buffers.doubleAt[m.program.Loss]*double)
	for _, in := range m.phases[program.Forward] {
		if l, ok := in.(*loss); ok && l.mean.p == at {
			return l
		}
	}
	return nil
}

// makeSteps allocates and uploads.
func (m *Machine) makeSteps(pixels [][]uint8, labels [][]int32, values []float32) (err error) {
	s := &m.training
	device := func(what string, bytes int) (p driver.Pointer) {
		if err == nil {
			p, err = m.memory.device(what, bytes)
		}
		return p
	}
	s.pixels, s.labels, s.values = device("data set", s.samples*s.size), device("labels", s.samples*4), device("values of bytes", len(values)*real)
	s.indices, s.numbers = device("indices of batches", slots*steps.Most*m.capacity*4), device("learning rates", slots*steps.Most*stepNumbers*double)
	s.counter = device("counter of steps", 4)
	if err != nil {
		return err
	}
	at := 0
	for k := range labels {
		if err := driver.Upload(m.ctx, "data set", s.pixels+driver.Pointer(at*s.size), pixels[k]); err != nil {
			return err
		}
		if err := driver.Upload(m.ctx, "labels", s.labels+driver.Pointer(at*4), labels[k]); err != nil {
			return err
		}
		at += len(labels[k])
	}
	for _, f := range []func() error{
		func() error { return driver.Upload(m.ctx, "values of bytes", s.values, values) },
		func() (err error) {
			s.host.indices, err = pinned[int32](m, "indices of batches", slots*steps.Most*m.capacity)
			return err
		},
		func() (err error) {
			s.host.numbers, err = pinned[float64](m, "learning rates", slots*steps.Most*stepNumbers)
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
