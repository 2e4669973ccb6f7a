//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"slices"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/program"
)

// Training steps that stay on the device. The data set, the optimizer's state and
// the batches' indices are there; a graph is a whole step or several, and a counter in
// device memory tells it which one. What steps have to tell goes to a ring that
// is copied to the host while the next steps run.

// stepsTogether is how many steps one graph has, where there are so many to do: from one
// graph to the next is further than from one kernel to the next, on the device and for the
// host.
const stepsTogether = 8

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
	numbers driver.Pointer // slots·mostSteps·optimizerNumbers
	counter driver.Pointer
	loss    *loss // which counts the steps
	host    struct {
		indices []int32
		numbers []float64
	}
	plain, noisy ring // of steps without noise and with
	ends         map[endKey]*end
	events       [slots]*driver.Event
	started      []started // the Starts under way, the earliest first
	next         int       // slot of the next Start
}

// endKey is what the end of a step depends on.
type endKey struct {
	n     int
	noise bool
}

// end is how a step ends.
type end struct {
	// fused is set where the last launch for the gradient makes every element of it, so
	// that they can make the optimizer's step; else that is a launch of its own.
	fused bool
	// owners are the parameters over whose gradient's elements, or some of them, each pair
	// of the sums is that a step with noise leaves.
	owners []int
}

// ring is where steps leave their results, a row each: all scalars; of steps with
// noise also all norms, n for each parameter, and the sums over the gradient's parts.
type ring struct {
	row    int            // numbers that a step leaves, at most
	device driver.Pointer // slots·mostSteps rows, which the steps of all Starts fill one after the other
	host   []float64      // see slot
}

// started is a Start under way.
type started struct {
	count, batch int
	noise        bool
	end          *end
	results      []float64
}

// mostRing is how many bytes the ring of steps with noise may have: at batch sizes for
// which it has more, a step takes far longer than the host's part in it.
const mostRing = 64 << 20

