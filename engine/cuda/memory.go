//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"slices"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// align is the granularity of addresses in bytes: vector loads need 16, and a
// line of the cache has 128.
const align = 256

// memory hands out memory of the device and frees it all at once.
type memory struct {
	ctx  *driver.Context
	all  []*driver.Memory
	room struct { // of the newest chunk of device memory
		at, end driver.Pointer
	}
	shared []region // sorted by address
	pinned bool     // shared memory is pinned host memory, since the device has no managed memory
}

// region is memory that host and device both see.
type region struct{ from, to uintptr }

// chunk is how much device memory is taken at a time for small arrays.
const chunk = 1 << 18

// device returns device memory for what; its contents are undefined.
func (m *memory) device(what string, bytes int) (driver.Pointer, error) {
	size := driver.Pointer((bytes + align - 1) / align * align)
	if m.room.end-m.room.at < size {
		block, err := m.ctx.Alloc(what, int64(max(size, chunk)))
		if err != nil {
			return 0, err
		}
		m.all = append(m.all, block)
		if size >= chunk { // a block of its own
			return block.Pointer, nil
		}
		m.room.at, m.room.end = block.Pointer, block.Pointer+chunk
	}
	p := m.room.at
	m.room.at += size
	return p, nil
}

// both returns zeroed memory that host and device see at one address.
func (m *memory) both(what string, bytes int) (*driver.Memory, error) {
	alloc := m.ctx.AllocManaged
	if m.pinned {
		alloc = m.ctx.AllocPinned
	}
	block, err := alloc(what, int64(bytes))
	if err != nil {
		return nil, err
	}
	m.all = append(m.all, block)
	r := region{uintptr(block.Host), uintptr(block.Host) + uintptr(bytes)}
	at, _ := slices.BinarySearchFunc(m.shared, r, func(a, b region) int {
		if a.from < b.from {
			return -1
		}
		return 1
	})
	m.shared = slices.Insert(m.shared, at, r)
	return block, nil
}

// mark is a place in the order in which memory is handed out.
type mark int

func (m *memory) mark() mark { return mark(len(m.all)) }

// release gives back the blocks that were taken since the mark. What was found room for in
// earlier ones stays taken, and there is no more room in them.
func (m *memory) release(since mark) error {
	var first error
	for _, block := range m.all[since:] {
		if err := block.Free(); first == nil {
			first = err
		}
	}
	m.all = m.all[:since]
	m.room.at, m.room.end = 0, 0
	return first
}

// pinned returns n elements of pinned host memory.
func pinned[T any](m *Machine, what string, n int) ([]T, error) {
	var t T
	block, err := m.ctx.AllocPinned(what, int64(n)*int64(unsafe.Sizeof(t)))
	if err != nil {
		return nil, err
	}
	m.memory.all = append(m.memory.all, block)
	return driver.Slice[T](block), nil
}

// isShared reports whether the device sees the n bytes at p.
func (m *memory) isShared(p unsafe.Pointer, n int) bool {
	from, to := uintptr(p), uintptr(p)+uintptr(n)
	at, _ := slices.BinarySearchFunc(m.shared, from, func(r region, from uintptr) int {
		if r.to <= from {
			return -1
		}
		return 1
	})
	return at < len(m.shared) && m.shared[at].from <= from && to <= m.shared[at].to
}

// free gives everything back.
func (m *memory) free() error {
	var first error
	for _, block := range m.all {
		if err := block.Free(); first == nil {
			first = err
		}
	}
	m.all, m.shared = nil, nil
	return first
}

// operand is a buffer bound to memory. The zero operand stands for program.None.
// Addresses never change, so that work can be captured.
type operand struct {
	p       driver.Pointer
	width   int
	batched bool
}

// present reports whether there is a buffer behind o.
func (o operand) present() bool { return o.p != 0 }

// size returns the number of elements at batch size n.
func (o operand) size(n int) int {
	if o.batched {
		return n * o.width
	}
	return o.width
}

// buffers is where the buffers of a program are.
type buffers struct {
	at []driver.Pointer // by BufferID

	theta, grad     []float32 // P elements each, shared
	inputs          [][]float32
	logits          []float32
	vector, product driver.Pointer // copies of v and H·v

	// doubles are all scalars and norms; host is their copy as of the last run.
	// The scalars come first.
	doubles     driver.Pointer
	doubleCount int
	scalars     int
	doubleAt    map[program.BufferID]int
	host        []float64
}

