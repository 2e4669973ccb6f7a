//go:build gpu && cgo && linux && amd64

package cuda

import (
	"slices"

	"sgflow/engine/cuda/driver"
)

// columnTask and rowTask are entries of the kernels' tables; see kernels/sums.cu.
type (
	columnTask struct {
		out, x                    driver.Pointer
		rows, cols, accumulate, _ int32
	}
	rowTask struct {
		out, x     driver.Pointer
		rows, cols int32
	}
)

// pending is sums that instructions have put off, so that one launch does many: at
// small batches a launch costs more than what it does.
type pending struct {
	rows    []rowTask // done before columns
	columns []columnTask

	rowTables    []fixedTable[rowTask]
	columnTables []fixedTable[columnTask]
}

// fixedTable is a table in device memory that stays as it is, as graphs read it.
type fixedTable[T comparable] struct {
	tasks []T
	p     driver.Pointer
}

// rowSums puts off out[r] = Σ_c x[r,c].
func (m *Machine) rowSums(out, x driver.Pointer, rows, cols int) {
	m.pending.rows = append(m.pending.rows, rowTask{out, x, int32(rows), int32(cols)})
}

// addColumns puts off sums of columns.
func (m *Machine) addColumns(t columnTask) { m.pending.columns = append(m.pending.columns, t) }

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
	if len(p.columns) > 0 {
		most := slices.MaxFunc(p.columns, func(a, b columnTask) int { return int(a.cols - b.cols) }).cols
		m.launch("sums over samples", m.kernels.columnTasks, driver.Grid{
			Blocks: driver.Dim{X: blocks(int(most), 32), Y: len(p.columns)}, Threads: driver.Dim{X: 256},
		}, driver.Ptr(fixed(m, &p.columnTables, p.columns, 32)))
	}
	p.rows, p.columns = p.rows[:0], p.columns[:0]
}

// fixed returns the table of the tasks, of so many bytes each.
func fixed[T comparable](m *Machine, tables *[]fixedTable[T], tasks []T, bytes int) driver.Pointer {
	for _, t := range *tables {
		if slices.Equal(t.tasks, tasks) {
			return t.p
		}
	}
	if m.err != nil {
		return 0
	}
	p, err := m.memory.device("table of sums", len(tasks)*bytes)
	m.check(err)
	if err == nil {
		m.check(driver.Upload(m.ctx, "table of sums", p, tasks))
	}
	*tables = append(*tables, fixedTable[T]{slices.Clone(tasks), p})
	return p
}
