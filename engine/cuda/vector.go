//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"
	"unsafe"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
	"sgflow/engine/ritz"
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
	m.Wait()
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

// done ends an operation on vectors. It waits only where the operation has written to one
// that the device does not see.
func (m *Machine) done() {
	for k := range m.staging {
		if s := &m.staging[k]; s.to != nil {
			m.Wait()
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

// write queues a copy from device memory to x.
func (m *Machine) write(x []float32, src driver.Pointer) {
	m.copy("writing a vector", m.overwrite(1, x), src, len(x)*real)
	m.done()
}

func hostAddress[T any](x []T) driver.Pointer {
	return driver.Pointer(uintptr(unsafe.Pointer(unsafe.SliceData(x))))
}

// vectors is what sums over vectors need.
type vectors struct {
	results []float64      // of sums that are queued; pinned
	used    int            // of results
	numbers []number       // that the next Wait stores
	dots    []dot          // to be launched
	now     [1]float64     // of a sum that is waited for
	params  driver.Pointer // the parameters' stretches of flat vectors
	blocks  int            // that make their sums

	stepSums driver.Pointer // two for each parameter, of a step that stays on the device
}

// number is a result that is on its way to dst.
type number struct {
	dst *float64
	at  int
}

// dot is a sum that was asked for: of products, or of squared differences.
type dot struct {
	x, y     driver.Pointer
	size, at int
	distance bool
}

// stretch is an entry of a kernel's table; see kernels/vector.cu.
type stretch struct{ from, size, first, blocks int32 }

// sumBlocks is how many blocks at most make a sum, sumBlock how many elements are worth a
// block. A launch makes at most
// vectorPairs sums, and keeps mostScalars of parts or numbers at most; mostNumbers may be on
// their way, beside those of all parameters.
const (
	sumBlocks   = 256
	sumBlock    = 4096
	vectorPairs = 4
	mostScalars = 6
	mostNumbers = 64
)

func (v *vectors) bind(b *binder) {
	params := b.p.Params
	v.stepSums = b.alloc("sums over parameters", 2*max(1, len(params))*double)
	results, err := pinned[float64](b.m, "sums", mostNumbers+2*len(params))
	b.check(err)
	v.results = results
	stretches := make([]stretch, len(params))
	v.blocks = 0
	for k, q := range params {
		n := blocksOfParam(q)
		stretches[k] = stretch{int32(q.Offset), int32(q.Size), int32(v.blocks), int32(n)}
		v.blocks += n
	}
	v.params = upload(b, "parameters in vectors", stretches, 16)
}

// blocksOfParam is how many blocks make the sums over a parameter's part of a vector.
func blocksOfParam(q program.Parameter) int { return max(1, blocksOfSum(q.Size)) }

// partsOfSums is how many parts of sums over vectors a launch leaves at most.
func (m *Machine) partsOfSums() int {
	n := 0
	for _, q := range m.program.Params {
		n += blocksOfParam(q)
	}
	return max(mostScalars*sumBlocks, 2*n)
}

// reserve returns the place of n results, which it may have to wait for.
func (m *Machine) reserve(n int) int {
	v := &m.vectors
	if r := m.recording; r != nil {
		if r.used += n; r.used > r.room {
			panic(waitsInRecording)
		}
		return r.used - n
	}
	if v.used+n > len(v.results) {
		m.Wait()
	}
	v.used += n
	return v.used - n
}

// deliver stores the numbers that were waited for.
func (m *Machine) deliver() {
	v := &m.vectors
	for _, n := range v.numbers {
		*n.dst = math.NaN()
		if m.err == nil {
			*n.dst = v.results[n.at]
		}
	}
	clear(v.numbers)
	v.numbers, v.used = v.numbers[:0], 0
	m.laps.deliver(m)
}

// expect makes the next Wait store result at in dst.
func (m *Machine) expect(dst *float64, at int) {
	if r := m.recording; r != nil {
		r.asked = append(r.asked, number{dst, at})
		return
	}
	m.vectors.numbers = append(m.vectors.numbers, number{dst, at})
}

// result is where the device finds a result.
func (m *Machine) result(at int) driver.Pointer {
	if r := m.recording; r != nil {
		return r.numbers + driver.Pointer(at*double)
	}
	return hostAddress(m.vectors.results) + driver.Pointer(at*double)
}

// sum asks for the sum of a pair of vectors, which flushSums launches.
func (m *Machine) sum(dst *float64, a, b []float32, distance bool) {
	if len(a) != len(b) {
		panic(badLengths)
	}
	if len(a) == 0 {
		*dst = 0
		return
	}
	v := &m.vectors
	x, y := m.see(0, a), m.see(1, b)
	at := m.reserve(1)
	if k := len(v.dots); k > 0 && (k == vectorPairs || v.dots[0].size != len(a) || v.dots[0].distance != distance) {
		m.flushSums()
	}
	v.dots = append(v.dots, dot{x, y, len(a), at, distance})
	m.expect(dst, at)
}

// flushSums launches the sums that were asked for one after the other. Whatever else is
// queued comes after them.
func (m *Machine) flushSums() {
	v := &m.vectors
	if len(v.dots) == 0 {
		return
	}
	list := v.dots
	v.dots = v.dots[:0]
	m.launchSums(list, m.result(list[0].at))
}

// launchSums queues the sums of at most vectorPairs pairs of one size and kind to out.
func (m *Machine) launchSums(list []dot, out driver.Pointer) {
	size := list[0].size
	pair := func(k int) (x, y driver.Arg) {
		d := list[min(k, len(list)-1)]
		return driver.Ptr(d.x), driver.Ptr(d.y)
	}
	x0, y0 := pair(0)
	x1, y1 := pair(1)
	x2, y2 := pair(2)
	x3, y3 := pair(3)
	m.launch("sums over vectors", m.kernels.vectorSums, sumGrid(size, len(list)), flag(list[0].distance), x0, y0, x1, y1, x2, y2, x3, y3, driver.Int(size),
		driver.Ptr(m.lane.parts), driver.Ptr(out), driver.Ptr(m.lane.arrived))
}

// blocksOfSum is how many blocks make a sum over size elements.
func blocksOfSum(size int) int { return min(sumBlocks, blocks(size, sumBlock)) }

// sumGrid is the grid of so many sums over size elements.
func sumGrid(size, sums int) driver.Grid {
	return driver.Grid{Blocks: driver.Dim{X: blocksOfSum(size), Y: sums}, Threads: driver.Dim{X: 256}}
}

// DotTo is Dot whose result is stored in dst by the next Wait. Products that are asked for
// one after the other are one launch.
func (m *Machine) DotTo(dst *float64, a, b []float32) { m.sum(dst, a, b, false) }

// Dot returns Σ aᵢbᵢ, with products and sums in float64. a and b have the same
// length.
func (m *Machine) Dot(a, b []float32) float64 {
	m.sum(&m.vectors.now[0], a, b, false)
	m.Wait()
	return m.vectors.now[0]
}

// DistanceSq returns Σ (aᵢ − bᵢ)², in float64 throughout. a and b have the same
// length.
func (m *Machine) DistanceSq(a, b []float32) float64 {
	m.sum(&m.vectors.now[0], a, b, true)
	m.Wait()
	return m.vectors.now[0]
}

// ExchangeParts stores old = x and computes for every parameter's part of them, in the
// same pass, Σ oldᵢxᵢ with what old was and Σ xᵢ², which are stored by parameter by the
// next Wait. old may be nil, then dots are 0.
func (m *Machine) ExchangeParts(dots, normSqs []float64, old, x []float32) {
	params := m.program.Params
	if len(x) != m.program.NumParams || old != nil && len(old) != len(x) {
		panic(badVector)
	}
	var p driver.Pointer
	if old != nil {
		p = m.change(0, old)
	}
	y := m.see(1, x)
	at := m.reserve(2 * len(params))
	m.queuePartSums(p, y, m.result(at))
	for k := range params {
		m.expect(&dots[k], at+2*k)
		m.expect(&normSqs[k], at+2*k+1)
	}
	m.done()
}

// queuePartSums queues the sums of ExchangeParts, two for each parameter, to out.
func (m *Machine) queuePartSums(old, x, out driver.Pointer) {
	v := &m.vectors
	m.launch("sums over parameters", m.kernels.partSums, driver.Grid{Blocks: driver.Dim{X: v.blocks}, Threads: driver.Dim{X: 256}},
		driver.Ptr(old), driver.Ptr(x), driver.Ptr(v.params), driver.Int(len(m.program.Params)),
		driver.Ptr(m.lane.parts), driver.Ptr(out), driver.Ptr(m.lane.arrived))
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

// Direction makes d the second direction of the next projection, beside y: guess.U as a unit
// vector where that lasts or ‖y‖² is below least, else (hy − (yᵀhy/‖y‖²)·y)/‖hy‖, or 0 where ‖hy‖²
// is below least. It stores yᵀhy in yHy by the next Wait. All have the same length. ‖y‖² is
// summed anew.
func (m *Machine) Direction(d []float32, guess ritz.Guess[float32], y, hy []float32, _ *float64, least float64, yHy *float64) {
	if len(guess.U) != len(d) || len(y) != len(d) || len(hy) != len(d) {
		panic(badLengths)
	}
	pu, about, py, ph, sums := m.see(0, guess.U), m.see(1, guess.About), m.see(2, y), m.see(3, hy), m.lane.scalars
	p := m.overwrite(4, d)
	m.launchSums([]dot{{x: py, y: ph, size: len(d)}, {x: ph, y: ph, size: len(d)}, {x: py, y: py, size: len(d)}}, sums)
	at := m.reserve(1)
	m.launch("second direction", m.kernels.direction, fours(len(d)), driver.Ptr(p), driver.Ptr(pu), driver.Ptr(about), driver.Ptr(py), driver.Ptr(ph),
		driver.Float64(least), driver.Ptr(sums), driver.Int(len(d)), driver.Ptr(m.result(at)))
	m.expect(yHy, at)
	m.done()
}

// Ritz projects a matrix on the span of x and y as ritz.Gram's Solve does, given their products hx
// and hy with it, and moves guess: U = w + τr with w = αx + βy and r = α·hx + β·hy − λw. ‖r‖², uᵀw
// with what U was, and the plane are stored in step by the next Wait. All have the same
// length. ‖y‖² and yᵀhy are summed anew.
func (m *Machine) Ritz(guess ritz.Guess[float32], x, hx, y, hy []float32, _, _ *float64, least float64, step *ritz.Step) {
	in, n := [4]driver.Pointer{}, len(guess.U)
	for k, v := range [4][]float32{x, hx, y, hy} {
		if len(v) != n {
			panic(badLengths)
		}
		in[k] = m.see(k, v)
	}
	u, about := m.change(4, guess.U), m.change(5, guess.About)
	grid, plane, at := sumGrid(n, 1), m.lane.scalars, m.reserve(7)
	m.launch("projection on two vectors", m.kernels.ritzSolve, grid, driver.Ptr(in[0]), driver.Ptr(in[1]), driver.Ptr(in[2]), driver.Ptr(in[3]), driver.Int(n),
		driver.Float64(least), driver.Ptr(m.lane.parts), driver.Ptr(plane), driver.Ptr(m.result(at)), driver.Ptr(m.lane.arrived))
	m.launch("residual", m.kernels.ritzFollow, grid, driver.Ptr(u), driver.Ptr(about), driver.Ptr(in[0]), driver.Ptr(in[1]), driver.Ptr(in[2]), driver.Ptr(in[3]),
		driver.Ptr(plane), driver.Int(n), driver.Ptr(m.lane.parts), driver.Ptr(m.result(at+5)), driver.Ptr(m.lane.arrived))
	for k, dst := range []*float64{&step.Value, &step.Other, &step.Alpha, &step.Beta, &step.Rate, &step.ResidualSq, &step.Overlap} {
		m.expect(dst, at+k)
	}
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

// Signs fills x with the Rademacher probe of the given stream (see rng.Signs), to whose number
// steps that stay on the device add theirs.
func (m *Machine) Signs(x []float32, stream rng.Stream) {
	counter, key := stream.Name()
	word := func(w uint32) driver.Arg { return driver.Arg(w) }
	var numbers, step driver.Pointer
	if m.recording != nil {
		numbers, step = m.training.numbers, m.training.counter
	}
	p := m.overwrite(0, x)
	m.launch("signs", m.kernels.signs, warps(blocks(len(x), 128)), driver.Ptr(p), driver.Int(len(x)),
		word(counter[1]), word(counter[2]), word(counter[3]), word(key[0]), word(key[1]), driver.Ptr(numbers), driver.Ptr(step))
	m.done()
}
