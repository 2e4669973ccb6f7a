//go:build gpu && cgo && linux && amd64

package cuda

import (
	"slices"
	"unsafe"

	"sgflow/engine/cuda/driver"
)

// rowTask, productTask and columnTask are entries of the kernels' tables; see
// kernels/conv.cu for the first, kernels/tasks.cu. In first a task keeps its first block.
type (
	rowTask struct {
		out, x               driver.Pointer
		rows, cols, first, _ int32
	}
	productTask struct {
		out, a, b, a2, b2                                             driver.Pointer
		rows, cols, k, k2                                             int32
		accumulate, vectorA, vectorB, vectorA2, vectorB2, _, first, _ int32
	}
	columnTask struct {
		out, x                        driver.Pointer
		rows, cols, accumulate, first int32
	}
)

// pending is what instructions have put off, so that one launch does much of it: at
// small batches a launch costs more than what it does.
type pending struct {
	weights []weightTask // these and rows are done before the others
	rows    []rowTask

	products []productTask
	columns  []columnTask
	norms    []normTask
	samples  int // that norms are of
	blocks   int // of the products

	weightTables  []fixedTable[weightTask]
	rowTables     []fixedTable[rowTask]
	productTables []fixedTable[productTask]
	columnTables  []fixedTable[columnTask]
	normTables    []fixedTable[normTask]
}

// fixedTable is a table in device memory that stays as it is, as graphs read it.
type fixedTable[T comparable] struct {
	tasks []T
	p     driver.Pointer
}

// rowSums puts off out[r] = Σ_c x[r,c].
func (m *Machine) rowSums(out, x driver.Pointer, rows, cols int) {
	m.pending.rows = append(m.pending.rows, rowTask{out: out, x: x, rows: int32(rows), cols: int32(cols)})
}

// addColumns puts off sums of columns.
func (m *Machine) addColumns(t columnTask) { m.pending.columns = append(m.pending.columns, t) }

// addProduct puts off a product with its left factor transposed.
func (m *Machine) addProduct(t productTask) {
	p := &m.pending
	t.first = int32(p.blocks)
	p.blocks += taskBlocks(t)
	p.products = append(p.products, t)
}

// taskBlocks is how many blocks make the product.
func taskBlocks(t productTask) int {
	small := tiles[transposedA][0]
	return blocks(int(t.rows), small.rows) * blocks(int(t.cols), small.cols)
}

// addNorms puts off norms of n samples. Tasks that store the same norms must not be put
// off together.
func (m *Machine) addNorms(tasks []normTask, n int) {
	m.pending.norms, m.pending.samples = append(m.pending.norms, tasks...), n
}

// flush queues what was put off. It is called at the end of a run's instructions, and by
// those that can't wait.
func (m *Machine) flush() { m.flushWith(optimizerArgs{}, rowArgs{}, 0) }

// flushWith is flush where, with an optimizer, what was put off are all of the gradient's
// elements, which make its step, and last is where the gradient before is kept.
func (m *Machine) flushWith(by optimizerArgs, row rowArgs, last driver.Pointer) {
	p := &m.pending
	m.flushSamples()
	grid := p.blocks
	for k := range p.columns {
		t := &p.columns[k]
		t.first = int32(grid)
		grid += blocks(int(t.cols), columnsTogether)
	}
	if grid += len(p.norms) * blocks(p.samples, smallThreads/32); grid > 0 {
		args := []driver.Arg{
			driver.Ptr(fixed(m, &p.productTables, p.products)), driver.Int(len(p.products)),
			driver.Ptr(fixed(m, &p.columnTables, p.columns)), driver.Int(len(p.columns)),
			driver.Ptr(fixed(m, &p.normTables, p.norms)), driver.Int(len(p.norms)),
			driver.Ptr(address(m.buffers.grad)), driver.Ptr(last),
		}
		if row.ring == 0 {
			row.n = p.samples
		} else {
			grid++ // for the row
		}
		m.launch("gradients of weights and biases, norms", m.kernels.tasks, driver.Grid{Blocks: driver.Dim{X: grid}, Threads: driver.Dim{X: smallThreads}},
			append(append(args, by.list()...), row.list()...)...)
	}
	p.products, p.columns, p.norms = p.products[:0], p.columns[:0], p.norms[:0]
	p.blocks, p.samples = 0, 0
}

// flushSamples queues what the rest of what was put off may be sums of. Gradients that are made
// in tiles have a kernel of their own, which takes the rows too where there are no others.
func (m *Machine) flushSamples() {
	p := &m.pending
	tiled := slices.DeleteFunc(slices.Clone(p.weights), func(t weightTask) bool { return t.division.size > 0 })
	direct := slices.DeleteFunc(p.weights, func(t weightTask) bool { return t.division.size == 0 })
	rows := p.rows
	if len(tiled) > 0 {
		if len(direct) > 0 {
			m.launchSamples(m.kernels.sampleTiles, tiled, nil)
		} else {
			m.launchSamples(m.kernels.sampleTiles, tiled, rows)
			rows = nil
		}
	}
	if len(direct)+len(rows) > 0 {
		m.launchSamples(m.kernels.sampleTasks, direct, rows)
	}
	p.weights, p.rows = p.weights[:0], p.rows[:0]
}

// launchSamples queues a kernel for weights' gradients and sums of rows, which it numbers.
func (m *Machine) launchSamples(k driver.Kernel, weights []weightTask, rows []rowTask) {
	grid := 0
	for k := range weights {
		weights[k].first = int32(grid)
		grid += int(weights[k].blocks)
	}
	for k := range rows {
		rows[k].first = int32(grid)
		grid += blocks(int(rows[k].rows), wideThreads/32)
	}
	m.launch("gradients of convolutions' weights, sums over planes", k, driver.Grid{Blocks: driver.Dim{X: grid}, Threads: driver.Dim{X: wideThreads}},
		driver.Ptr(fixed(m, &m.pending.weightTables, weights)), driver.Int(len(weights)),
		driver.Ptr(fixed(m, &m.pending.rowTables, rows)), driver.Int(len(rows)))
}

// columnsTogether is how many sums of columns one block makes.
const columnsTogether = 32

// elements calls f with the place and the number of the elements that each product and
// sum of columns will store, and in how many blocks, in the order of the blocks.
func (p *pending) elements(f func(out driver.Pointer, n, blocksOf int)) {
	for _, t := range p.products {
		f(t.out, int(t.rows*t.cols), taskBlocks(t))
	}
	for _, t := range p.columns {
		f(t.out, int(t.cols), blocks(int(t.cols), columnsTogether))
	}
}

// reads calls f with every operand of the tasks.
func (p *pending) reads(f func(driver.Pointer)) {
	for _, t := range p.products {
		f(t.a)
		f(t.b)
		f(t.a2)
		f(t.b2)
	}
	for _, t := range p.columns {
		f(t.x)
	}
	for _, t := range p.norms {
		f(t.a)
		f(t.b)
	}
}

// fixed returns the table of the tasks; 0 where there are none.
func fixed[T comparable](m *Machine, tables *[]fixedTable[T], tasks []T) driver.Pointer {
	for _, t := range *tables {
		if slices.Equal(t.tasks, tasks) {
			return t.p
		}
	}
	if m.err != nil || len(tasks) == 0 {
		return 0
	}
	p, err := m.memory.device("table of tasks", len(tasks)*int(unsafe.Sizeof(tasks[0])))
	m.check(err)
	if err == nil {
		m.check(driver.Upload(m.ctx, "table of tasks", p, tasks))
	}
	*tables = append(*tables, fixedTable[T]{slices.Clone(tasks), p})
	return p
}
