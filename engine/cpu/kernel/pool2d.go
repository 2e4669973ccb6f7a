package kernel

import (
	"fmt"
	"math"
)

// poolOp names an operation on planes.
type poolOp uint8

const (
	opMaxPool poolOp = iota
	opScatter
	opGather
	opAvgPool
	opAvgAdjoint
)

// planeTask is an operation on planes, as one of a stream.
type planeTask[T Float] struct {
	whole
	PoolGeom
	kernels *Kernels[T]
	op      poolOp
	in, out int // elements of an input and an output plane
	outW    int
	x, y    []T
	at      []int32
	mask    Activation
	ref     []T // what mask is taken from, of y's shape
	acc     bool
}

// pool records op over the planes of the samples.
func (s *Stream[T]) pool(op poolOp, g PoolGeom, x, y []T, at []int32, acc bool) *planeTask[T] {
	t := s.planes.next()
	*t = planeTask[T]{PoolGeom: g, kernels: s.kernels, op: op, x: x, y: y, at: at, acc: acc}
	t.in, t.outW = g.InH*g.InW, g.OutW()
	t.out = g.OutH() * t.outW
	planes := s.n * g.Channels
	if len(x) < planes*t.in || len(y) < planes*t.out || op <= opGather && len(at) < planes*t.out {
		panic(fmt.Errorf("kernel: pooling %+v of %d samples: input %d, output %d, index %d elements", g, s.n, len(x), len(y), len(at)))
	}
	width := g.Channels * (t.in + t.out)
	s.add(t, width, width*moveWork)
	return t
}

// MaxPool stores each window's largest input in y and its place in at, an index
// into the window's input plane (row·InW + column). The first of equals counts;
// a NaN in the window is the result. x is n×Channels×InH×InW, y and at are
// n×Channels×OutH×OutW.
func (s *Stream[T]) MaxPool(g PoolGeom, y []T, at []int32, x []T) {
	s.pool(opMaxPool, g, x, y, at, false)
}

// MaxPoolScatter is the adjoint of MaxPool with the places held fixed: it adds
// each dy, times g′(ref) where mask is not Identity (see [Stream.ConvForward]),
// to dx at its place, after clearing dx unless acc.
func (s *Stream[T]) MaxPoolScatter(g PoolGeom, dx, dy []T, at []int32, mask Activation, ref []T, acc bool) {
	t := s.pool(opScatter, g, dx, dy, at, acc)
	t.mask, t.ref = mask, ref
}

// MaxPoolGather stores y = x at the places: the derivative of MaxPool along x.
// With acc it adds to y.
func (s *Stream[T]) MaxPoolGather(g PoolGeom, y, x []T, at []int32, acc bool) {
	s.pool(opGather, g, x, y, at, acc)
}

// AvgPool stores each window's sum divided by KH·KW, padding counted as zeros.
// With acc it adds to y.
func (s *Stream[T]) AvgPool(g PoolGeom, y, x []T, acc bool) {
	s.pool(opAvgPool, g, x, y, nil, acc)
}

// AvgPoolAdjoint spreads each dy/(KH·KW) over its window in dx, after clearing
// dx unless acc.
func (s *Stream[T]) AvgPoolAdjoint(g PoolGeom, dx, dy []T, acc bool) {
	s.pool(opAvgAdjoint, g, dx, dy, nil, acc)
}

func (t *planeTask[T]) forget() { *t = planeTask[T]{} }

// small reports whether the windows are 2×2 without overlap or padding.
func (t *planeTask[T]) small() bool {
	return t.KH == 2 && t.KW == 2 && t.StrideH == 2 && t.StrideW == 2 && t.PadH == 0 && t.PadW == 0
}

// samples works on the planes of samples [lo,hi).
func (t *planeTask[T]) samples(_, lo, hi, worker int) {
	y, from := t.y, 0
	if t.mask != Identity {
		from = lo * t.Channels * t.out
		to := hi * t.Channels * t.out
		y = t.kernels.scratch(worker, 0, to-from)
		t.kernels.vec.actGrad(t.mask, y, t.y[from:to], t.ref[from:to])
	}
	small := t.small() && t.kernels.vec.maxPool != nil
	for p := lo * t.Channels; p < hi*t.Channels; p++ {
		t.plane(t.x[p*t.in:][:t.in], y[p*t.out-from:][:t.out], p, small)
	}
}

