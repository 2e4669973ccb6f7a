//go:build gpu && cgo && linux && amd64

package cuda

import (
	"errors"
	"fmt"
	"slices"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// bound is an instruction with its operands resolved. run queues its kernels for
// the first n samples.
type bound interface{ run(n int) }

// binder turns instructions into bound ones. The first thing that is wrong with an
// instruction is kept in err, so that the bind methods read as a list of operands.
type binder struct {
	m   *Machine
	p   *program.Program
	err error

	phase program.Phase // of the instruction being bound
	place int
	list  []bound // of the phase, up to there

	// What instructions bound before have computed by the time that later ones
	// run.
	losses map[program.BufferID]*loss          // of the Forward phase, by their logits
	planes map[program.BufferID]driver.Pointer // sums over planes in the Gradient phase, by what they sum
	normed map[program.BufferID]bool           // norms that something stores before
	noise  []*norms                            // launches of the Noise phase
	firsts map[program.Instr]bound             // what waits for the instruction that adds to it
}

func newBinder(m *Machine) *binder {
	return &binder{
		m: m, p: m.program,
		losses: map[program.BufferID]*loss{}, planes: map[program.BufferID]driver.Pointer{}, normed: map[program.BufferID]bool{},
		firsts: map[program.Instr]bound{},
	}
}

// bind resolves one instruction; nil is one that another does on the way.
func (b *binder) bind(in program.Instr) (bound, error) {
	b.err = nil
	var r bound
	switch in := in.(type) {
	case *program.MatMul:
		r = bindMatMul(b, in)
	case *program.Conv:
		r = bindConv(b, in)
	case *program.MaxPool:
		r = bindMaxPool(b, in)
	case *program.PoolScatter:
		r = bindPoolScatter(b, in)
	case *program.PoolGather:
		r = bindPoolGather(b, in)
	case *program.AvgPool:
		r = bindAvgPool(b, in)
	case *program.Unary:
		r = bindUnary(b, in)
	case *program.Binary:
		r = bindBinary(b, in)
	case *program.Scale:
		r = bindScale(b, in)
	case *program.Copy:
		r = bindCopy(b, in)
	case *program.Fill:
		r = bindFill(b, in)
	case *program.AddBias:
		r = bindAddBias(b, in)
	case *program.SumBias:
		r = bindSumBias(b, in)
	case *program.Reduce:
		r = bindReduce(b, in)
	case *program.Result:
		r = bindResult(b, in)
	case *program.Transpose:
		r = bindTranspose(b, in)
	case *program.Softmax:
		r = bindSoftmax(b, in)
	case *program.Loss:
		r = bindLoss(b, in)
	case *program.LossGrad:
		r = bindLossGrad(b, in)
	case *program.LossHess:
		r = bindLossHess(b, in)
	case *program.Correct:
		r = bindCorrect(b, in)
	case *program.DenseNorms:
		r = bindDenseNorms(b, in)
	case *program.BiasNorms:
		r = bindBiasNorms(b, in)
	case *program.ConvSamples:
		r = bindConvSamples(b, in)
	case *program.BiasSamples:
		r = bindBiasSamples(b, in)
	default:
		return nil, fmt.Errorf("no rule for instruction %T", in)
	}
	return r, b.err
}

// fail records the first error of the instruction being bound.
func (b *binder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// check records an error.
func (b *binder) check(err error) {
	if b.err == nil {
		b.err = err
	}
}

// real resolves an operand of float32 that must hold size elements. None gives
// the zero operand.
func (b *binder) real(id program.BufferID, size program.Extent) operand {
	return b.operand(id, size, program.Real)
}

// index resolves an operand of pool positions.
func (b *binder) index(id program.BufferID, size program.Extent) operand {
	return b.operand(id, size, program.Index)
}

// double resolves a scalar result or an array of squared norms.
func (b *binder) double(id program.BufferID, size program.Extent) operand {
	return b.operand(id, size, program.Double)
}

func (b *binder) operand(id program.BufferID, size program.Extent, typ program.Type) operand {
	if id == program.None {
		return operand{}
	}
	buf := &b.p.Buffers[id]
	if buf.Type != typ {
		b.fail("buffer %d (%s) has element type %d, the instruction needs %d", id, buf.Role, buf.Type, typ)
		return operand{}
	}
	if got := (program.Extent{N: buf.Width(), Batch: buf.Batched}); got != size {
		b.fail("buffer %d (%s) has %s elements, the instruction needs %s", id, buf.Role, got, size)
		return operand{}
	}
	at := b.m.buffers.at[id]
	switch {
	case typ == program.Double:
		at = b.m.buffers.doubles + driver.Pointer(b.m.buffers.doubleAt[id]*double)
	case buf.Role == program.SampleRows && at == 0:
		at = b.alloc(buf.Name+" of every sample", size.At(b.m.capacity)*real)
		b.m.buffers.at[id] = at
	case at == 0:
		b.fail("buffer %d (%s) has no memory", id, buf.Role)
	}
	return operand{p: at, width: buf.Width(), batched: buf.Batched}
}

// alloc returns device memory that the instruction needs beside its operands.
func (b *binder) alloc(what string, bytes int) driver.Pointer {
	p, err := b.m.memory.device(what, bytes)
	b.check(err)
	return p
}

// upload returns device memory with the elements of v.
func upload[T any](b *binder, what string, v []T, bytes int) driver.Pointer {
	p := b.alloc(what, max(1, len(v))*bytes)
	if b.err == nil {
		b.check(driver.Upload(b.m.ctx, what, p, v))
	}
	return p
}

// extent multiplies extents of which at most one may depend on the batch.
func (b *binder) extent(factors ...program.Extent) program.Extent {
	r := program.Extent{N: 1}
	for _, f := range factors {
		if r.Batch && f.Batch {
			b.fail("an operand grows with the square of the batch size")
		}
		r.N *= f.N
		r.Batch = r.Batch || f.Batch
	}
	return r
}

// whole is the extent of n elements, whatever the batch size.
func whole(n int) program.Extent { return program.Extent{N: n} }

// each is the extent of n elements for every sample.
func each(n int) program.Extent { return program.Extent{N: n, Batch: true} }

// final reports whether nothing writes buffer id after the instruction being
// bound, in this phase or a later one.
func (b *binder) final(id program.BufferID) bool {
	from := b.place + 1
	for ph := b.phase; ph < program.NumPhases; ph++ {
		for _, in := range b.p.Phases[ph][from:] {
			for _, w := range program.Writes(in) {
				if w == id {
					return false
				}
			}
		}
		from = 0
	}
	return true
}

// canWait reports whether the instruction being bound may run at the end of its phase, and
// of the Noise phase where that follows: no other one uses the memory of out until then,
// or writes that of what it reads.
func (b *binder) canWait(out program.BufferID, reads ...program.BufferID) bool {
	after := b.p.Phases[b.phase][b.place+1:]
	if b.phase == program.Gradient {
		after = slices.Concat(after, b.p.Phases[program.Noise])
	}
	for _, in := range after {
		if b.touches(in, out) || b.changes(in, reads) {
			return false
		}
	}
	return true
}

// touches reports whether an instruction reads or writes the memory of id.
func (b *binder) touches(in program.Instr, id program.BufferID) bool {
	return slices.ContainsFunc(append(program.Reads(in), program.Writes(in)...), func(other program.BufferID) bool { return b.overlap(other, id) })
}

// changes reports whether an instruction writes to the memory of one of ids.
func (b *binder) changes(in program.Instr, ids []program.BufferID) bool {
	return slices.ContainsFunc(program.Writes(in), func(w program.BufferID) bool {
		return slices.ContainsFunc(ids, func(id program.BufferID) bool { return b.overlap(w, id) })
	})
}

// overlap reports whether two buffers share memory.
func (b *binder) overlap(x, y program.BufferID) bool {
	at := func(id program.BufferID) (from, to driver.Pointer) {
		buf := b.p.Buffer(id)
		return b.m.buffers.at[id], b.m.buffers.at[id] + driver.Pointer(buf.Len(b.m.capacity)*real)
	}
	x0, x1 := at(x)
	y0, y1 := at(y)
	return x == y || x0 != 0 && y0 != 0 && x0 < y1 && y0 < x1
}

// bindPhase resolves the instructions of one phase; an error names the
// instruction as the program's listing does.
func (b *binder) bindPhase(ph program.Phase) ([]bound, error) {
	b.list = make([]bound, len(b.p.Phases[ph]))
	var errs []error
	for k, in := range b.p.Phases[ph] {
		b.phase, b.place = ph, k
		r, err := b.bind(in)
		if err != nil {
			errs = append(errs, fmt.Errorf("cuda: binding %s instruction %d (%T): %w", ph, k, in, err))
		}
		b.list[k] = r
	}
	return b.list, errors.Join(errs...)
}
