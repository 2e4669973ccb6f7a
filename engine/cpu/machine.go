package cpu

import (
	"errors"
	"fmt"
	"runtime"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// Options say how a Machine runs its program.
type Options struct {
	// Capacity is the largest batch size, at least 1.
	Capacity int
	// Threads is the number of threads to use; 0 is one for each core.
	Threads int
	// Path is the instruction set to use; nil is the one that the environment
	// variable kernel.PathVariable names, or the best that the processor has.
	Path *kernel.Path
}

// Machine executes a Program on the processor. It is for one goroutine at a
// time. All slices that its methods return belong to it, keep their address
// for its life and must not be used after Close.
type Machine[T Float] struct {
	program  *program.Program
	capacity int
	*memory[T]
	pool    *kernel.Pool
	kernels *kernel.Kernels[T]
	signs   signs[T]
	split   split
	phases  [program.NumPhases][]bound // as in the program
	chained [program.NumPhases][]bound // the same with chains for instructions that run together

	// unwritten parts of ḡ and H·v: no instruction writes them, so they are
	// set to zero.
	gradGaps, productGaps []program.Interval

	logits  operand[T]
	norms   [][]float64 // by parameter, nil where there is no rule
	noise   bool        // the run in progress computes norms
	loaded  int         // samples of the last run
	batch   int         // of the last backward pass, 0 when a Forward followed it
	pulled  bool        // that was a Pullback, with which there is no product
	curved  bool        // Curvature has run for it
	sampled sampled[T]
	logit   *logits[T] // nil where the program has no LogitLoss
	profile *profile   // nil when off
}

// The texts of the panics that wrong calls cause.
const (
	badBatch    = "cpu: batch size is not between 1 and the capacity"
	badLengths  = "cpu: vectors differ in length"
	badVector   = "cpu: vector is not of length P"
	noGradient  = "cpu: no Gradient before, or another run since"
	noHessian   = "cpu: the program has no Hessian-vector product"
	noLogits    = "cpu: the program names no logits"
	noLogitLoss = "cpu: the program's loss is not one of its logits alone"
	noForward   = "cpu: no samples have been run"
	noSamples   = "cpu: per-sample gradients without a Gradient or Pullback before"
	noKept      = "cpu: CrossDots without a KeepSamples before"
	badSamples  = "cpu: slice does not have an element for each sample of the last run"
	badLogits   = "cpu: slice does not have an element for each logit of the last run"
	badGram     = "cpu: Gram matrix is not n×n for the n samples of the last backward pass"
)

// New makes a machine for p. It returns an error where p holds an instruction
// that this package has no rule for or whose operands do not fit together.
// The caller closes the machine when done with it.
func New[T Float](p *program.Program, o Options) (*Machine[T], error) {
	if o.Capacity < 1 {
		return nil, fmt.Errorf("cpu: making a machine: capacity %d: it must be at least 1", o.Capacity)
	}
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu: making a machine: %d threads: it must be at least 1, or 0 for all cores", o.Threads)
	}
	mem, layout := newMemory[T](p, o.Capacity)
	m := &Machine[T]{program: p, capacity: o.Capacity, memory: mem}
	if err := m.bind(layout); err != nil {
		return nil, err
	}
	m.gradGaps = p.Gaps(program.Grad, program.Gradient)
	m.productGaps = p.Gaps(program.Product, program.HessianProduct)
	if err := m.start(o); err != nil {
		return nil, fmt.Errorf("cpu: making a machine: %w", err)
	}
	return m, nil
}

// start makes the kernels and their threads.
func (m *Machine[T]) start(o Options) error {
	path, err := kernel.FromEnv()
	if o.Path != nil {
		path, err = *o.Path, nil
	}
	if err != nil {
		return err
	}
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	m.pool = kernel.NewPool(threads)
	m.kernels, err = kernel.New[T](path, m.pool)
	if err != nil {
		m.pool.Close()
	}
	return err
}

// bind resolves the instructions and the results that the caller reads.
func (m *Machine[T]) bind(layout program.Layout) error {
	p := m.program
	b := newBinder(m, layout)
	var errs []error
	for ph := range program.NumPhases {
		list, err := b.bindPhase(ph)
		m.phases[ph] = list
		m.chained[ph] = b.chain(list, p.Chains(p.Phases[ph]))
		errs = append(errs, err)
	}
	b.err = nil
	m.sampled.list, m.logit = b.bindFactors(), b.bindLogits()
	errs = append(errs, b.err)
	for k := range p.Buffers {
		if p.Buffers[k].Role == program.SampleRows {
			m.sampled.lazy = append(m.sampled.lazy, program.BufferID(k))
		}
	}
	for _, id := range p.Inputs {
		if m.own[id] == nil {
			errs = append(errs, fmt.Errorf("cpu: making a machine: buffer %d is listed as an input but has role %s", id, p.Buffers[id].Role))
		}
	}
	m.norms = make([][]float64, len(p.Params))
	for k, q := range p.Params {
		if q.Norms != program.None {
			b.err = nil
			norms := b.double(q.Norms, each(1))
			m.norms[k] = norms.at(m.capacity)
			errs = append(errs, b.err)
		}
	}
	if p.Logits != program.None {
		b.err = nil
		buf := p.Buffer(p.Logits)
		m.logits = b.real(p.Logits, program.Extent{N: buf.Width(), Batch: buf.Batched})
		errs = append(errs, b.err)
	}
	for _, id := range []program.BufferID{p.Loss, p.Correct} {
		b.err = nil
		b.double(id, whole(1))
		errs = append(errs, b.err)
	}
	return errors.Join(errs...)
}

