//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// boundProduct is the HessianProduct phase bound to vectors of the caller's, which then
// need no copy to and from the machine's own.
type boundProduct struct {
	what string
	uses int
	out  driver.Pointer
	list []bound // nil where it is not bound
}

// mostBound is how many pairs of vectors are looked at, boundAfter how many products one
// has to be used for before it is bound: by then a run multiplies with it at every step.
const (
	mostBound  = 8
	boundAfter = 3
)

// boundTo returns the product bound to the vectors, nil where there is none: unless the
// device sees them, in memory that is its own, and they are aligned like the machine's.
func (m *Machine) boundTo(out, v []float32) *boundProduct {
	shared := func(x []float32) bool {
		return address(x)%align == 0 && m.memory.isShared(unsafe.Pointer(unsafe.SliceData(x)), len(x)*real)
	}
	if m.err != nil || m.memory.pinned || !shared(out) || !shared(v) {
		return nil
	}
	key := [2]driver.Pointer{address(out), address(v)}
	d := m.products[key]
	if d == nil {
		if len(m.products) == mostBound {
			return nil
		}
		d = &boundProduct{what: fmt.Sprintf("product of %x to %x", key[1], key[0]), out: key[0]}
		m.products[key] = d
	}
	if d.uses++; d.list == nil && (d.uses == boundAfter || m.recording != nil) {
		m.bindTo(d, key[0], key[1])
	}
	if d.list == nil {
		return nil
	}
	return d
}

// bindTo binds d to the vectors. Where that fails, for lack of memory, it stays as it is.
func (m *Machine) bindTo(d *boundProduct, out, v driver.Pointer) {
	p, at := m.program, m.buffers.at
	place := func(out, v driver.Pointer) {
		for k := range p.Buffers {
			switch buf := &p.Buffers[k]; buf.Role {
			case program.Vector:
				at[k] = v + driver.Pointer(buf.Offset*real)
			case program.Product:
				at[k] = out + driver.Pointer(buf.Offset*real)
			}
		}
	}
	place(out, v)
	list, err := m.binder.bindPhase(program.HessianProduct)
	place(m.buffers.product, m.buffers.vector)
	if err == nil {
		d.list = list
	}
}

// queueProduct queues H·v of the machine's own v.
func (m *Machine) queueProduct(n int) {
	m.queueProductOf(m.buffers.product, m.phases[program.HessianProduct], n)
}

// queueProductOf queues H·v by the bound phase, which writes to out.
func (m *Machine) queueProductOf(out driver.Pointer, list []bound, n int) {
	for _, g := range m.productGaps {
		m.fill("elements without product", out+driver.Pointer(g.From*real), g.To-g.From)
	}
	m.runList(list, n)
}
