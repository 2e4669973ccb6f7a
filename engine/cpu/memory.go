package cpu

import (
	"unsafe"

	"sgflow/engine/program"
)

// Float is the element type of a run.
type Float interface{ float32 | float64 }

// cacheLine is the alignment of every array the machine owns, in bytes.
const cacheLine = 64

// aligned returns a zeroed slice of n elements that starts on a cache line.
func aligned[E any](n int) []E {
	var e E
	size := int(unsafe.Sizeof(e))
	s := make([]E, n+cacheLine/size)
	skip := 0
	if past := int(uintptr(unsafe.Pointer(&s[0])) % cacheLine); past != 0 {
		skip = (cacheLine - past) / size
	}
	return s[skip : skip+n : skip+n]
}

// operand is a buffer bound to memory: a part of the slice that base points
// to. The slice is looked up at every run, so that v and H·v may be other
// slices at every product. The zero operand stands for program.None.
type operand[E any] struct {
	base    *[]E
	offset  int
	width   int
	batched bool
}

// present reports whether there is a buffer behind o.
func (o *operand[E]) present() bool { return o.base != nil }

// at returns the elements at batch size n, nil for the zero operand.
func (o *operand[E]) at(n int) []E {
	if o.base == nil {
		return nil
	}
	length := o.width
	if o.batched {
		length *= n
	}
	return (*o.base)[o.offset : o.offset+length : o.offset+length]
}

// memory holds the arrays behind the buffers of a program.
type memory[T Float] struct {
	theta, grad     []T // P elements each
	vector, product []T // of the Product call in progress
	reals           []T
	indices         []int32
	own             map[program.BufferID]*[]T       // inputs, constants; logits, which outlive a run; sample rows, made at their first use
	doubles         map[program.BufferID]*[]float64 // scalars and norms
}

func newMemory[T Float](p *program.Program, capacity int) (*memory[T], program.Layout) {
	layout := p.Plan(capacity)
	m := &memory[T]{
		theta:   aligned[T](p.NumParams),
		grad:    aligned[T](p.NumParams),
		reals:   aligned[T](layout.Reals),
		indices: aligned[int32](layout.Indices),
		own:     map[program.BufferID]*[]T{},
		doubles: map[program.BufferID]*[]float64{},
	}
	for k := range p.Buffers {
		id, b := program.BufferID(k), &p.Buffers[k]
		switch {
		case b.Type == program.Double:
			s := aligned[float64](b.Len(capacity))
			m.doubles[id] = &s
		case b.Type != program.Real:
		case b.Role == program.SampleRows:
			m.own[id] = new([]T)
		case b.Role == program.Input, b.Role == program.Constant, b.Role == program.Temporary && id == p.Logits:
			s := aligned[T](b.Len(capacity))
			m.own[id] = &s
			if b.Role == program.Constant && len(b.Values) > 0 {
				for i := range s {
					s[i] = T(b.Values[i%len(b.Values)])
				}
			}
		}
	}
	return m, layout
}
