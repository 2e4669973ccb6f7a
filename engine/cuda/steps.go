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

// stepNumbers is how many numbers an optimizer may have that differ from step to step:
// SGD has its rate, Adam three.
const stepNumbers = 3

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
	numbers driver.Pointer // slots·mostSteps·stepNumbers
	counter driver.Pointer
	loss    *loss // which counts the steps
	host    struct {
		indices []int32
		numbers []float64
	}
	plain, noisy ring // of steps without noise and with
	events       [slots]*driver.Event
	started      []started // the Starts under way, the earliest first
	next         int       // slot of the next Start
}

// ring is where steps leave their results, a row each: all scalars; of steps with
// noise also all norms, n for each parameter, and two sums for each parameter's part
// of the gradient.
type ring struct {
	device driver.Pointer // slots·mostSteps rows, which the steps of all Starts fill one after the other
	host   []float64      // see slot
}

// started is a Start under way.
type started struct {
	count, batch int
	noise        bool
}

// mostRing is how many bytes the ring of steps with noise may have: at batch sizes for
// which it has more, a step takes far longer than the host's part in it.
const mostRing = 64 << 20

// SetData copies the data set to the device: samples of bytes with their labels,
// and what each value of a byte becomes, channels×256. It returns false where the
// program's inputs are not such samples and their one-hot classes, or its loss is no
// instruction of its own, which counts the steps.
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
	if s.loss = m.meanLoss(); s.loss == nil {
		return false
	}
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
func (m *Machine) makeSteps(pixels []uint8, labels []int32, values []float32) (err error) {
	s := &m.steps
	device := func(what string, bytes int) (p driver.Pointer) {
		if err == nil {
			p, err = m.memory.device(what, bytes)
		}
		return p
	}
	s.pixels, s.labels, s.values = device("data set", len(pixels)), device("labels", len(labels)*4), device("values of bytes", len(values)*real)
	s.indices, s.numbers = device("indices of batches", slots*mostSteps*m.capacity*4), device("learning rates", slots*mostSteps*stepNumbers*double)
	s.counter = device("counter of steps", 4)
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
			s.host.numbers, err = pinned[float64](m, "learning rates", slots*mostSteps*stepNumbers)
			return err
		},
		func() (err error) {
			s.plain, err = m.makeRing(m.rowOfStep(m.capacity, false))
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

// makeRing allocates a ring with rows of so many numbers.
func (m *Machine) makeRing(row int) (r ring, err error) {
	if r.device, err = m.memory.device("results of steps", slots*mostSteps*row*double); err != nil {
		return r, err
	}
	r.host, err = pinned[float64](m, "results of steps", slots*mostSteps*row)
	return r, err
}

// slot is where a slot's Start has its results on the host: room for the largest
// batch, so that the results of the next Start, which may arrive while these are read,
// lie elsewhere whatever both batches are.
func (r *ring) slot(k int) []float64 { return r.host[k*(len(r.host)/slots):] }

// rowOfStep is how many numbers a step of n samples leaves.
func (m *Machine) rowOfStep(n int, noise bool) int {
	if !noise {
		return m.buffers.scalars
	}
	return m.buffers.scalars + m.normPlanes()*n + 2*len(m.program.Params)
}

// normPlanes is how many arrays of norms there are behind the scalars.
func (m *Machine) normPlanes() int { return (m.buffers.doubleCount - m.buffers.scalars) / m.capacity }

// NoisySteps reports whether Start can be asked for noise: where every parameter has
// a rule for the norms of samples' gradients, and there is room for them.
func (m *Machine) NoisySteps() bool {
	for _, p := range m.program.Params {
		if p.Norms == program.None {
			return false
		}
	}
	return !m.program.BatchCoupled && slots*mostSteps*m.rowOfStep(m.capacity, true)*double <= mostRing
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
	noNoise     = "cuda: steps with noise that the machine cannot take"
)

// Start queues len(rates) steps of training on batches of the data set: indices
// has batch for each. The optimizer's vectors are NewVectors, as for Step and Adam; its
// LR is not read. With noise, which needs NoisySteps, last holds the gradient of the step before, and then that of each
// step; it is a NewVector, or nil.
func (m *Machine) Start(batch int, indices []int32, rates []float64, by optim.Optimizer[float32], noise bool, last []float32) {
	s, count := &m.steps, len(rates)
	m.checkBatch(batch)
	switch {
	case s.samples == 0:
		panic(noData)
	case count < 1 || count > mostSteps || len(indices) != count*batch:
		panic(badSteps)
	case len(s.started) == slots:
		panic(tooMany)
	case by.First == nil && len(by.Velocity) != m.program.NumParams && (by.Velocity != nil || by.Update.Momentum != 0):
		panic(badVector)
	case by.First != nil && (len(by.First) != m.program.NumParams || len(by.Second) != m.program.NumParams):
		panic(badVector)
	case noise && !m.NoisySteps():
		panic(noNoise)
	case last != nil && (!noise || len(last) != m.program.NumParams):
		panic(badVector)
	}
	slot := s.next
	s.next = (s.next + 1) % slots
	s.started = append(s.started, started{count, batch, noise})
	m.loaded, m.batch, m.pulled = 0, 0, false
	m.changed()
	if m.err != nil {
		return
	}
	first := slot * mostSteps
	// On the host each slot has its own room, as the copies of an earlier Start may
	// still be under way; on the device they come one after the other.
	mine, numbers := s.host.indices[first*m.capacity:], s.host.numbers[first*stepNumbers:]
	copy(mine, indices)
	width := numbersOf(numbers, rates, &by)
	m.copy("indices of batches", s.indices+driver.Pointer(first*batch*4), hostAddress(mine), count*batch*4)
	m.copy("learning rates", s.numbers+driver.Pointer(first*width*double), hostAddress(numbers), count*width*double)
	if m.err == nil {
		m.check(m.stream.Fill("counter of steps", s.counter, uint32(first), 1))
	}
	t := step{n: batch, noise: noise, ring: &s.plain, last: m.near(last)}
	if noise {
		if t.ring = &s.noisy; t.ring.host == nil && m.err == nil {
			var err error
			s.noisy, err = m.makeRing(m.rowOfStep(m.capacity, true))
			m.check(err)
		}
	}
	var rule string
	if by.First != nil {
		t.first, t.second, t.adam = m.near(by.First), m.near(by.Second), by.Adam
		t.adam.LR, t.adam.Step = 0, 1
		rule = fmt.Sprintf("Adam %+v with moments %x and %x", t.adam, t.first, t.second)
	} else {
		if by.Update.Momentum != 0 {
			t.velocity = m.near(by.Velocity)
		}
		t.update = by.Update
		t.update.LR = 0
		rule = fmt.Sprintf("%+v with velocity %x", t.update, t.velocity)
	}
	key := run{what: fmt.Sprintf("step of %s and gradient %x", rule, t.last), n: batch, noise: noise}
	m.noise, m.toGradient = noise, true
	for range count {
		m.graph(key, func() { m.queueStep(&t) })
	}
	if m.err == nil {
		row := m.rowOfStep(batch, noise)
		m.copy("results of steps", hostAddress(t.ring.slot(slot)), t.ring.device+driver.Pointer(first*row*double), count*row*double)
	}
	if m.err == nil {
		m.check(m.stream.Record(s.events[slot]))
	}
}

// numbersOf stores what differs from step to step of the optimizer, at most stepNumbers
// numbers for each, and returns how many those are.
func numbersOf(numbers, rates []float64, by *optim.Optimizer[float32]) (width int) {
	if by.First == nil {
		copy(numbers, rates)
		return 1
	}
	for k, lr := range rates {
		u := by.Adam
		u.LR, u.Step = lr, u.Step+k
		row := numbers[stepNumbers*k:]
		row[0], row[1], row[2] = u.Rate(), u.Scale(), u.Keep()
	}
	return stepNumbers
}

// near returns where the device sees x, which must be its own memory.
func (m *Machine) near(x []float32) driver.Pointer {
	if x == nil || m.err != nil {
		return 0
	}
	if !m.memory.isShared(unsafe.Pointer(unsafe.SliceData(x)), len(x)*real) {
		panic(farVector)
	}
	return address(x)
}

// farVector is for a vector of steps that the device does not see.
const farVector = "cuda: the velocity or gradient of steps is no NewVector"

// step is a training step that the device takes by itself.
type step struct {
	n     int
	noise bool
	last  driver.Pointer // the gradient of the step before, 0 for none
	ring  *ring

	// The optimizer: Adam where first is not 0.
	update                  optim.Update
	adam                    optim.AdamUpdate
	velocity, first, second driver.Pointer
}

// queueStep queues one step.
func (m *Machine) queueStep(t *step) {
	s, p, n := &m.steps, m.program, t.n
	m.launch("gathering a batch", m.kernels.gather, driver.Grid{Blocks: driver.Dim{X: n, Y: blocks(s.size, 256)}, Threads: driver.Dim{X: 256}},
		driver.Ptr(m.buffers.at[p.Inputs[0]]), driver.Ptr(m.buffers.at[p.Inputs[1]]), driver.Ptr(s.pixels), driver.Ptr(s.labels), driver.Ptr(s.values),
		driver.Ptr(s.indices), driver.Ptr(s.counter), driver.Int(n), driver.Int(s.size), driver.Int(s.plane), driver.Int(s.classes))
	m.stepping = true
	m.run(program.Forward, n)
	m.stepping = false
	m.clear(m.buffers.grad, m.gradGaps)
	m.runList(m.phases[program.Gradient], n)
	planes, parts := 0, 0
	if t.noise {
		m.run(program.Noise, n)
		planes, parts = m.normPlanes(), 2*len(p.Params)
		m.queuePartSums(t.last, address(m.buffers.grad), m.vectors.stepSums)
	}
	row := rowArgs{
		driver.Ptr(t.ring.device), driver.Ptr(m.buffers.doubles), driver.Int(m.buffers.scalars),
		driver.Int(planes), driver.Int(m.capacity), driver.Int(n), driver.Ptr(m.vectors.stepSums), driver.Int(parts),
	}
	if t.first != 0 {
		m.queueAdam(t.first, t.second, t.adam, s.numbers, row)
	} else {
		m.queueUpdate(t.velocity, t.update, s.numbers, row)
	}
}

// Finish waits for the steps of the earliest Start that was not finished, stores
// their mean losses and how many samples were classified rightly, −1 where that is
// not known, and returns how many there were. Of steps with noise it also stores, for
// each step and parameter, Σ lastⱼḡⱼ and Σ ḡⱼ² over its part in dots and normSqs, and
// the norms of all samples in norms, steps×parameters×samples.
func (m *Machine) Finish(losses []float64, correct []int, dots, normSqs, norms []float64) int {
	s := &m.steps
	if len(s.started) == 0 {
		panic(nothingRuns)
	}
	slot := (s.next + slots - len(s.started)) % slots
	t := s.started[0]
	s.started = append(s.started[:0], s.started[1:]...)
	if m.err == nil {
		m.check(s.events[slot].Synchronize("waiting for steps"))
	}
	p, b := m.program, &m.buffers
	results, length := s.plain.slot(slot), m.rowOfStep(t.batch, t.noise)
	if t.noise {
		results = s.noisy.slot(slot)
	}
	for k := range t.count {
		losses[k], correct[k] = math.NaN(), -1
		if m.err != nil {
			continue
		}
		row := results[k*length:][:length]
		losses[k] = row[b.doubleAt[p.Loss]]
		if p.Correct != program.None {
			correct[k] = int(row[b.doubleAt[p.Correct]])
		}
		if !t.noise {
			continue
		}
		sums := row[length-2*len(p.Params):]
		for q, param := range p.Params {
			at := k*len(p.Params) + q
			dots[at], normSqs[at] = sums[2*q], sums[2*q+1]
			plane := (b.doubleAt[param.Norms] - b.scalars) / m.capacity
			copy(norms[at*t.batch:][:t.batch], row[b.scalars+plane*t.batch:])
		}
	}
	return t.count
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
