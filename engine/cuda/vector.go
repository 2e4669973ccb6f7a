//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/rng"
)

// staging is shared memory for slices that the device does not see.
type staging struct {
	room []float32
	to   []float32 // where it has to be copied when the work is done, nil if nowhere
}

// see returns where the device finds a copy of x, or x itself where it sees it;
// slot tells the slices of one operation apart.
func (m *Machine) see(slot int, x []float32) driver.Pointer {
	p := m.place(slot, x)
	if p != address(x) && m.err == nil {
		copy(m.staging[slot].room, x)
	}
	return p
}

// change is see for a slice that the operation writes.
func (m *Machine) change(slot int, x []float32) driver.Pointer {
	p := m.see(slot, x)
	if p != address(x) {
		m.staging[slot].to = x
	}
	return p
}

// overwrite is change for an operation that does not read x.
func (m *Machine) overwrite(slot int, x []float32) driver.Pointer {
	p := m.place(slot, x)
	if p != address(x) {
		m.staging[slot].to = x
	}
	return p
}

// place is see without the copy.
func (m *Machine) place(slot int, x []float32) driver.Pointer {
	if len(x) == 0 || m.memory.isShared(unsafe.Pointer(unsafe.SliceData(x)), len(x)*real) {
		return address(x)
	}
	m.wait()
	s := &m.staging[slot]
	if len(s.room) < len(x) && m.err == nil {
		block, err := m.memory.both("staging", len(x)*real)
		if err != nil {
			m.check(err)
			return 0
		}
		s.room = driver.Slice[float32](block)
	}
	return address(s.room)
}

// done ends an operation on vectors: when it returns, the host sees the results.
func (m *Machine) done() {
	m.wait()
	for k := range m.staging {
		if s := &m.staging[k]; s.to != nil {
			if m.err == nil {
				copy(s.to, s.room)
			}
			s.to = nil
		}
	}
}

// read queues a copy of x to device memory.
func (m *Machine) read(dst driver.Pointer, x []float32) {
	m.copy("reading a vector", dst, m.see(0, x), len(x)*real)
}

// write copies from device memory to x.
func (m *Machine) write(x []float32, src driver.Pointer) {
	m.copy("writing a vector", m.overwrite(1, x), src, len(x)*real)
	m.done()
}

func hostAddress[T any](x []T) driver.Pointer {
	return driver.Pointer(uintptr(unsafe.Pointer(unsafe.SliceData(x))))
}

// vectors is what sums over vectors need.
type vectors struct {
	parts   driver.Pointer // of blocks
	results []float64      // two, or two for each parameter; pinned
	bounds  driver.Pointer // of parameters in flat vectors

	stepSums driver.Pointer // two for each parameter, of a step that stays on the device
}

// sumBlocks is how many blocks at most make a sum, partBlocks how many that of a
// parameter's part, sumBlock how many elements are worth a block.
const (
	sumBlocks  = 512
	partBlocks = 64
	sumBlock   = 1024
)

func (v *vectors) bind(b *binder) {
	v.parts = b.alloc("parts of sums", 2*max(sumBlocks, partBlocks*len(b.p.Params))*double)
	params := b.p.Params
	v.stepSums = b.alloc("sums over parameters", 2*max(1, len(params))*double)
	results, err := pinned[float64](b.m, "sums", 2*max(1, len(params)))
	b.check(err)
	v.results = results
	bounds := make([]int32, len(params)+1)
	for k, q := range params {
		bounds[k], bounds[k+1] = int32(q.Offset), int32(q.Offset+q.Size)
	}
	v.bounds = upload(b, "bounds of parameters", bounds, 4)
}

// The sums of the kernel vector_sums.
const (
	sumDot = iota
	sumDistance
	sumExchange
)

func (m *Machine) sums(kind int, a, b []float32) (first, second float64) {
	if len(a) != len(b) {
		panic(badLengths)
	}
	if len(a) == 0 {
		return 0, 0
	}
	x := m.see(0, a)
	if kind == sumExchange {
		x = m.change(0, a)
	}
	y := m.see(1, b)
	g := min(sumBlocks, blocks(len(a), sumBlock))
	m.launch("sum over a vector", m.kernels.vectorSums, driver.Grid{Blocks: driver.Dim{X: g}, Threads: driver.Dim{X: 256}},
		driver.Int(kind), driver.Ptr(x), driver.Ptr(y), driver.Int(len(a)), driver.Ptr(m.vectors.parts), driver.Ptr(hostAddress(m.vectors.results)), driver.Ptr(m.arrived))
	m.done()
	if m.err != nil {
		return math.NaN(), math.NaN()
	}
	return m.vectors.results[0], m.vectors.results[1]
}