// SetData copies the data to the device: sets of samples of bytes with their labels,
// and what each value of a byte becomes, channels×256. Samples are numbered through all
// sets. It returns false where the program's inputs are not such samples and their one-hot
// classes, or its loss is no instruction of its own, which counts the steps.
func (m *Machine) SetData(pixels [][]uint8, labels [][]int32, values []float32, classes int) bool {
	p, s := m.program, &m.steps
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
	s := &m.steps
	device := func(what string, bytes int) (p driver.Pointer) {
		if err == nil {
			p, err = m.memory.device(what, bytes)
		}
		return p
	}
	s.pixels, s.labels, s.values = device("data set", s.samples*s.size), device("labels", s.samples*4), device("values of bytes", len(values)*real)
	s.indices, s.numbers = device("indices of batches", slots*mostSteps*m.capacity*4), device("learning rates", slots*mostSteps*optimizerNumbers*double)
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
			s.host.indices, err = pinned[int32](m, "indices of batches", slots*mostSteps*m.capacity)
			return err
		},
		func() (err error) {
			s.host.numbers, err = pinned[float64](m, "learning rates", slots*mostSteps*optimizerNumbers)
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

// reserveRing makes a ring, or another one, where rows are longer than r has. What Starts
// that are under way leave stays where it is.
func (m *Machine) reserveRing(r *ring, row int) {
	if row <= r.row || m.err != nil {
		return
	}
	var err error
	r.row = row
	if r.device, err = m.memory.device("results of steps", slots*mostSteps*row*double); err == nil {
		r.host, err = pinned[float64](m, "results of steps", slots*mostSteps*row)
	}
	m.check(err)
}

// slot is where a slot's Start has its results on the host: room for the largest
// batch so far, so that the results of the next Start, which may arrive while these are
// read, lie elsewhere whatever both batches are.
func (r *ring) slot(k int) []float64 { return r.host[k*mostSteps*r.row:][:mostSteps*r.row] }

// rowOfStep is where a step of n samples leaves its results in r.
func (m *Machine) rowOfStep(r *ring, n int, noise bool, e *end) rowArgs {
	row := rowArgs{ring: r.device, results: m.buffers.doubles, count: m.buffers.scalars, capacity: m.capacity, n: n}
	if noise {
		row.planes, row.sums = m.normPlanes(), 2*len(e.owners)
	}
	return row
}

// size is how many numbers the row has.
func (r *rowArgs) size() int { return r.count + r.planes*r.n + r.sums }

// normPlanes is how many arrays of norms there are behind the scalars.
func (m *Machine) normPlanes() int { return (m.buffers.doubleCount - m.buffers.scalars) / m.capacity }

// NoisySteps reports whether Start can be asked for noise at that batch size: where every
// parameter has a rule for the norms of samples' gradients, and there is room for them.
func (m *Machine) NoisySteps(batch int) bool {
	if m.program.BatchCoupled || m.err != nil {
		return false
	}
	for _, p := range m.program.Params {
		if p.Norms == program.None {
			return false
		}
	}
	row := m.rowOfStep(&ring{}, batch, true, m.endOf(batch, true))
	return slots*mostSteps*row.size()*double <= mostRing
}

// endOf returns how steps of n samples end. It finds out by a rehearsal.
func (m *Machine) endOf(n int, noise bool) *end {
	s, p, params := &m.steps, &m.pending, m.program.Params
	if e := s.ends[endKey{n, noise}]; e != nil {
		return e
	}
	m.flushSums()
	before, dry := m.noise, m.dry
	m.noise, m.dry = noise, true
	m.queueBackward(m.phases[program.Gradient], n)
	e := &end{fused: len(m.gradGaps) == 0 && (!noise || len(p.norms) == m.normPlanes())}
	first, left := address(m.buffers.grad), m.program.NumParams
	p.elements(func(out driver.Pointer, n, blocks int) {
		at := int(out-first) / real
		owner := slices.IndexFunc(params, func(q program.Parameter) bool { return q.Offset <= at && at+n <= q.Offset+q.Size })
		if out < first || owner < 0 {
			e.fused = false
		}
		left -= n
		for range blocks {
			e.owners = append(e.owners, owner)
		}
	})
	theta := address(m.buffers.theta)
	p.reads(func(x driver.Pointer) {
		if theta <= x && x < theta+driver.Pointer(m.program.NumParams*real) {
			e.fused = false // they would see parameters that have moved
		}
	})
	m.flush() // as it is a rehearsal, this forgets what was put off
	m.noise, m.dry = before, dry
	if e.fused = e.fused && left == 0; !e.fused {
		e.owners = e.owners[:0]
		for k := range params {
			e.owners = append(e.owners, k)
		}
	}
	if s.ends == nil {
		s.ends = map[endKey]*end{}
	}
	s.ends[endKey{n, noise}] = e
	return e
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
// LR is not read. With noise, which needs NoisySteps, last holds the gradient of the step
// before, and then that of each step; it is a NewVector, or nil.
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
	case noise && !m.NoisySteps(batch):
		panic(noNoise)
	case last != nil && (!noise || len(last) != m.program.NumParams):
		panic(badVector)
	}
	slot, first := s.next, s.next*mostSteps
	s.next = (s.next + 1) % slots
	m.flushGather()
	m.loaded, m.batch, m.pulled = 0, 0, false
	m.changed()
	t := step{n: batch, noise: noise, end: m.endOf(batch, noise), ring: &s.plain, last: m.near(last)}
	if noise {
		t.ring = &s.noisy
	}
	row := m.rowOfStep(t.ring, batch, noise, t.end)
	m.reserveRing(t.ring, row.size())
	begun := started{count: count, batch: batch, noise: noise, end: t.end}
	if m.err == nil {
		begun.results = t.ring.slot(slot)
	}
	s.started = append(s.started, begun)
	if m.err != nil {
		return
	}
	// On the host each slot has its own room, as the copies of an earlier Start may
	// still be under way; on the device they come one after the other.
	mine, numbers := s.host.indices[first*m.capacity:], s.host.numbers[first*optimizerNumbers:]
	copy(mine, indices)
	storeNumbers(numbers, rates, &by)
	m.copy("indices of batches", s.indices+driver.Pointer(first*batch*4), hostAddress(mine), count*batch*4)
	m.copy("learning rates", s.numbers+driver.Pointer(first*optimizerNumbers*double), hostAddress(numbers), count*optimizerNumbers*double)
	if m.err == nil {
		m.check(m.stream.Fill("counter of steps", s.counter, uint32(first), 1))
	}
	by.Update.LR, by.Adam.LR, by.Adam.Step = 0, 0, 1 // these are in numbers
	switch {
	case by.First != nil:
		t.by = m.adam(m.near(by.First), m.near(by.Second), by.Adam)
	case by.Update.Momentum != 0:
		t.by = m.sgd(m.near(by.Velocity), by.Update)
	default:
		t.by = m.sgd(0, by.Update)
	}
	t.by.numbers, t.by.step = s.numbers, s.counter
	key := run{what: fmt.Sprintf("step by %+v, gradient %x, results %x", t.by, t.last, t.ring.device), n: batch, noise: noise}
	m.noise, m.toGradient = noise, true
	for left := count; left > 0; {
		together := 1
		if left >= stepsTogether {
			together = stepsTogether
		}
		left -= together
		key.steps = together
		m.graph(key, func() {
			for range together {
				m.queueStep(&t)
			}
		})
	}
	m.copy("results of steps", hostAddress(begun.results), t.ring.device+driver.Pointer(first*row.size()*double), count*row.size()*double)
	if m.err == nil {
		m.check(m.stream.Record(s.events[slot]))
	}
}

