//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// sumBias computes out[c] = Σ over o and i of x[o,c,i]: over i first where there
// is more than one.
type sumBias struct {
	m               *Machine
	what            string
	out, x          operand
	outer           program.Extent
	channels, inner int
	accumulate      bool
	planes          driver.Pointer // sums over i, outer×channels
	later           bool           // may wait for the end of the phase
}

func bindSumBias(b *binder, in *program.SumBias) bound {
	s := &sumBias{
		m: b.m, what: b.what("sum_bias"), out: b.real(in.Out, whole(in.Channels)),
		x:     b.real(in.X, b.extent(in.Outer, whole(in.Channels*in.Inner))),
		outer: in.Outer, channels: in.Channels, inner: in.Inner, accumulate: in.Accumulate,
		later: b.canWait(in.Out, in.X),
	}
	if in.Inner == 1 {
		return s
	}
	s.planes = b.alloc("sums over planes", in.Outer.At(b.m.capacity)*in.Channels*real)
	if in.Outer == each(1) && b.phase == program.Gradient && b.final(in.X) {
		b.planes[in.X] = s.planes
	}
	return s
}

func (s *sumBias) run(n int) {
	rows, outer := s.x.p, s.outer.At(n)
	if s.inner > 1 {
		rows = s.planes
		s.m.rowSums(rows, s.x.p, outer*s.channels, s.inner)
	}
	s.m.addColumns(columnTask{out: s.out.p, x: rows, rows: int32(outer), cols: int32(s.channels), accumulate: int32(flag(s.accumulate))})
	if !s.later {
		s.m.flush()
	}
}

// columnSums queues out[c] = scale·Σ_r weights[r]·x[r,c], or of squares, or adds it;
// no weights are ones.
func (m *Machine) columnSums(what string, out, x driver.Pointer, rows, cols int, accumulate bool, weights driver.Pointer, scale float64, square bool) {
	m.launch(what, m.kernels.columnSums, driver.Grid{Blocks: driver.Dim{X: blocks(cols, 32)}, Threads: driver.Dim{X: 256}},
		driver.Ptr(out), driver.Ptr(x), driver.Int(rows), driver.Int(cols), flag(accumulate), driver.Ptr(weights), driver.Float64(scale), flag(square))
}

// warps is the grid of a warp for each of n rows.
func warps(n int) driver.Grid {
	return driver.Grid{Blocks: driver.Dim{X: blocks(n, 8)}, Threads: driver.Dim{X: 256}}
}

// biasSamples sums over the planes of every sample.
type biasSamples struct {
	m               *Machine
	out, x          operand
	channels, inner int
}

func bindBiasSamples(b *binder, in *program.BiasSamples) bound {
	return &biasSamples{b.m, b.real(in.Out, each(in.Channels)), b.real(in.X, each(in.Channels*in.Inner)), in.Channels, in.Inner}
}

func (s *biasSamples) run(n int) { s.m.rowSums(s.out.p, s.x.p, n*s.channels, s.inner) }

// mostAxes is how many axes the kernels take, kept and summed ones in turn.
const mostAxes = 8

// reduce sums over axes or repeats along them. Neighbouring axes that are both
// summed or both kept are one, so the dims alternate: kept, summed, kept, ….
type reduce struct {
	m               *Machine
	what            string
	out, x          operand
	dims            []program.Extent
	broadcast, mean bool
}

func bindReduce(b *binder, in *program.Reduce) bound {
	r := &reduce{m: b.m, what: b.what("reduce"), broadcast: in.Broadcast, mean: in.Mean, dims: []program.Extent{whole(1)}}
	if len(in.Dims) != len(in.Axes) {
		b.fail("%d dims and %d axes", len(in.Dims), len(in.Axes))
		return r
	}
	large, small := whole(1), whole(1)
	for k, d := range in.Dims {
		large = b.extent(large, d)
		if !in.Axes[k] {
			small = b.extent(small, d)
		}
		if last := len(r.dims) - 1; in.Axes[k] == (last%2 == 1) {
			r.dims[last] = b.extent(r.dims[last], d)
		} else {
			r.dims = append(r.dims, d)
		}
	}
	if len(r.dims) > mostAxes {
		b.fail("%d alternations of summed and kept axes; at most %d", len(r.dims), mostAxes)
	}
	if in.Broadcast {
		large, small = small, large
	}
	r.out, r.x = b.real(in.Out, small), b.real(in.X, large)
	return r
}

func (r *reduce) run(n int) {
	kept, summed := 1, 1
	var sizes [mostAxes + 1]driver.Arg
	for k, d := range r.dims {
		size := d.At(n)
		sizes[k] = driver.Int(size)
		if k%2 == 0 {
			kept *= size
		} else {
			summed *= size
		}
	}
	sizes[mostAxes] = driver.Int(len(r.dims))
	factor := 1.0
	if r.mean {
		factor = 1 / float64(summed)
	}
	args := append([]driver.Arg{driver.Ptr(r.out.p), driver.Ptr(r.x.p)}, sizes[:]...)
	if r.broadcast {
		r.m.launch(r.what, r.m.kernels.repeat, elements(kept*summed), append(args, driver.Int(kept), driver.Int(summed), driver.Float32(float32(factor)))...)
		return
	}
	r.m.launch(r.what, r.m.kernels.reduce, driver.Grid{Blocks: driver.Dim{X: kept}, Threads: driver.Dim{X: 256}},
		append(args, driver.Int(summed), driver.Float64(factor))...)
}
