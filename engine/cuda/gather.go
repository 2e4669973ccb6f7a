//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// gathered is what Gather needs: room for the indices of some batches that were not
// waited for.
type gathered struct {
	indices []int32 // mostGathered·capacity, pinned; kernels read them where they are
	used    int     // batches since the last Wait
	n       int     // samples of the last of them, where that is not queued yet; else 0
}

// mostGathered is how many batches may be gathered without a Wait between them.
const mostGathered = 32

// Gather makes the samples first+i of the data of SetData, for each i of indices, the first
// of the inputs: what filling them does, but queued, by the run of these samples where
// that comes next.
func (m *Machine) Gather(first int, indices []int32) {
	s, g, n := &m.training, &m.gathered, len(indices)
	m.checkBatch(n)
	if m.err != nil {
		return
	}
	if s.samples == 0 {
		panic(noData)
	}
	m.flushGather()
	if g.indices == nil {
		var err error
		if g.indices, err = pinned[int32](m, "indices of batches", mostGathered*m.capacity); err != nil {
			m.check(err)
			return
		}
	}
	if g.used == mostGathered {
		m.Wait()
	}
	at := g.used * m.capacity
	g.used++
	for k, i := range indices {
		g.indices[at+k] = int32(first) + i
	}
	g.n = n
}

// lastBatch returns what names the last batch.
func (m *Machine) lastBatch(n int) []driver.Arg {
	g := &m.gathered
	return m.batchArgs(n, hostAddress(g.indices[(g.used-1)*m.capacity:]), 0)
}

// flushGather queues what Gather has left to the next run.
func (m *Machine) flushGather() {
	if n := m.gathered.n; n > 0 {
		m.gathered.n = 0
		m.queueGather(m.lastBatch(n), n)
	}
}

// gathers reports whether a run of n samples is to begin with gathering them: what Gather was
// last asked for, where that is the first batch since a Wait, as graphs know one place of
// indices. Else it is queued now, if there is any.
func (m *Machine) gathers(n int) bool {
	g := &m.gathered
	if g.n == n && g.used == 1 {
		g.n = 0
		return true
	}
	m.flushGather()
	return false
}

// queueBatch queues the gathering of a batch, by the program's first instruction where that
// can, and returns those that are left of the forward pass.
func (m *Machine) queueBatch(batch []driver.Arg, n int) (rest []bound) {
	forward := m.phases[program.Forward]
	if first, ok := forward[0].(gathering); ok && first.runGathering(n, batch) {
		return forward[1:]
	}
	m.queueGather(batch, n)
	return forward
}

// queueGather queues the gathering of a batch.
func (m *Machine) queueGather(batch []driver.Arg, n int) {
	m.launch("gathering a batch", m.kernels.gather, driver.Grid{Blocks: driver.Dim{X: n}, Threads: driver.Dim{X: 256}}, batch...)
}

// batchArgs are the arguments that name a batch of n samples of the data set, whose indices
// begin at place *step·n, or 0 where step is null; see kernels/batch.cuh.
func (m *Machine) batchArgs(n int, indices, step driver.Pointer) []driver.Arg {
	s, p := &m.training, m.program
	return []driver.Arg{
		driver.Ptr(m.buffers.at[p.Inputs[0]]), driver.Ptr(m.buffers.at[p.Inputs[1]]), driver.Ptr(s.pixels), driver.Ptr(s.labels), driver.Ptr(s.values),
		driver.Ptr(indices), driver.Ptr(step), driver.Int(n), driver.Int(s.size), driver.Int(s.plane), driver.Int(s.classes),
	}
}
