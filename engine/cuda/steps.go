//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"slices"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/program"
	"sgflow/engine/steps"
)

// Training steps that stay on the device. The data set, the optimizer's state and
// the batches' indices are there; a graph is a whole step or several, and a counter in
// device memory tells it which one. What steps have to tell goes to a ring that
// is copied to the host while the next steps run.

// slots is how many Starts may be under way.
const slots = 2

// training is what training by itself needs.
type training struct {
	pixels, labels, values driver.Pointer
	samples, size, classes int
	plane                  int // elements of a channel

	indices driver.Pointer // slots·steps.Most·capacity
	numbers driver.Pointer // slots·steps.Most·stepNumbers
	counter driver.Pointer
	loss    *loss // which counts the steps
	host    struct {
		indices []int32
		numbers []float64
	}
	plain, noisy ring // of steps with nothing but a loss, and of others
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
// noise also all norms, n for each parameter, and the sums over the gradient's parts, or, with
// a recording, its numbers.
type ring struct {
	row    int            // numbers that a step leaves, at most
	device driver.Pointer // slots·steps.Most rows, which the steps of all Starts fill one after the other
	host   []float64      // see slot
}

// started is a Start under way.
type started struct {
	step
	count   int
	results []float64
}

// mostRing is how many bytes the ring of steps with noise may have: at batch sizes for
// which it has more, a step takes far longer than the host's part in it.
const mostRing = 64 << 20

// reserveRing makes a ring, or another one, where rows are longer than r has. What Starts
// that are under way leave stays where it is.
func (m *Machine) reserveRing(r *ring, row int) {
	if row <= r.row || m.err != nil {
		return
	}
	var err error
	r.row = row
	if r.device, err = m.memory.device("results of steps", slots*steps.Most*row*double); err == nil {
		r.host, err = pinned[float64](m, "results of steps", slots*steps.Most*row)
	}
	m.check(err)
}

// slot is where a slot's Start has its results on the host: room for the largest
// batch so far, so that the results of the next Start, which may arrive while these are
// read, lie elsewhere whatever both batches are.
func (r *ring) slot(k int) []float64 { return r.host[k*steps.Most*r.row:][:steps.Most*r.row] }

// rowOf is where a step leaves its results.
func (m *Machine) rowOf(t *step) rowArgs {
	row := rowArgs{ring: t.ring.device, results: m.buffers.doubles, count: m.buffers.scalars, capacity: m.capacity, n: t.n}
	if t.noise {
		row.planes, row.sums = m.normPlanes(), 2*len(t.end.owners)
	}
	if t.recording != nil {
		row.sums = t.recording.used
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
	row := m.rowOf(&step{n: batch, noise: true, end: m.endOf(batch, true), ring: &ring{}})
	return slots*steps.Most*row.size()*double <= mostRing
}

// endOf returns how steps of n samples end. It finds out by a rehearsal.
func (m *Machine) endOf(n int, noise bool) *end {
	s, p, params := &m.training, &m.pending, m.program.Params
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

// The texts of the panics that wrong calls of Start and Finish cause.
const (
	noData      = "cuda: steps without a data set"
	badSteps    = "cuda: steps: a wrong number of indices or rates"
	tooMany     = "cuda: a third Start before a Finish"
	nothingRuns = "cuda: Finish without a Start"
	noNoise     = "cuda: steps with noise that the machine cannot take"
)

// checkSteps panics where Start cannot be asked for c.
func (m *Machine) checkSteps(c *steps.Request[float32]) {
	s, count, by := &m.training, len(c.Rates), &c.Optimizer
	m.checkBatch(c.Batch)
	switch {
	case s.samples == 0:
		panic(noData)
	case count < 1 || count > steps.Most || len(c.Indices) != count*c.Batch:
		panic(badSteps)
	case len(s.started) == slots:
		panic(tooMany)
	case by.First == nil && len(by.Velocity) != m.program.NumParams && (by.Velocity != nil || by.Update.Momentum != 0):
		panic(badVector)
	case by.First != nil && (len(by.First) != m.program.NumParams || len(by.Second) != m.program.NumParams):
		panic(badVector)
	case c.Noise && m.err == nil && !m.NoisySteps(c.Batch):
		panic(noNoise)
	case c.Last != nil && (!c.Noise || c.Recording != 0 || len(c.Last) != m.program.NumParams):
		panic(badVector)
	}
}

// Start queues steps of training on batches of the data set; see package steps.
func (m *Machine) Start(c *steps.Request[float32]) {
	m.checkSteps(c)
	s, count := &m.training, len(c.Rates)
	slot, first := s.next, s.next*steps.Most
	s.next = (s.next + 1) % slots
	m.flushGather()
	m.loaded, m.batch, m.pulled = 0, 0, false
	m.changed()
	t := step{n: c.Batch, noise: c.Noise, ring: &s.plain, last: m.near(c.Last), recording: m.recorded(c.Recording), end: &end{}}
	if t.recording == nil {
		t.end = m.endOf(t.n, t.noise)
	}
	if t.noise || t.recording != nil {
		t.ring = &s.noisy
	}
	row := m.rowOf(&t)
	m.reserveRing(t.ring, row.size())
	begun := started{step: t, count: count}
	if m.err == nil {
		begun.results = t.ring.slot(slot)
	}
	s.started = append(s.started, begun)
	if m.err != nil {
		return
	}
	// On the host each slot has its own room, as the copies of an earlier Start may
	// still be under way; on the device they come one after the other.
	mine, numbers := s.host.indices[first*m.capacity:], s.host.numbers[first*stepNumbers:]
	copy(mine, c.Indices)
	storeNumbers(numbers, c)
	m.copy("indices of batches", s.indices+driver.Pointer(first*t.n*4), hostAddress(mine), count*t.n*4)
	m.copy("learning rates", s.numbers+driver.Pointer(first*stepNumbers*double), hostAddress(numbers), count*stepNumbers*double)
	if m.err == nil {
		m.check(m.stream.Fill("counter of steps", s.counter, uint32(first), 1))
	}
	t.by = m.rule(&c.Optimizer)
	key := run{what: fmt.Sprintf("step by %+v, gradient %x, results %x, recording %d", t.by, t.last, t.ring.device, c.Recording), n: t.n, noise: t.noise}
	m.noise, m.toGradient = t.noise, true
	for left := count; left > 0; {
		// From one graph to the next is further than from one kernel to the next, on the device
		// and for the host.
		together := 1
		if left >= steps.Together {
			together = steps.Together
		}
		left -= together
		key.steps = together
		m.graph(key, func() {
			for k := range together {
				m.queueStep(&t, k == 0)
			}
		})
	}
	m.copy("results of steps", hostAddress(begun.results), t.ring.device+driver.Pointer(first*row.size()*double), count*row.size()*double)
	if m.err == nil {
		m.check(m.stream.Record(s.events[slot]))
	}
}

// rule returns the optimizer's rule, but for what is in the numbers of steps.
func (m *Machine) rule(by *optim.Optimizer[float32]) (o optimizerArgs) {
	u, adam := by.Update, by.Adam
	u.LR, adam.LR, adam.Step = 0, 0, 1
	switch {
	case by.First != nil:
		o = m.adam(m.near(by.First), m.near(by.Second), adam)
	case u.Momentum != 0:
		o = m.sgd(m.near(by.Velocity), u)
	default:
		o = m.sgd(0, u)
	}
	o.numbers, o.step = m.training.numbers, m.training.counter
	return o
}

// storeNumbers stores what differs from step to step, a row of stepNumbers for each: of the
// optimizer's rule, and how many probes are drawn.
func storeNumbers(numbers []float64, c *steps.Request[float32]) {
	by := &c.Optimizer
	for k, lr := range c.Rates {
		row := numbers[stepNumbers*k:]
		row[3] = float64(c.Drawn + uint64(k))
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
	n         int
	noise     bool
	end       *end
	by        optimizerArgs
	last      driver.Pointer // the gradient of the step before, 0 for none
	recording *recording     // nil for none; else its numbers are left in place of sums
	ring      *ring
}

// gathering is an instruction that, as the first of a step, may read its samples where they
// lie in the data set, and gather the batch for the others in the same launch: see
// kernels/step.cu. It returns false where it queued nothing.
type gathering interface {
	runGathering(n int, batch []driver.Arg) bool
}

// queueStep queues one step, which may tell what its parts take.
func (m *Machine) queueStep(t *step, timed bool) {
	s, n := &m.training, t.n
	batch := m.batchArgs(n, s.indices, s.counter)
	forward := m.queueBatch(batch, n)
	m.stepping = true
	m.runList(forward, n)
	m.stepping = false
	m.queueBackward(m.phases[program.Gradient], n)
	row := m.rowOf(t)
	s.loss.keep(&row)
	if t.end.fused {
		m.flushWith(t.by, row, t.last)
		return
	}
	m.flush()
	sums := m.vectors.stepSums
	switch {
	case t.recording != nil:
		m.queueRecording(t.recording, n, timed)
		sums = t.recording.numbers
	case t.noise:
		m.queuePartSums(t.last, address(m.buffers.grad), sums)
	}
	m.queueUpdate(t.by, row, sums)
}

// Finish waits for the steps of the earliest Start that was not finished, and stores what
// they have to tell; see package steps.
func (m *Machine) Finish(r *steps.Results) {
	s := &m.training
	if len(s.started) == 0 {
		panic(nothingRuns)
	}
	slot := (s.next + slots - len(s.started)) % slots
	t := s.started[0]
	s.started = append(s.started[:0], s.started[1:]...)
	if m.err == nil {
		m.check(s.events[slot].Synchronize("waiting for steps"))
	}
	p, row := m.program, m.rowOf(&t.step)
	r.Steps, r.Batch = t.count, t.n
	var sums, norms, numbers int
	if t.noise {
		sums, norms = len(p.Params), len(p.Params)*t.n
	}
	if t.recording != nil {
		sums, numbers = 0, row.sums
	}
	r.Reserve(sums, norms, numbers)
	for k := range t.count {
		if m.err != nil {
			r.Spoil(k)
			continue
		}
		m.tell(r, k, &t, row)
	}
}

// tell stores what step k of t has left.
func (m *Machine) tell(r *steps.Results, k int, t *started, row rowArgs) {
	p, b := m.program, &m.buffers
	results := t.results[k*row.size():][:row.size()]
	r.Losses[k], r.Correct[k] = results[b.doubleAt[p.Loss]], -1
	if p.Correct != program.None {
		r.Correct[k] = int(results[b.doubleAt[p.Correct]])
	}
	if t.noise {
		norms := steps.Row(r.SampleNorms, k)
		for q, param := range p.Params {
			plane := (b.doubleAt[param.Norms] - b.scalars) / m.capacity
			copy(norms[q*t.n:][:t.n], results[b.scalars+plane*t.n:])
		}
	}
	sums := results[row.size()-row.sums:]
	switch {
	case t.recording != nil:
		copy(steps.Row(r.Numbers, k), sums)
	case t.noise:
		dots, normSqs := steps.Row(r.Dots, k), steps.Row(r.NormSqs, k)
		clear(dots)
		clear(normSqs)
		for q, owner := range t.end.owners {
			dots[owner] += sums[2*q]
			normSqs[owner] += sums[2*q+1]
		}
	}
}

// close frees what is not memory.
func (s *training) close() (errs []error) {
	for _, e := range s.events {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	return errs
}
