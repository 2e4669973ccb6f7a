//go:build gpu && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// Options say how a Machine runs its program.
type Options struct {
	// Capacity is the largest batch size, at least 1.
	Capacity int
	// Device is one of driver.Devices.
	Device driver.Device
	// TF32 rounds the factors of large products to TF32, where the device has tensor cores
	// for it, instead of making three such products.
	TF32 bool
	// Multiprocessors to keep busy; 0 is as many as the device has. Results
	// depend on it in the last digits, as sums are split by it.
	Multiprocessors int
}

// MemoryVariable is the environment variable that, set to pinned, makes machines do
// without managed memory, for systems on which it gives trouble.
const MemoryVariable = "SGFLOW_CUDA_MEMORY"

// BranchesVariable is the environment variable that, set to off, makes machines do one thing
// after the other in branches too, to see what these gain.
const BranchesVariable = "SGFLOW_CUDA_BRANCHES"

// Machine executes a Program on a CUDA device, in float32. It is for one
// goroutine at a time. All slices that its methods return belong to it, keep
// their address for its life and must not be used after Close.
//
// The methods are those of cpu.Machine, and as there the wrong order of calls and
// wrong lengths panic. What fails on the device is kept in Err: from then on
// nothing is computed, and numbers are NaN.
type Machine struct {
	program         *program.Program
	capacity        int
	multiprocessors int
	tf32            bool

	ctx     *driver.Context
	module  *driver.Module
	stream  *driver.Stream
	main    lane
	side    *lane // of branches; nil before the first, or where there is no memory for it
	narrow  bool  // there is to be none
	lane    *lane // that work is queued in
	kernels kernelSet
	memory  memory
	buffers buffers
	err     error
	busy    bool // something is queued that was not waited for

	geometries map[program.ConvGeom]*geometry
	phases     [program.NumPhases][]bound
	graphs     map[run]*driver.Graph
	pending    pending
	dry        bool // a rehearsal: nothing is queued
	staging    [7]staging
	vectors    vectors
	laps       laps

	// unwritten parts of ḡ and H·v: no instruction writes them, so they are zero.
	gradGaps, productGaps []program.Interval

	toGradient bool // the run in progress goes on to the gradient
	noise      bool // and to norms
	stepping   bool // it is a step that stays on the device
	loaded     int  // samples of the last run
	batch      int  // of the last backward pass, 0 when a Forward followed it
	pulled     bool // that was a Pullback, with which there is no product
	curved     bool // Curvature has run for it
	sampled    sampled
	logit      *logits // nil where the program has no LogitLoss
	training   training
	recordings []*recording // by name − 1
	recording  *recording   // that is being queued
	gathered   gathered
	binder     *binder // of the phases, for products that are bound later
	products   map[productKey]*boundProduct
}

// tensorCapability is the compute capability, major·10 + minor, from which devices
// have tensor cores for TF32.
const tensorCapability = 80

// run names what a captured graph does.
type run struct {
	what  string
	n     int
	noise bool
	steps int // of training; 0 for what is none

	gathers bool // it begins with gathering the batch
}

// mostGraphs is how many graphs a machine keeps; what runs at more batch sizes
// than that is queued kernel by kernel.
const mostGraphs = 64

// The texts of the panics that wrong calls cause.
const (
	badBatch    = "cuda: batch size is not between 1 and the capacity"
	badLengths  = "cuda: vectors differ in length"
	badVector   = "cuda: vector is not of length P"
	noGradient  = "cuda: no Gradient before, or another run since"
	noHessian   = "cuda: the program has no Hessian-vector product"
	noLogits    = "cuda: the program names no logits"
	noLogitLoss = "cuda: the program's loss is not one of its logits alone"
	noForward   = "cuda: no samples have been run"
	noSamples   = "cuda: per-sample gradients without a Gradient or Pullback before"
	noKept      = "cuda: CrossDots without a KeepSamples before"
	badSamples  = "cuda: slice does not have an element for each sample of the last run"
	badLogits   = "cuda: slice does not have an element for each logit of the last run"
	badGram     = "cuda: Gram matrix is not n×n for the n samples of the last backward pass"
)

