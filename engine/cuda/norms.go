//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// normTask is an entry of the norm kernel's table; see kernels/samples.cu.
type normTask struct {
	norms, squares, a, b     driver.Pointer
	colsA, colsB, parts, add int32
}

// norms is what instructions of the Noise phase one launch does.
type norms struct {
	m     *Machine
	tasks []normTask
	table driver.Pointer
}

func (r *norms) run(n int) {
	r.m.flush() // sums that norms are taken of
	g := warps(n)
	g.Blocks.Y = len(r.tasks)
	r.m.launch("noise", r.m.kernels.normTasks, g, driver.Ptr(r.table), driver.Int(n))
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

// finishNoise ends the Noise phase with the launches of its norms. The
// instructions bound before only prepare what the norms read.
func (b *binder) finishNoise(list []bound) []bound {
	for _, r := range b.noise {
		r.table = upload(b, "table of norms", r.tasks, 48)
		list = append(list, r)
	}
	return list
}
