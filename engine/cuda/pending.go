//go:build gpu && cgo && linux && amd64

package cuda

import (
	"slices"

	"sgflow/engine/cuda/driver"
)

// rowTask, productTask and columnTask are entries of the kernels' tables; see
// kernels/tasks.cu. In first a task keeps its first block.
type (
	rowTask struct {
		out, x     driver.Pointer
		rows, cols int32
	}
	productTask struct {
		out, a, b                                   driver.Pointer
		rows, cols, k, accumulate, vectorA, vectorB int32
		first, _                                    int32
	}
	columnTask struct {
		out, x                        driver.Pointer
		rows, cols, accumulate, first int32
	}
)

// pending is what instructions have put off, so that one launch does much of it: at
// small batches a launch costs more than what it does.
type pending struct {
	rows     []rowTask // done before the others
	products []productTask
	columns  []columnTask
	blocks   int // of the products

	rowTables     []fixedTable[rowTask]
	productTables []fixedTable[productTask]
	columnTables  []fixedTable[columnTask]
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
	p.blocks += blocks(int(t.rows), smallTile) * blocks(int(t.cols), smallTile)
	p.products = append(p.products, t)
}

// flush queues what was put off. It is called at the end of every list of
// instructions, and by those that can't wait.
func (m *Machine) flush() {
	p := &m.pending
	if len(p.rows) > 0 {
		most := slices.MaxFunc(p.rows, func(a, b rowTask) int { return int(a.rows - b.rows) }).rows
		m.launch("sums over planes", m.kernels.rowTasks, driver.Grid{
			Blocks: driver.Dim{X: blocks(int(most), 8), Y: len(p.rows)}, Threads: driver.Dim{X: 256},
		}, driver.Ptr(fixed(m, &p.rowTables, p.rows, 24)))
	}
	if len(p.products)+len(p.columns) > 0 {
		grid := p.blocks
		for k := range p.columns {
			t := &p.columns[k]
			t.first = int32(grid)
			grid += blocks(int(t.cols), 32)
		}
		m.launch("gradients of weights and biases", m.kernels.tasks, driver.Grid{Blocks: driver.Dim{X: grid}, Threads: driver.Dim{X: smallThreads}},
			driver.Ptr(fixed(m, &p.productTables, p.products, 56)), driver.Int(len(p.products)),
			driver.Ptr(fixed(m, &p.columnTables, p.columns, 32)), driver.Int(len(p.columns)))
	}
	p.rows, p.products, p.columns, p.blocks = p.rows[:0], p.products[:0], p.columns[:0], 0
}

// fixed returns the table of the tasks, of so many bytes each; 0 where there are none.
func fixed[T comparable](m *Machine, tables *[]fixedTable[T], tasks []T, bytes int) driver.Pointer {
	for _, t := range *tables {
		if slices.Equal(t.tasks, tasks) {
			return t.p
		}
	}
	if m.err != nil || len(tasks) == 0 {
		return 0
	}
	p, err := m.memory.device("table of tasks", len(tasks)*bytes)
	m.check(err)
	if err == nil {
		m.check(driver.Upload(m.ctx, "table of tasks", p, tasks))
	}
	*tables = append(*tables, fixedTable[T]{slices.Clone(tasks), p})
	return p
}
