package cpu

import (
	"errors"
	"fmt"
	"slices"

	"sgflow/engine/program"
)

// bound is an instruction with its operands resolved. run executes it for
// the first n samples and allocates nothing.
type bound interface{ run(n int) }

// binder turns instructions into bound ones. The first thing that is wrong
// with an instruction is kept in err, so that the bind methods read as a
// list of operands.
type binder[T Float] struct {
	m      *Machine[T]
	p      *program.Program
	layout program.Layout
	err    error

	phase program.Phase // of the instruction being bound
	place int

	// What instructions bound before have computed by the time that later ones
	// run: softmaxes of the Forward phase by their logits, bias gradients of
	// the Gradient phase and row norms of the Noise phase by what they sum.
	softmaxes map[program.BufferID]*softmaxRows[T]
	weights   map[[2]program.BufferID]*conv[T] // weight gradients of the Gradient phase, by A and B
	biasSums  map[program.BufferID]*sumPlanes[T]
	rowNorms  map[rowsOf]*rowNorms[T]
}

func newBinder[T Float](m *Machine[T], layout program.Layout) *binder[T] {
	return &binder[T]{
		m: m, p: m.program, layout: layout,
		softmaxes: map[program.BufferID]*softmaxRows[T]{},
		weights:   map[[2]program.BufferID]*conv[T]{},
		biasSums:  map[program.BufferID]*sumPlanes[T]{},
		rowNorms:  map[rowsOf]*rowNorms[T]{},
	}
}

// bind resolves one instruction.
func (b *binder[T]) bind(in program.Instr) (bound, error) {
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
func (b *binder[T]) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

// real resolves an operand of the run's floating-point type that must hold
// size elements. None gives the zero operand.
func (b *binder[T]) real(id program.BufferID, size program.Extent) operand[T] {
	o := operand[T]{}
	buf := b.check(id, size, program.Real)
	if buf == nil {
		return o
	}
	o.width, o.batched = buf.Width(), buf.Batched
	mem := b.m.memory
	switch buf.Role {
	case program.Param:
		o.base, o.offset = &mem.theta, buf.Offset
	case program.Grad:
		o.base, o.offset = &mem.grad, buf.Offset
	case program.Vector:
		o.base, o.offset = &mem.vector, buf.Offset
	case program.Product:
		o.base, o.offset = &mem.product, buf.Offset
	default:
		if own := mem.own[id]; own != nil {
			o.base = own
		} else if off := b.layout.Offset[id]; off >= 0 {
			o.base, o.offset = &mem.reals, off
		} else {
			b.fail("buffer %d (%s) has no memory", id, buf.Role)
			return operand[T]{}
		}
		return o
	}
	if buf.Batched || o.offset < 0 || o.offset+o.width > b.p.NumParams {
		b.fail("buffer %d (%s) covers elements %d to %d of a vector of %d", id, buf.Role, o.offset, o.offset+o.width, b.p.NumParams)
	}
	return o
}

// index resolves an operand of pool positions.
func (b *binder[T]) index(id program.BufferID, size program.Extent) operand[int32] {
	buf := b.check(id, size, program.Index)
	if buf == nil {
		return operand[int32]{}
	}
	off := b.layout.Offset[id]
	if off < 0 {
		b.fail("buffer %d (%s) has no memory", id, buf.Role)
		return operand[int32]{}
	}
	return operand[int32]{base: &b.m.memory.indices, offset: off, width: buf.Width(), batched: buf.Batched}
}

// double resolves a scalar result or an array of squared norms.
func (b *binder[T]) double(id program.BufferID, size program.Extent) operand[float64] {
	buf := b.check(id, size, program.Double)
	if buf == nil {
		return operand[float64]{}
	}
	return operand[float64]{base: b.m.memory.doubles[id], width: buf.Width(), batched: buf.Batched}
}

// check returns the buffer named by id if it has the given type and size.
func (b *binder[T]) check(id program.BufferID, size program.Extent, typ program.Type) *program.Buffer {
	if id == program.None {
		return nil
	}
	buf := &b.p.Buffers[id]
	if buf.Type != typ {
		b.fail("buffer %d (%s) has element type %d, the instruction needs %d", id, buf.Role, buf.Type, typ)
		return nil
	}
	if got := (program.Extent{N: buf.Width(), Batch: buf.Batched}); got != size {
		b.fail("buffer %d (%s) has %s elements, the instruction needs %s", id, buf.Role, got, size)
		return nil
	}
	return buf
}

// extent multiplies extents of which at most one may depend on the batch.
func (b *binder[T]) extent(factors ...program.Extent) program.Extent {
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
func (b *binder[T]) final(id program.BufferID) bool {
	from := b.place + 1
	for ph := b.phase; ph < program.NumPhases; ph++ {
		for _, in := range b.p.Phases[ph][from:] {
			if slices.Contains(program.Writes(in), id) {
				return false
			}
		}
		from = 0
	}
	return true
}

// bindPhase resolves the instructions of one phase; an error names the
// instruction as the program's listing does.
func (b *binder[T]) bindPhase(ph program.Phase) ([]bound, error) {
	list := make([]bound, len(b.p.Phases[ph]))
	var errs []error
	for k, in := range b.p.Phases[ph] {
		b.phase, b.place = ph, k
		r, err := b.bind(in)
		if err != nil {
			errs = append(errs, fmt.Errorf("cpu: binding %s instruction %d (%T): %w", ph, k, in, err))
		}
		list[k] = r
	}
	return list, errors.Join(errs...)
}
