//go:build gpu && cgo && linux && amd64

package cuda

import (
	"cmp"
	"slices"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// lane is what work needs for itself that is done beside other work: a stream, room for what
// its launches leave each other, and places for the temporaries of products with the Hessian.
type lane struct {
	stream *driver.Stream

	partial driver.Pointer // of split sums of products
	arrived driver.Pointer // counts of blocks that are done
	parts   driver.Pointer // of sums over vectors
	scalars driver.Pointer // numbers that the next launches read

	// Of the side lane: its memory, where temporaries are that it has for itself, where its work
	// begins, beside the main lane's, and where it is done.
	memory     memory
	moved      map[program.BufferID]driver.Pointer
	begin, end *driver.Event
	used       bool // in the recording that is being queued
}

// makeLane makes the room that lanes have.
func (m *Machine) makeLane(l *lane, from *memory) (err error) {
	room := func(what string, bytes int) driver.Pointer {
		var p driver.Pointer
		if err == nil {
			p, err = from.device(what, bytes)
		}
		return p
	}
	l.partial = room("parts of products", partialBytes(m.multiprocessors))
	counts := max(2*m.multiprocessors, 2)
	l.arrived = room("counts of blocks", counts*4)
	l.parts, l.scalars = room("parts of sums", m.partsOfSums()*double), room("sums", mostScalars*double)
	if err == nil {
		err = driver.Upload(m.ctx, "counts of blocks", l.arrived, make([]uint32, counts))
	}
	return err
}

// crowdedLane is the error of a recording whose branches have no memory, where those of others
// have.
const crowdedLane = "cuda: there is no memory for another product in a branch"

// openSide makes the side lane; where there is no memory for it, there is none.
func (m *Machine) openSide() {
	l := &lane{memory: memory{ctx: m.ctx}}
	var err error
	if l.stream, err = m.ctx.NewStream(); err == nil {
		err = m.makeLane(l, &l.memory)
	}
	for _, e := range []**driver.Event{&l.begin, &l.end} {
		if err == nil {
			*e, err = m.ctx.NewEvent()
		}
	}
	if err == nil {
		l.moved, err = m.moveTemporaries(program.HessianProduct, &l.memory)
	}
	if m.side = l; err != nil {
		m.dropSide()
	}
}

// dropSide gives the side lane back, and makes the main lane the only one.
func (m *Machine) dropSide() {
	m.check(m.side.close())
	m.lane, m.side, m.narrow = &m.main, nil, true
}

// moveTemporaries takes memory for other places of the temporaries that a phase writes: those
// that share memory do so there.
func (m *Machine) moveTemporaries(ph program.Phase, from *memory) (map[program.BufferID]driver.Pointer, error) {
	var ids []program.BufferID
	for _, in := range m.program.Phases[ph] {
		for _, id := range program.Writes(in) {
			if b := m.program.Buffer(id); b.Role == program.Temporary && b.Type == program.Real && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	at := m.buffers.at
	end := func(id program.BufferID) driver.Pointer {
		return at[id] + driver.Pointer(m.program.Buffer(id).Len(m.capacity)*real)
	}
	slices.SortFunc(ids, func(a, b program.BufferID) int { return cmp.Compare(at[a], at[b]) })
	moved := map[program.BufferID]driver.Pointer{}
	for len(ids) > 0 {
		n, last := 1, end(ids[0]) // of what hangs together
		for n < len(ids) && at[ids[n]] < last {
			last = max(last, end(ids[n]))
			n++
		}
		room, err := from.device("temporaries", int(last-at[ids[0]]))
		if err != nil {
			return nil, err
		}
		for _, id := range ids[:n] {
			moved[id] = room + at[id] - at[ids[0]]
		}
		ids = ids[n:]
	}
	return moved, nil
}

// close gives a side lane back.
func (l *lane) close() error {
	if l == nil {
		return nil
	}
	first := l.memory.free()
	for _, e := range []*driver.Event{l.begin, l.end} {
		if e != nil {
			first = cmp.Or(first, e.Close())
		}
	}
	if l.stream != nil {
		first = cmp.Or(first, l.stream.Close())
	}
	return first
}

// Fork begins a branch, which Join ends: what is asked for between needs nothing of what was
// asked for since the gradient, and gives nothing to what is asked for later. Branches of a
// recording are done beside the rest, where there is memory for that; one after the other.
func (m *Machine) Fork() {
	r := m.recording
	if r == nil {
		return
	}
	m.flushSums()
	if m.side == nil && m.dry && !m.narrow { // in the rehearsal
		m.openSide()
	}
	if m.side == nil {
		return
	}
	m.lane, r.main = m.side, r.asking
	if !m.side.used && !m.dry && m.err == nil {
		m.check(m.side.stream.Wait(m.side.begin))
	}
	m.side.used = true
	r.branch.from = r.stamp(m)
}

// Join ends a branch.
func (m *Machine) Join() {
	r := m.recording
	if r == nil || m.lane == &m.main {
		return
	}
	m.flushSums()
	r.branch.to = r.stamp(m)
	m.lane, r.asking, r.branched = &m.main, r.main, true
}

// openBranches marks where branches begin; joinBranches makes the rest wait for them.
func (m *Machine) openBranches() {
	if m.side == nil {
		return
	}
	m.side.used = false
	if !m.dry && m.err == nil {
		m.check(m.stream.Record(m.side.begin))
	}
}

func (m *Machine) joinBranches() {
	if m.side == nil || !m.side.used || m.dry || m.err != nil {
		return
	}
	m.check(m.side.stream.Record(m.side.end))
	m.check(m.stream.Wait(m.side.end))
	m.side.stream.Release()
}