// Dot returns Σ aᵢbᵢ, with products and sums in float64. a and b have the same
// length.
func (m *Machine) Dot(a, b []float32) float64 {
	s, _ := m.sums(sumDot, a, b)
	return s
}

// DistanceSq returns Σ (aᵢ − bᵢ)², in float64 throughout. a and b have the same
// length.
func (m *Machine) DistanceSq(a, b []float32) float64 {
	s, _ := m.sums(sumDistance, a, b)
	return s
}

// Exchange stores old = x and returns in the same pass Σ oldᵢ·xᵢ, with what old was,
// and Σ xᵢ², each as Dot does. old and x have the same length.
func (m *Machine) Exchange(old, x []float32) (dot, normSq float64) {
	return m.sums(sumExchange, old, x)
}

// ExchangeParts does for every parameter's part of old and x what Exchange does; old
// may be nil, then dots are 0.
func (m *Machine) ExchangeParts(dots, normSqs []float64, old, x []float32) {
	params := m.program.Params
	if len(x) != m.program.NumParams || old != nil && len(old) != len(x) {
		panic(badVector)
	}
	var p driver.Pointer
	if old != nil {
		p = m.change(0, old)
	}
	m.queuePartSums(p, m.see(1, x), hostAddress(m.vectors.results))
	m.done()
	for k := range params {
		dots[k], normSqs[k] = m.vectors.results[2*k], m.vectors.results[2*k+1]
		if m.err != nil {
			dots[k], normSqs[k] = math.NaN(), math.NaN()
		}
	}
}

// queuePartSums queues the sums of ExchangeParts, two for each parameter, to out.
func (m *Machine) queuePartSums(old, x, out driver.Pointer) {
	m.launch("sums over parameters", m.kernels.partSums, driver.Grid{
		Blocks: driver.Dim{X: min(partBlocks, blocks(m.program.NumParams, sumBlock)), Y: len(m.program.Params)}, Threads: driver.Dim{X: 256},
	}, driver.Ptr(old), driver.Ptr(x), driver.Ptr(m.vectors.bounds), driver.Ptr(m.vectors.parts), driver.Ptr(out), driver.Ptr(m.arrived))
}

// NormSq returns Σ xᵢ², with products and sums in float64.
func (m *Machine) NormSq(x []float32) float64 { return m.Dot(x, x) }

// Axpy computes y += αx. x and y have the same length and may be one slice.
func (m *Machine) Axpy(alpha float64, x, y []float32) {
	if len(x) != len(y) {
		panic(badLengths)
	}
	px, py := m.see(0, x), m.change(1, y)
	m.launch("y += αx", m.kernels.axpy, elements(len(x)), driver.Ptr(py), driver.Ptr(px), driver.Float32(float32(alpha)), driver.Int(len(x)))
	m.done()
}

// Copy stores src in dst, of the same length.
func (m *Machine) Copy(dst, src []float32) {
	if len(dst) != len(src) {
		panic(badLengths)
	}
	p := m.see(0, src)
	m.copy("copying a vector", m.overwrite(1, dst), p, len(src)*real)
	m.done()
}

// Scale computes x *= α.
func (m *Machine) Scale(alpha float64, x []float32) {
	p := m.change(0, x)
	m.launch("x *= α", m.kernels.scale, elements(len(x)), driver.Ptr(p), driver.Ptr(p), driver.Int(len(x)), driver.Float32(float32(alpha)))
	m.done()
}

// Signs fills x with the Rademacher probe of the given stream (see rng.Signs).
func (m *Machine) Signs(x []float32, stream rng.Stream) {
	counter, key := stream.Name()
	word := func(w uint32) driver.Arg { return driver.Arg(w) }
	p := m.overwrite(0, x)
	m.launch("signs", m.kernels.signs, warps(blocks(len(x), 128)), driver.Ptr(p), driver.Int(len(x)),
		word(counter[1]), word(counter[2]), word(counter[3]), word(key[0]), word(key[1]))
	m.done()
}