const (
	real   = 4 // bytes of a float32
	double = 8 // of a float64
)

// allocate places all buffers of p for batches of up to capacity samples.
func (m *Machine) allocate(layout program.Layout) error {
	p, b := m.program, &m.buffers
	b.at, b.doubleAt, b.inputs = make([]driver.Pointer, len(p.Buffers)), map[program.BufferID]int{}, make([][]float32, len(p.Inputs))
	var err error
	shared := func(what string, elements int) []float32 {
		if err != nil {
			return nil
		}
		var block *driver.Memory
		if block, err = m.memory.both(what, elements*real); err != nil {
			return nil
		}
		return driver.Slice[float32](block)
	}
	device := func(what string, bytes int) driver.Pointer {
		if err != nil {
			return 0
		}
		var q driver.Pointer
		q, err = m.memory.device(what, bytes)
		return q
	}
	b.theta, b.grad = shared("parameters", p.NumParams), shared("gradient", p.NumParams)
	reals := device(fmt.Sprintf("activations of %d samples", layout.Capacity), layout.Reals*real)
	indices := device("positions of maxima", layout.Indices*4)
	if p.HasProduct() {
		b.vector, b.product = device("vector", p.NumParams*real), device("product", p.NumParams*real)
	}
	for k := range p.Buffers {
		id, buf := program.BufferID(k), &p.Buffers[k]
		if buf.Len(layout.Capacity) >= 1<<31 {
			return fmt.Errorf("buffer %d (%s) has %d elements at batch %d; the kernels count to 2³¹: use a smaller batch", k, buf.Role, buf.Len(layout.Capacity), layout.Capacity)
		}
		offset := func(base driver.Pointer) driver.Pointer { return base + driver.Pointer(buf.Offset*real) }
		switch {
		case buf.Type == program.Double:
		case buf.Role == program.Param:
			b.at[k] = offset(address(b.theta))
		case buf.Role == program.Grad:
			b.at[k] = offset(address(b.grad))
		case buf.Role == program.Vector:
			b.at[k] = offset(b.vector)
		case buf.Role == program.Product:
			b.at[k] = offset(b.product)
		case buf.Role == program.Input:
			in := shared("input "+buf.Name, buf.Len(layout.Capacity))
			b.at[k] = address(in)
			if i := slices.Index(p.Inputs, id); i >= 0 {
				b.inputs[i] = in
			}
		case buf.Role == program.Temporary && id == p.Logits:
			b.logits = shared("logits", buf.Len(layout.Capacity))
			b.at[k] = address(b.logits)
		case buf.Role == program.Constant:
			b.at[k] = device("constant", buf.Len(layout.Capacity)*real)
			if err == nil {
				err = driver.Upload(m.ctx, "constant", b.at[k], constant(buf, layout.Capacity))
			}
		case buf.Role == program.SampleRows: // made at their first use
		case layout.Offset[k] < 0: // not used
		case buf.Type == program.Index:
			b.at[k] = indices + driver.Pointer(layout.Offset[k]*4)
		default:
			b.at[k] = reals + driver.Pointer(layout.Offset[k]*real)
		}
	}
	m.placeDoubles()
	b.doubles = device("results", b.doubleCount*double)
	if err != nil {
		return err
	}
	b.host, err = pinned[float64](m, "results", b.doubleCount)
	return err
}

// placeDoubles puts scalars first, so that a step's are in one piece, and norms
// behind them.
func (m *Machine) placeDoubles() {
	p, b := m.program, &m.buffers
	for _, scalar := range []bool{true, false} {
		for k := range p.Buffers {
			if buf := &p.Buffers[k]; buf.Type == program.Double && (buf.Role == program.Scalar) == scalar {
				b.doubleAt[program.BufferID(k)] = b.doubleCount
				b.doubleCount += buf.Len(m.capacity)
			}
		}
		if scalar {
			b.scalars = b.doubleCount
		}
	}
}

// constant returns the elements of a Constant.
func constant(b *program.Buffer, capacity int) []float32 {
	v := make([]float32, b.Len(capacity))
	for i := range v {
		if len(b.Values) > 0 {
			v[i] = float32(b.Values[i%len(b.Values)])
		}
	}
	return v
}

// address is where the device sees the first element of a shared slice.
func address(x []float32) driver.Pointer {
	return driver.Pointer(uintptr(unsafe.Pointer(unsafe.SliceData(x))))
}