// Close stops the machine's threads. The machine must not be used afterwards;
// closing it again does nothing.
func (m *Machine[T]) Close() { m.kernels.Pool().Close() }

// Capacity returns the largest batch size.
func (m *Machine[T]) Capacity() int { return m.capacity }

// Theta returns θ, P elements in the order of the program's parameters. The
// caller sets it; it starts as zeros.
func (m *Machine[T]) Theta() []T { return m.theta }

// Grad returns ḡ = ∇L(θ), P elements, as of the last Gradient.
func (m *Machine[T]) Grad() []T { return m.grad }

// Input returns the k-th input of the program at full capacity: rows of
// samples of which the caller fills the first n before a run of n. A fixed
// input has no rows.
func (m *Machine[T]) Input(k int) []T { return *m.own[m.program.Inputs[k]] }

// Loss returns the mean loss L of the last run.
func (m *Machine[T]) Loss() float64 {
	if m.program.Loss == program.None {
		return 0
	}
	return (*m.doubles[m.program.Loss])[0]
}

// Correct returns the number of samples of the last run that were classified
// rightly, −1 where the program does not count them.
func (m *Machine[T]) Correct() int {
	if m.program.Correct == program.None {
		return -1
	}
	return int((*m.doubles[m.program.Correct])[0])
}

// Norms returns ‖gᵢ‖² of one parameter for each sample of the last
// Gradient, which must have been asked for noise: gᵢ is the gradient of
// sample i's own loss with respect to that parameter. It is nil where the
// program has no rule for the parameter (program.Parameter.Norms).
func (m *Machine[T]) Norms(param int) []float64 {
	if m.norms[param] == nil {
		return nil
	}
	return m.norms[param][:m.batch]
}

// Logits returns the network's outputs for the first n samples of the last
// run, n×classes.
func (m *Machine[T]) Logits(n int) []T {
	if !m.logits.present() {
		panic(noLogits)
	}
	m.checkBatch(n)
	return m.logits.at(n)
}

func (m *Machine[T]) checkBatch(n int) {
	if n < 1 || n > m.capacity {
		panic(badBatch)
	}
}

// Forward computes the loss of the first n samples, and the count of correct
// predictions. It panics where n is not in 1..Capacity.
func (m *Machine[T]) Forward(n int) {
	m.checkBatch(n)
	m.loaded, m.batch, m.pulled = n, 0, false
	m.changed()
	m.run(program.Forward, n)
}

// Gradient computes what Forward does and ḡ = ∇L(θ) of the first n samples;
// with noise also ‖gᵢ‖² of every sample and parameter. ḡ has the same bits
// with and without noise. It panics where n is not in 1..Capacity.
func (m *Machine[T]) Gradient(n int, noise bool) {
	m.Forward(n)
	m.backward(m.chained[program.Gradient], noise)
}

// backward runs list, which is the Gradient phase or like it, for the samples
// of the last Forward.
func (m *Machine[T]) backward(list []bound, noise bool) {
	n := m.loaded
	m.batch, m.noise = n, noise
	m.changed()
	m.sampled.begin(noise)
	for _, g := range m.gradGaps {
		clear(m.grad[g.From:g.To])
	}
	if noise {
		for _, s := range m.norms {
			clear(s)
		}
	}
	if m.profile != nil && !m.pulled {
		m.profile.run(program.Gradient, m.phases[program.Gradient], n)
	} else {
		runList(list, n)
	}
	if noise {
		m.run(program.Noise, n)
	}
}

// changed says that what was computed from the activations and the backward
// pass has to be computed anew when it is needed again.
func (m *Machine[T]) changed() {
	m.curved, m.sampled.made = false, false
	if m.logit != nil {
		m.logit.tangent.ready = false
	}
}

// Product computes out = H·v, H being the Hessian of the loss of the last
// Gradient's batch at the θ of that call; θ and the inputs must not have
// changed since. out and v have P elements and do not overlap; no reference
// to them is kept. It panics without such a Gradient, where the program has no
// Hessian-vector product, and where a length is wrong.
func (m *Machine[T]) Product(out, v []T) {
	switch {
	case !m.program.HasProduct():
		panic(noHessian)
	case m.batch == 0 || m.pulled:
		panic(noGradient)
	case len(out) != m.program.NumParams || len(v) != m.program.NumParams:
		panic(badVector)
	}
	if !m.curved {
		m.run(program.Curvature, m.batch)
		m.curved = true
	}
	m.vector, m.product = v, out
	for _, g := range m.productGaps {
		clear(out[g.From:g.To])
	}
	m.run(program.HessianProduct, m.batch)
	m.vector, m.product = nil, nil
}

// run executes one phase.
func (m *Machine[T]) run(ph program.Phase, n int) {
	if m.profile != nil {
		m.profile.run(ph, m.phases[ph], n)
		return
	}
	runList(m.chained[ph], n)
}

func runList(list []bound, n int) {
	for _, in := range list {
		in.run(n)
	}
}