// storeNumbers stores what differs from step to step of the optimizer, a row of
// optimizerNumbers for each.
func storeNumbers(numbers, rates []float64, by *optim.Optimizer[float32]) {
	for k, lr := range rates {
		row := numbers[optimizerNumbers*k:]
		if by.First == nil {
			u := by.Update
			u.LR = lr
			row[0], row[1], row[2] = lr, 0, u.Keep()
			continue
		}
		u := by.Adam
		u.LR, u.Step = lr, u.Step+k
		row[0], row[1], row[2] = u.Rate(), u.Scale(), u.Keep()
	}
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
	end   *end
	by    optimizerArgs
	last  driver.Pointer // the gradient of the step before, 0 for none
	ring  *ring
}

// gathering is an instruction that, as the first of a step, may read its samples where they
// lie in the data set, and gather the batch for the others in the same launch: see
// kernels/step.cu. It returns false where it queued nothing.
type gathering interface {
	runGathering(n int, batch []driver.Arg) bool
}

// queueStep queues one step.
func (m *Machine) queueStep(t *step) {
	s, n := &m.steps, t.n
	batch := m.batchArgs(n, s.indices, s.counter)
	forward := m.queueBatch(batch, n)
	m.stepping = true
	m.runList(forward, n)
	m.stepping = false
	m.queueBackward(m.phases[program.Gradient], n)
	row := m.rowOfStep(t.ring, n, t.noise, t.end)
	s.loss.keep(&row)
	if t.end.fused {
		m.flushWith(t.by, row, t.last)
		return
	}
	m.flush()
	if t.noise {
		m.queuePartSums(t.last, address(m.buffers.grad), m.vectors.stepSums)
	}
	m.queueUpdate(t.by, row, m.vectors.stepSums)
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
	row := m.rowOfStep(&ring{}, t.batch, t.noise, t.end)
	for k := range t.count {
		losses[k], correct[k] = math.NaN(), -1
		if m.err != nil {
			continue
		}
		results := t.results[k*row.size():][:row.size()]
		losses[k] = results[b.doubleAt[p.Loss]]
		if p.Correct != program.None {
			correct[k] = int(results[b.doubleAt[p.Correct]])
		}
		if !t.noise {
			continue
		}
		first, params := k*len(p.Params), len(p.Params)
		clear(dots[first:][:params])
		clear(normSqs[first:][:params])
		sums := results[row.size()-row.sums:]
		for q, owner := range t.end.owners {
			dots[first+owner] += sums[2*q]
			normSqs[first+owner] += sums[2*q+1]
		}
		for q, param := range p.Params {
			plane := (b.doubleAt[param.Norms] - b.scalars) / m.capacity
			copy(norms[(first+q)*t.batch:][:t.batch], results[b.scalars+plane*t.batch:])
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
