//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
)

// Step moves θ by one optimizer step along −ḡ, with the bits of optim.Step.
// velocity has P elements, or is nil where u.Momentum is 0.
func (m *Machine) Step(velocity []float32, u optim.Update) {
	if len(velocity) != m.program.NumParams && (velocity != nil || u.Momentum != 0) {
		panic(badVector)
	}
	var v driver.Pointer
	if u.Momentum != 0 {
		v = m.change(0, velocity)
	}
	m.queueUpdate(m.sgd(v, u), rowArgs{}, 0)
	m.done()
}

// Adam moves θ by one step of Adam along −ḡ, with the bits of optim.AdamStep. The
// moments have P elements.
func (m *Machine) Adam(first, second []float32, u optim.AdamUpdate) {
	if len(first) != m.program.NumParams || len(second) != m.program.NumParams {
		panic(badVector)
	}
	p, q := m.change(0, first), m.change(1, second)
	m.queueUpdate(m.adam(p, q, u), rowArgs{}, 0)
	m.done()
}

// queueUpdate queues a step of the optimizer. row is where a step that stays on the
// device keeps its results, of which the sums are at totals.
func (m *Machine) queueUpdate(by optimizerArgs, row rowArgs, totals driver.Pointer) {
	args := []driver.Arg{driver.Ptr(address(m.buffers.grad)), driver.Int(m.program.NumParams)}
	args = append(append(args, by.list()...), row.list()...)
	m.launch("update", m.kernels.update, fours(m.program.NumParams), append(args, driver.Ptr(totals))...)
}

// optimizerArgs are the arguments that name an optimizer's rule; see kernels/step.cuh.
// The zero value is none.
type optimizerArgs struct {
	theta, first, second                       driver.Pointer
	coupled, momentum, move, beta2, add, small float64
	nesterov                                   bool
	rate, scale, keep                          float64 // or, where numbers is not 0, its row
	numbers, step                              driver.Pointer
}

// stepNumbers is how many numbers may differ from step to step; see kernels/step.cuh.
const stepNumbers = 4

// sgd returns the rule u with the velocity, which may be 0 without momentum.
func (m *Machine) sgd(velocity driver.Pointer, u optim.Update) optimizerArgs {
	return optimizerArgs{
		theta: address(m.buffers.theta), first: velocity, coupled: u.Coupled(), momentum: u.Momentum, nesterov: u.Nesterov,
		rate: u.LR, keep: u.Keep(),
	}
}

// adam returns the rule u with the moments.
func (m *Machine) adam(first, second driver.Pointer, u optim.AdamUpdate) optimizerArgs {
	return optimizerArgs{
		theta: address(m.buffers.theta), first: first, second: second,
		coupled: u.Coupled(), move: 1 - u.Beta1, beta2: u.Beta2, add: 1 - u.Beta2, small: u.Epsilon,
		rate: u.Rate(), scale: u.Scale(), keep: u.Keep(),
	}
}

func (o *optimizerArgs) list() []driver.Arg {
	rounded := func(x float64) driver.Arg { return driver.Float32(float32(x)) }
	return []driver.Arg{
		driver.Ptr(o.theta), driver.Ptr(o.first), driver.Ptr(o.second), rounded(o.coupled), rounded(o.momentum), flag(o.nesterov),
		rounded(o.move), rounded(o.beta2), rounded(o.add), rounded(o.small), rounded(o.rate), rounded(o.scale), rounded(o.keep),
		driver.Ptr(o.numbers), driver.Ptr(o.step),
	}
}

// rowArgs are the arguments that name the row of a step's results; see kernels/step.cuh.
// The zero value is none.
type rowArgs struct {
	ring, results                    driver.Pointer
	count, planes, capacity, n, sums int
	losses, hits                     driver.Pointer
	meanAt, correctAt                int
}

func (r *rowArgs) list() []driver.Arg {
	return []driver.Arg{
		driver.Ptr(r.ring), driver.Ptr(r.results), driver.Int(r.count), driver.Int(r.planes), driver.Int(r.capacity), driver.Int(r.n), driver.Int(r.sums),
		driver.Ptr(r.losses), driver.Ptr(r.hits), driver.Int(r.meanAt), driver.Int(r.correctAt),
	}
}
