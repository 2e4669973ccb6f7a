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

// planeTask works on planes [i·each, (i+1)·each).
type planeTask[T Float] struct {
	PoolGeom
	kernels *Kernels[T]
	op      poolOp
	planes  int
	each    int
	in, out int // elements of an input and an output plane
	outW    int
	x, y    []T
	at      []int32
	acc     bool
}

// runPool runs op over the planes of n samples.
func (k *Kernels[T]) runPool(op poolOp, g PoolGeom, n int, x, y []T, at []int32, acc bool) {
	t := &k.planes
	*t = planeTask[T]{PoolGeom: g, kernels: k, op: op, planes: n * g.Channels, x: x, y: y, at: at, acc: acc}
	t.in, t.outW = g.InH*g.InW, g.OutW()
	t.out = g.OutH() * t.outW
	if len(x) < t.planes*t.in || len(y) < t.planes*t.out || op <= opGather && len(at) < t.planes*t.out {
		panic(fmt.Errorf("kernel: pooling %+v of %d samples: input %d, output %d, index %d elements", g, n, len(x), len(y), len(at)))
	}
	t.each = max(1, flatChunk/4/max(t.in, t.out, 1))
	k.pool.Run((t.planes+t.each-1)/t.each, t)
	*t = planeTask[T]{}
}

// MaxPool stores each window's largest input in y and its place in at, an index
// into the window's input plane (row·InW + column). The first of equals counts;
// a NaN in the window is the result. x is n×Channels×InH×InW, y and at are
// n×Channels×OutH×OutW.
func (k *Kernels[T]) MaxPool(g PoolGeom, n int, y []T, at []int32, x []T) {
	k.runPool(opMaxPool, g, n, x, y, at, false)
}

// MaxPoolScatter is the adjoint of MaxPool with the places held fixed: it adds
// each dy to dx at its place, after clearing dx unless acc.
func (k *Kernels[T]) MaxPoolScatter(g PoolGeom, n int, dx, dy []T, at []int32, acc bool) {
	k.runPool(opScatter, g, n, dx, dy, at, acc)
}

// MaxPoolGather stores y = x at the places: the derivative of MaxPool along x.
// With acc it adds to y.
func (k *Kernels[T]) MaxPoolGather(g PoolGeom, n int, y, x []T, at []int32, acc bool) {
	k.runPool(opGather, g, n, x, y, at, acc)
}

// AvgPool stores each window's sum divided by KH·KW, padding counted as zeros.
// With acc it adds to y.
func (k *Kernels[T]) AvgPool(g PoolGeom, n int, y, x []T, acc bool) {
	k.runPool(opAvgPool, g, n, x, y, nil, acc)
}

// AvgPoolAdjoint spreads each dy/(KH·KW) over its window in dx, after clearing
// dx unless acc.
func (k *Kernels[T]) AvgPoolAdjoint(g PoolGeom, n int, dx, dy []T, acc bool) {
	k.runPool(opAvgAdjoint, g, n, dx, dy, nil, acc)
}

// small reports whether the windows are 2×2 without overlap or padding.
func (t *planeTask[T]) small() bool {
	return t.KH == 2 && t.KW == 2 && t.StrideH == 2 && t.StrideW == 2 && t.PadH == 0 && t.PadW == 0
}

// Do works on piece i.
func (t *planeTask[T]) Do(i, _ int) {
	small := t.small() && t.kernels.vec.maxPool != nil
	for p := i * t.each; p < min((i+1)*t.each, t.planes); p++ {
		if small && t.op <= opGather {
			t.smallPlane(p)
			continue
		}
		x, y := t.x[p*t.in:][:t.in], t.y[p*t.out:][:t.out]
		switch t.op {
		case opMaxPool:
			t.maxPlane(x, y, t.at[p*t.out:][:t.out])
		case opScatter:
			if !t.acc {
				clear(x)
			}
			for j, at := range t.at[p*t.out:][:t.out] {
				x[at] += y[j]
			}
		case opGather:
			at := t.at[p*t.out:][:t.out]
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
}

// smallPlane does plane p with the path's kernels for windows of 2×2.
func (t *planeTask[T]) smallPlane(p int) {
	v := &t.kernels.vec
	x, y, at := ptr(t.x, p*t.in), ptr(t.y, p*t.out), ptr(t.at, p*t.out)
	rows := t.out / t.outW
	acc := 0
	if t.acc {
		acc = 1
	}
	switch t.op {
	case opMaxPool:
		v.maxPool(y, at, x, rows, t.outW, t.InW)
	case opGather:
		v.maxPoolGather(y, at, x, rows, t.outW, t.InW, acc)
	case opScatter:
		if !t.acc && (2*t.outW < t.InW || 2*rows < t.InH) {
			clear(t.x[p*t.in:][:t.in])
		}
		v.maxPoolScatter(y, at, x, rows, t.outW, t.InW, acc)
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
