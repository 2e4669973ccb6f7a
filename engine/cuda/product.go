//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"slices"
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

// productKey names a product: H·v to out, in a lane.
type productKey struct {
	out, v driver.Pointer
	lane   *lane
}

// mostBound is how many pairs of vectors are looked at, boundAfter how many products one
// has to be used for before it is bound: by then a run multiplies with it at every step. One
// that is recorded is bound at once.
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
	key := productKey{address(out), address(v), m.lane}
	d := m.products[key]
	if d == nil {
		if len(m.products) >= mostBound && m.recording == nil {
			return nil
		}
		d = &boundProduct{what: fmt.Sprintf("product of %x to %x", key.v, key.out), out: key.out}
		m.products[key] = d
	}
	d.uses++
	often := d.uses == boundAfter && m.recording == nil
	if d.list == nil && (often || m.recording != nil && m.dry) {
		// Where that fails, for lack of memory, it stays as it is.
		before := m.memory.mark()
		var err error
		if d.list, err = m.bindProduct(m.lane, key.out, key.v); err != nil {
			m.check(m.memory.release(before))
		}
	}
	if d.list == nil {
		return nil
	}
	return d
}

// bindProduct binds the HessianProduct phase to vectors, and to the temporaries of a lane.
func (m *Machine) bindProduct(l *lane, out, v driver.Pointer) ([]bound, error) {
	p, at := m.program, m.buffers.at
	before := slices.Clone(at)
	defer copy(at, before)
	for k := range p.Buffers {
		switch buf := &p.Buffers[k]; buf.Role {
		case program.Vector:
			at[k] = v + driver.Pointer(buf.Offset*real)
		case program.Product:
			at[k] = out + driver.Pointer(buf.Offset*real)
		}
	}
	for id, place := range l.moved {
		at[id] = place
	}
	list, err := m.binder.bindPhase(program.HessianProduct)
	if err != nil {
		return nil, err
	}
	return list, nil
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