// plane works on plane p, whose input is x and whose output is y; with small by
// the path's kernels for windows of 2×2.
func (t *planeTask[T]) plane(x, y []T, p int, small bool) {
	var at []int32
	if t.op <= opGather {
		at = t.at[p*t.out:][:t.out]
	}
	if small && t.op <= opGather {
		t.smallPlane(x, y, at)
		return
	}
	switch t.op {
	case opMaxPool:
		t.maxPlane(x, y, at)
	case opScatter:
		if !t.acc {
			clear(x)
		}
		for j, a := range at {
			x[a] += y[j]
		}
	case opGather:
		if t.acc {
			for j, a := range at {
				y[j] += x[a]
			}
		} else {
			for j, a := range at {
				y[j] = x[a]
			}
		}
	case opAvgPool:
		t.avgPlane(x, y)
	case opAvgAdjoint:
		t.avgAdjointPlane(x, y)
	}
}

// smallPlane is plane with the path's kernels for windows of 2×2.
func (t *planeTask[T]) smallPlane(x, y []T, at []int32) {
	v := &t.kernels.vec
	rows := t.out / t.outW
	acc := 0
	if t.acc {
		acc = 1
	}
	switch t.op {
	case opMaxPool:
		v.maxPool(ptr(y, 0), ptr(at, 0), ptr(x, 0), rows, t.outW, t.InW)
	case opGather:
		v.maxPoolGather(ptr(y, 0), ptr(at, 0), ptr(x, 0), rows, t.outW, t.InW, acc)
	case opScatter:
		if !t.acc && (2*t.outW < t.InW || 2*rows < t.InH) {
			clear(x)
		}
		v.maxPoolScatter(ptr(y, 0), ptr(at, 0), ptr(x, 0), rows, t.outW, t.InW, acc)
	}
}

// window is the input rows and columns under output j.
func (t *planeTask[T]) window(j int) (r0, r1, c0, c1 int) {
	r, c := j/t.outW*t.StrideH-t.PadH, j%t.outW*t.StrideW-t.PadW
	return max(r, 0), min(r+t.KH, t.InH), max(c, 0), min(c+t.KW, t.InW)
}

// maxPlane pools one plane.
func (t *planeTask[T]) maxPlane(x, y []T, at []int32) {
	if t.small() {
		t.maxPlane2(x, y, at)
		return
	}
	for j := range y {
		r0, r1, c0, c1 := t.window(j)
		best, place := T(math.Inf(-1)), r0*t.InW+c0
		for r := r0; r < r1; r++ {
			for c := c0; c < c1; c++ {
				if v := x[r*t.InW+c]; v > best || v != v {
					best, place = v, r*t.InW+c
				}
			}
		}
		y[j], at[j] = best, int32(place)
	}
}

// maxPlane2 pools one plane by windows of 2×2.
func (t *planeTask[T]) maxPlane2(x, y []T, at []int32) {
	for r := 0; r < len(y)/t.outW; r++ {
		base := 2 * r * t.InW
		top, bottom := x[base:][:2*t.outW], x[base+t.InW:][:2*t.outW]
		ys, ats := y[r*t.outW:][:t.outW], at[r*t.outW:][:t.outW]
		for c := range ys {
			best, place := top[2*c], base+2*c
			if v := top[2*c+1]; v > best || v != v {
				best, place = v, base+2*c+1
			}
			if v := bottom[2*c]; v > best || v != v {
				best, place = v, base+t.InW+2*c
			}
			if v := bottom[2*c+1]; v > best || v != v {
				best, place = v, base+t.InW+2*c+1
			}
			ys[c], ats[c] = best, int32(place)
		}
	}
}

// avgPlane averages one plane.
func (t *planeTask[T]) avgPlane(x, y []T) {
	share := 1 / T(t.KH*t.KW)
	for j := range y {
		r0, r1, c0, c1 := t.window(j)
		var s T
		for r := r0; r < r1; r++ {
			for _, v := range x[r*t.InW+c0 : r*t.InW+c1] {
				s += v
			}
		}
		s *= share
		if t.acc {
			s += y[j]
		}
		y[j] = s
	}
}

// avgAdjointPlane spreads one plane.
func (t *planeTask[T]) avgAdjointPlane(x, y []T) {
	share := 1 / T(t.KH*t.KW)
	if !t.acc {
		clear(x)
	}
	for j, v := range y {
		r0, r1, c0, c1 := t.window(j)
		v *= share
		for r := r0; r < r1; r++ {
			row := x[r*t.InW+c0 : r*t.InW+c1]
			for c := range row {
				row[c] += v
			}
		}
	}
}