// New makes a machine for p. It returns an error where p holds an instruction
// that this package has no rule for or whose operands do not fit together, or
// where the device fails or lacks memory. The caller closes the machine when done
// with it.
func New(p *program.Program, o Options) (*Machine, error) {
	if o.Capacity < 1 {
		return nil, fmt.Errorf("cuda: making a machine: capacity %d: it must be at least 1", o.Capacity)
	}
	m := &Machine{
		program: p, capacity: o.Capacity, multiprocessors: o.Multiprocessors,
		geometries: map[program.ConvGeom]*geometry{}, graphs: map[run]*driver.Graph{},
		products: map[productKey]*boundProduct{},
	}
	m.narrow = os.Getenv(BranchesVariable) == "off"
	m.tf32 = o.TF32 && o.Device.Capability >= tensorCapability
	if m.multiprocessors == 0 {
		m.multiprocessors = o.Device.Multiprocessors
	}
	if err := m.start(o.Device); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// start opens the device and binds the program.
func (m *Machine) start(d driver.Device) (err error) {
	if m.ctx, err = driver.Open(d); err != nil {
		return err
	}
	m.memory = memory{ctx: m.ctx, pinned: !d.Managed || os.Getenv(MemoryVariable) == "pinned"}
	if m.module, err = load(m.ctx); err != nil {
		return err
	}
	if m.kernels, err = loadKernels(m.module); err != nil {
		return err
	}
	if m.stream, err = m.ctx.NewStream(); err != nil {
		return err
	}
	layout := m.program.Plan(m.capacity)
	if err := m.allocate(layout); err != nil {
		return err
	}
	m.lane = &m.main
	m.main.stream = m.stream
	if err := m.makeLane(&m.main, &m.memory); err != nil {
		return err
	}
	m.gradGaps = m.program.Gaps(program.Grad, program.Gradient)
	if m.program.HasProduct() {
		m.productGaps = m.program.Gaps(program.Product, program.HessianProduct)
	}
	if err := m.bind(); err != nil {
		return err
	}
	m.Wait()
	return m.err
}

// bind resolves the instructions, but for those of the Samples phase.
func (m *Machine) bind() error {
	b := newBinder(m)
	m.binder = b
	var errs []error
	for ph := program.Forward; ph < program.Samples; ph++ {
		list, err := b.bindPhase(ph)
		if ph == program.Noise && err == nil {
			b.err = nil
			list = b.finishNoise(list)
			err = b.err
		}
		m.phases[ph] = list
		errs = append(errs, err)
	}
	b.err = nil
	m.logit = b.bindLogits()
	m.vectors.bind(b)
	errs = append(errs, b.err)
	for k, id := range m.program.Inputs {
		if m.buffers.inputs[k] == nil {
			errs = append(errs, fmt.Errorf("cuda: making a machine: buffer %d is listed as an input but has role %s", id, m.program.Buffers[id].Role))
		}
	}
	return errors.Join(errs...)
}

// Close frees the device's memory. The machine must not be used afterwards;
// closing it again does nothing.
func (m *Machine) Close() { m.check(m.close()) }

func (m *Machine) close() error {
	if m.ctx == nil {
		return nil
	}
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	if m.stream != nil {
		keep(m.stream.Synchronize("closing"))
	}
	for _, g := range m.graphs {
		keep(g.Close())
	}
	errs = append(errs, m.training.close()...)
	errs = append(errs, m.laps.close()...)
	keep(m.memory.free())
	keep(m.side.close())
	if m.stream != nil {
		keep(m.stream.Close())
	}
	if m.module != nil {
		keep(m.module.Unload())
	}
	keep(m.ctx.Close())
	m.ctx = nil
	return errors.Join(errs...)
}

// Err returns the first error of the device that is known, nil where there was
// none. Errors of what was not waited for are not known yet.
func (m *Machine) Err() error { return m.err }

// Counts returns how often the device was asked for something since New.
func (m *Machine) Counts() driver.Counts { return m.stream.Counts() }

// check remembers the first error.
func (m *Machine) check(err error) {
	if m.err == nil {
		m.err = err
	}
}

// asks is called before the device is asked for something. It returns false where it must not
// be.
func (m *Machine) asks() bool {
	m.flushSums()
	if m.recording != nil {
		m.recording.asking = true
	}
	return m.err == nil && !m.dry
}

// launch queues a kernel.
func (m *Machine) launch(what string, k driver.Kernel, g driver.Grid, args ...driver.Arg) {
	if m.asks() && g.Blocks.X > 0 {
		m.check(m.lane.stream.Launch(what, k, g, args...))
		m.busy = true
	}
}

// copy queues a copy of bytes.
func (m *Machine) copy(what string, dst, src driver.Pointer, bytes int) {
	if m.asks() && bytes > 0 && dst != src {
		m.check(m.lane.stream.Copy(what, dst, src, int64(bytes)))
		m.busy = true
	}
}

// fill queues zeros for n words of 4 bytes.
func (m *Machine) fill(what string, dst driver.Pointer, n int) {
	if m.asks() && n > 0 {
		m.check(m.lane.stream.Fill(what, dst, 0, int64(n)))
		m.busy = true
	}
}

// Wait returns when all that is queued is done, and the numbers that it leaves are
// stored. It is free where nothing is queued.
func (m *Machine) Wait() {
	if m.recording != nil {
		if m.err == nil {
			panic(waitsInRecording)
		}
		return
	}
	m.flushGather()
	m.flushSums()
	if m.busy {
		m.busy = false
		m.check(m.stream.Synchronize("waiting for the device"))
	}
	m.deliver()
	m.gathered.used = 0
}

// graph runs what f queues: captured the first time, and as one from then on. f is
// rehearsed before it is captured, so that it can upload its tables.
func (m *Machine) graph(key run, f func()) {
	m.flushSums()
	if m.recording != nil { // which is part of another
		f()
		return
	}
	if m.err != nil {
		return
	}
	g := m.graphs[key]
	if g == nil && len(m.graphs) == mostGraphs {
		f()
		return
	}
	if g == nil {
		m.dry = true
		f()
		m.dry = false
		var err error
		g, err = m.stream.Capture(key.what, func() error {
			f()
			return m.err
		})
		if err != nil {
			m.check(err)
			return
		}
		m.graphs[key] = g
	}
	m.check(m.stream.LaunchGraph(key.what, g))
	m.busy = true
}

// dropGraphs forgets all graphs.
func (m *Machine) dropGraphs() {
	m.Wait()
	for _, g := range m.graphs {
		m.check(g.Close())
	}
	clear(m.graphs)
}

// Capacity returns the largest batch size.
func (m *Machine) Capacity() int { return m.capacity }

// Theta returns θ, P elements in the order of the program's parameters. The
// caller sets it; it starts as zeros. It does not wait: θ is a vector like those of
// NewVector.
func (m *Machine) Theta() []float32 { return m.buffers.theta }

// Grad returns ḡ = ∇L(θ), P elements, as of the last Gradient. It does not wait, like
// Theta.
func (m *Machine) Grad() []float32 { return m.buffers.grad }

// Input returns the k-th input of the program at full capacity: rows of samples of
// which the caller fills the first n before a run of n. A fixed input has no rows.
func (m *Machine) Input(k int) []float32 { m.Wait(); return m.buffers.inputs[k] }

// NewVector returns a vector of n zeros that the device sees: operations on it copy
// nothing and are only queued. The host must Wait before it touches the elements. It
// lives until Close.
func (m *Machine) NewVector(n int) []float32 {
	if m.err == nil {
		block, err := m.memory.both("vector", n*real)
		if err == nil {
			return driver.Slice[float32](block)
		}
		m.check(err)
	}
	return make([]float32, n)
}

// number returns a result of the last run.
func (m *Machine) number(id program.BufferID) float64 {
	m.Wait()
	if m.err != nil {
		return math.NaN()
	}
	return m.buffers.host[m.buffers.doubleAt[id]]
}

// Loss returns the mean loss L of the last run.
func (m *Machine) Loss() float64 {
	if m.program.Loss == program.None {
		return 0
	}
	return m.number(m.program.Loss)
}

// LossTo stores what Loss and Correct return in loss and correct by the next Wait.
func (m *Machine) LossTo(loss, correct *float64) {
	*loss, *correct = 0, -1
	m.numberTo(loss, m.program.Loss)
	m.numberTo(correct, m.program.Correct)
}

// numberTo stores a result of the last run, if the program has it, in dst by the next Wait.
func (m *Machine) numberTo(dst *float64, id program.BufferID) {
	if id == program.None {
		return
	}
	at := m.reserve(1)
	m.storeResults("a result", m.result(at), m.buffers.doubles+driver.Pointer(m.buffers.doubleAt[id]*double), 1, 0, 0)
	m.expect(dst, at)
}

// Correct returns the number of samples of the last run that were classified
// rightly, −1 where the program does not count them.
func (m *Machine) Correct() int {
	if m.program.Correct == program.None {
		return -1
	}
	if v := m.number(m.program.Correct); v == v {
		return int(v)
	}
	return 0
}

// Norms returns ‖gᵢ‖² of one parameter for each sample of the last Gradient, which
// must have been asked for noise. It is nil where the program has no rule for the
// parameter.
func (m *Machine) Norms(param int) []float64 {
	id := m.program.Params[param].Norms
	if id == program.None {
		return nil
	}
	m.Wait()
	return m.buffers.host[m.buffers.doubleAt[id]:][:m.batch]
}

// Logits returns the network's outputs for the first n samples of the last run,
// n×classes.
func (m *Machine) Logits(n int) []float32 {
	if m.buffers.logits == nil {
		panic(noLogits)
	}
	m.checkBatch(n)
	m.Wait()
	return m.buffers.logits[:m.program.Buffer(m.program.Logits).Len(n)]
}

func (m *Machine) checkBatch(n int) {
	if n < 1 || n > m.capacity {
		panic(badBatch)
	}
}

// Forward computes the loss of the first n samples, and the count of correct
// predictions. It panics where n is not in 1..Capacity.
func (m *Machine) Forward(n int) {
	m.begin(n)
	m.toGradient = false
	gathers := m.gathers(n)
	m.graph(run{what: "forward", n: n, gathers: gathers}, func() {
		m.queueForward(n, gathers)
		m.results(n, false)
	})
}

// begin is called when samples are run.
func (m *Machine) begin(n int) {
	m.checkBatch(n)
	m.loaded, m.batch, m.pulled = n, 0, false
	m.changed()
}

// Gradient computes what Forward does and ḡ = ∇L(θ) of the first n samples; with
// noise also ‖gᵢ‖² of every sample and parameter. It panics where n is not in
// 1..Capacity.
func (m *Machine) Gradient(n int, noise bool) {
	m.begin(n)
	m.batch, m.noise, m.toGradient = n, noise, true
	gathers := m.gathers(n)
	m.graph(run{what: "gradient", n: n, noise: noise, gathers: gathers}, func() { m.queueGradient(n, gathers) })
}

// queueForward queues the forward pass, and before it the gathering of its batch if asked for.
func (m *Machine) queueForward(n int, gathers bool) {
	forward := m.phases[program.Forward]
	if gathers {
		forward = m.queueBatch(m.lastBatch(n), n)
	}
	m.runList(forward, n)
}

// queueGradient queues loss, gradient and, if asked for, norms.
func (m *Machine) queueGradient(n int, gathers bool) {
	m.queueForward(n, gathers)
	m.backward(m.phases[program.Gradient], n)
}

// backward queues list, which is the Gradient phase or like it, norms and results.
func (m *Machine) backward(list []bound, n int) {
	m.queueBackward(list, n)
	m.flush()
	m.results(n, m.noise)
}

// queueBackward queues list and norms, but for what they put off.
func (m *Machine) queueBackward(list []bound, n int) {
	m.clear(m.buffers.grad, m.gradGaps)
	m.queue(list, n)
	if m.noise {
		m.queue(m.phases[program.Noise], n)
	}
}

func (m *Machine) clear(x []float32, gaps []program.Interval) {
	for _, g := range gaps {
		m.fill("elements without gradient", address(x)+driver.Pointer(g.From*real), g.To-g.From)
	}
}

// results queues the storing of all scalars, and with norms of all norms of n samples, where
// the host finds them.
func (m *Machine) results(n int, norms bool) {
	b, planes := &m.buffers, 0
	if norms {
		planes = m.normPlanes()
	}
	if b.scalars+planes*n > 0 {
		m.storeResults("results", hostAddress(b.host), b.doubles, b.scalars, planes, n)
	}
}

// storeResults queues the copy of count numbers, and of n of each of the planes behind them, to
// pinned memory: by a kernel, as a stream waits longer before and after a copy.
func (m *Machine) storeResults(what string, to, from driver.Pointer, count, planes, n int) {
	m.launch(what, m.kernels.storeResults, elements(count+planes*n), driver.Ptr(to), driver.Ptr(from),
		driver.Int(count), driver.Int(planes), driver.Int(m.capacity), driver.Int(n))
}

// changed says that what was computed from the activations and the backward pass
// has to be computed anew when it is needed again.
func (m *Machine) changed() {
	m.curved, m.sampled.made = false, false
	if m.logit != nil {
		m.logit.tangent.ready = false
	}
}

// Product computes out = H·v, H being the Hessian of the loss of the last
// Gradient's batch at the θ of that call; θ and the inputs must not have changed
// since. out and v have P elements and do not overlap; no reference to them is
// kept. It panics without such a Gradient, where the program has no
// Hessian-vector product, and where a length is wrong.
func (m *Machine) Product(out, v []float32) {
	switch {
	case !m.program.HasProduct():
		panic(noHessian)
	case m.batch == 0 || m.pulled:
		panic(noGradient)
	case len(out) != m.program.NumParams || len(v) != m.program.NumParams:
		panic(badVector)
	}
	n := m.batch
	m.curve()
	if d := m.boundTo(out, v); d != nil {
		m.graph(run{what: d.what, n: n}, func() { m.queueProductOf(d.out, d.list, n) })
		return
	}
	if m.lane == m.side { // which has no copies of vectors
		if len(m.recordings) > 0 {
			m.check(errors.New(crowdedLane))
			return
		}
		m.dropSide()
	}
	m.read(m.buffers.vector, v)
	m.graph(run{what: "product", n: n}, func() { m.queueProduct(n) })
	m.write(out, m.buffers.product)
}

// curve computes what all products with the Hessian at one point share.
func (m *Machine) curve() {
	if n := m.batch; !m.curved && len(m.phases[program.Curvature]) > 0 {
		m.graph(run{what: "curvature", n: n}, func() { m.run(program.Curvature, n) })
	}
	m.curved = true
}

// run queues one phase.
func (m *Machine) run(ph program.Phase, n int) { m.runList(m.phases[ph], n) }

func (m *Machine) runList(list []bound, n int) {
	m.queue(list, n)
	m.flush()
}

// queue queues instructions but for what they put off.
func (m *Machine) queue(list []bound, n int) {
	for _, in := range list {
		if in != nil {
			in.run(n)
		}
	}
}

// Split calls f for consecutive pieces [from, to) that make up [0, n), each once,
// and returns when all are done: on all cores, where n·cost elements are many. f
// may write inputs but must not call the machine otherwise.
func (m *Machine) Split(n, cost int, f func(from, to int)) {
	m.Wait()
	pieces := min(n, runtime.GOMAXPROCS(0), n*cost>>15+1)
	var group sync.WaitGroup
	for i := range pieces {
		group.Go(func() { f(i*n/pieces, (i+1)*n/pieces) })
	}
	group.Wait()
}
