//go:build gpu && cgo && linux && amd64

package cuda

import "sgflow/engine/program"

// Hessian-vector products are full of sums of two, out = A·B and then out += A'·B': where
// nothing comes between, the first waits for the second, and both are one launch.

// waitsForSecond reports whether in, bound as first, can be made with the instruction that
// is the next to use its result, and remembers it for that one: the result is added there
// to another of the same kind, nothing in between changes what in reads, and what is done
// to elements follows the sum of both.
func (b *binder) waitsForSecond(in program.Instr, first bound) bool {
	out, reads := program.Writes(in)[0], program.Reads(in)
	for _, next := range b.p.Phases[b.phase][b.place+1:] {
		switch {
		case b.touches(next, out):
			if !addsAnother(in, next) {
				return false
			}
			b.firsts[next] = first
			return true
		case b.changes(next, reads):
			return false
		}
	}
	return false
}

// addsAnother reports whether second adds to the result of first what may be part of one
// sum with it.
func addsAnother(first, second program.Instr) bool {
	switch p := first.(type) {
	case *program.MatMul:
		q, ok := second.(*program.MatMul)
		return ok && p.Func == program.Identity && p.Mask == program.None &&
			q.Accumulate && q.Bias == program.None && q.Out == p.Out && q.A != p.Out && q.B != p.Out &&
			q.TransA == p.TransA && q.TransB == p.TransB && q.M == p.M && q.N == p.N
	case *program.Conv:
		q, ok := second.(*program.Conv)
		return ok && p.Func == program.Identity && p.Mask == program.None && p.Norms == program.None &&
			q.Accumulate && q.Bias == program.None && q.Norms == program.None && q.Out == p.Out && q.A != p.Out && q.B != p.Out &&
			q.Dir == p.Dir && q.Geom == p.Geom
	}
	return false
}
