//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// normTask is an entry of a kernel's table; see kernels/norms.cuh.
type normTask struct {
	norms, squares, a, b     driver.Pointer
	colsA, colsB, parts, add int32
}

// norms is what instructions of the Noise phase one launch does.
type norms struct {
	m     *Machine
	tasks []normTask
}

func (r *norms) run(n int) {
	if len(r.m.pending.norms) > 0 { // which these are added to
		r.m.flush()
	}
	r.m.addNorms(r.tasks, n)
}

// summedFirst sums planes before their norms are taken, where the Gradient phase
// has not left them.
type summedFirst struct {
	m               *Machine
	sums            driver.Pointer
	x               operand
	channels, inner int
}

func (s *summedFirst) run(n int) { s.m.rowSums(s.sums, s.x.p, n*s.channels, s.inner) }

func bindDenseNorms(b *binder, in *program.DenseNorms) bound {
	a, x := b.real(in.A, each(in.ACols)), b.real(in.B, each(in.BCols))
	b.addNorms(in.Norms, normTask{a: a.p, b: x.p, colsA: int32(in.ACols), colsB: int32(in.BCols)})
	return nil
}

func bindBiasNorms(b *binder, in *program.BiasNorms) bound {
	x := b.real(in.X, each(in.Channels*in.Inner))
	t := normTask{a: x.p, colsA: int32(in.Channels)}
	var first bound
	if in.Inner > 1 {
		t.a = b.planes[in.X]
		if t.a == 0 {
			t.a = b.alloc("sums over planes", b.m.capacity*in.Channels*real)
			first = &summedFirst{b.m, t.a, x, in.Channels, in.Inner}
		}
	}
	b.addNorms(in.Norms, t)
	return first
}

// addNorms puts a task in the first launch after all those that store the same
// norms.
func (b *binder) addNorms(id program.BufferID, t normTask) {
	if b.phase != program.Noise && b.phase != program.Gradient {
		b.fail("norms outside the noise phase")
	}
	t.norms = b.double(id, each(1)).p
	if b.normed[id] {
		t.add = 1
	}
	b.normed[id] = true
	at := 0
	for k, r := range b.noise {
		for _, other := range r.tasks {
			if other.norms == t.norms {
				at = k + 1
			}
		}
	}
	if at == len(b.noise) {
		b.noise = append(b.noise, &norms{m: b.m})
	}
	b.noise[at].tasks = append(b.noise[at].tasks, t)
}

// finishNoise ends the Noise phase with the launches of its norms. What the Gradient phase
// has put off may go with them: norms don't depend on it, and other instructions, if
// there are such, wait for it.
func (b *binder) finishNoise(list []bound) []bound {
	for k, in := range list {
		if _, first := in.(*summedFirst); in != nil && !first {
			list[k] = afterPending{b.m, in}
		}
	}
	for _, r := range b.noise {
		list = append(list, r)
	}
	return list
}

// afterPending runs an instruction after what was put off.
type afterPending struct {
	m *Machine
	bound
}

func (a afterPending) run(n int) {
	a.m.flush()
	a.bound.run(n)
}
