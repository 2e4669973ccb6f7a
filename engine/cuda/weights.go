//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// weightTask is an entry of a kernel's table; see kernels/weights.cu. In first a task keeps
// its first block.
type weightTask struct {
	dw, x, dy, taps, pixels, squares                       driver.Pointer
	geom                                                   [11]int32
	n, group, parts, vectorDY, deep, first, blocks, across int32
	division                                               weightDivision
	_                                                      int32
}

// weightDivision is how a gradient is made from shared memory; see kernels/weights.cu. Size is 0
// where it is not made so.
type weightDivision struct{ size, quads, channels, slices, rows, line, xLine, apart int32 }

// The limits of kernels/weights.cu: threads of a block, floats of planes in shared memory,
// and channels of y that a block makes at most, in quads.
const (
	weightThreads = 128
	weightPlanes  = 7168
	weightQuads   = 8
)

// divideWeights returns how the weights' gradient is made from shared memory; of size 0 where it
// cannot be: windows are not 3×3 or 5×5, or rows too long.
func (g *geometry) divideWeights() (d weightDivision) {
	k := g.KH
	if k != g.KW || k != 3 && k != 5 || g.StrideH != 1 || g.StrideW != 1 || g.DilH != 1 || g.DilW != 1 {
		return d
	}
	each, odd := weightThreads/k, func(n int) int { // of 16 bytes, so that neighbours lie in other banks
		if n%8 == 0 {
			return n + 4
		}
		return n
	}
	evenly := func(n, most int) int { return blocks(n, blocks(n, most)) }
	quads := evenly(blocks(g.OutC, 4), weightQuads)
	channels := evenly(g.InC, max(1, each/quads))
	slices := min(each/(quads*channels), g.OutH)
	line := 4 * blocks(g.OutW, 4)
	xLine := odd(line + 4)
	fits := func(rows int) bool {
		return 4*quads*odd(rows*line)+channels*(rows+k-1)*xLine <= weightPlanes
	}
	rows := g.OutH
	for rows > 0 && !fits(rows) {
		rows--
	}
	if rows == 0 {
		return d
	}
	if rows = evenly(g.OutH, rows); rows > slices { // whole turns of the slices, where that makes no more loads
		if whole := blocks(rows, slices) * slices; fits(whole) {
			rows = whole
		}
	}
	return weightDivision{
		size: int32(k), quads: int32(quads), channels: int32(channels), slices: int32(slices), rows: int32(rows),
		line: int32(line), xLine: int32(xLine), apart: int32(odd(rows * line)),
	}
}

// convWeight computes gradients and adds them: of single samples where norms are asked
// for, else of groups of samples, or of parts of the pixels of each, so that there are
// about four blocks a multiprocessor: at every sample a block waits for its first numbers,
// while others go on. All of it is put off where it may be.
type convWeight struct {
	convolution
	in      *program.Conv
	first   *convWeight    // whose result this is added to, with it; nil for none
	rows    driver.Pointer // the gradients to add
	most    int            // gradients of each that rows has room for
	squares driver.Pointer // of samples' gradients by block; 0 where no norms are known
	later   bool           // it may wait for the end of the phase
}

// weightBytes is how much memory the gradients of groups may take.
const weightBytes = 64 << 20

// weightsTogether is how many blocks a multiprocessor is to have.
const weightsTogether = 4

// leastPixels is how many pixels a part of a sample has at least.
const leastPixels = 64

// The tile for gradients of few weights.
const deepRows, deepCols = 16, 32

func bindConvWeight(b *binder, in *program.Conv, g *geometry) bound {
	c := &convWeight{in: in, convolution: convolution{
		m: b.m, g: g, accumulate: in.Accumulate,
		out: b.real(in.Out, whole(g.w())), a: b.real(in.A, each(g.x())), b: b.real(in.B, each(g.y())),
	}}
	if in.Epilogue != program.NoEpilogue {
		b.fail("a weight gradient takes no epilogue")
	}
	if b.err != nil || b.waitsForSecond(in, c) {
		return nil
	}
	reads, gradients := []program.BufferID{in.A, in.B}, 1
	if first, ok := b.firsts[in].(*convWeight); ok {
		c.first, c.accumulate, gradients = first, first.accumulate, 2
		reads = append(reads, first.in.A, first.in.B)
	}
	c.later = b.canWait(in.Out, reads...)
	c.most = min(max(b.m.capacity, weightsTogether*b.m.multiprocessors/g.weightBlocks()), max(1, weightBytes/real/g.w()))
	c.rows = b.alloc("gradients of groups of samples", gradients*c.most*g.w()*real)
	if in.Norms != program.None {
		c.squares = b.alloc("squares of gradients", b.m.capacity*g.weightBlocks()*double)
		b.addNorms(in.Norms, normTask{squares: c.squares, parts: int32(g.weightBlocks())})
	}
	return c
}

// deep reports whether one tile for few weights holds all.
func (g *geometry) deep() bool { return g.OutC <= deepRows && g.taps() <= deepCols }

// weightBlocks is how many blocks make the gradient of one group of samples.
func (g *geometry) weightBlocks() int {
	switch d := g.divideWeights(); {
	case d.size > 0:
		return blocks(g.OutC, 4*int(d.quads)) * blocks(g.InC, int(d.channels))
	case g.deep():
		return 1
	}
	return blocks(g.taps(), wideCols) * blocks(g.OutC, wideRows)
}

func (c *convWeight) run(n int) {
	m, g := c.m, c.g
	noise := c.squares != 0 && m.noise
	group, parts := 1, 1
	if !noise {
		have, want := n*g.weightBlocks(), weightsTogether*m.multiprocessors
		group, parts = max(1, have/want), max(1, min(want/have, c.most/n, g.weightParts()))
	}
	for from := 0; from < n; from += c.most * group {
		count := min(n-from, c.most*group)
		squares := driver.Pointer(0)
		if noise {
			squares = c.squares + driver.Pointer(from*g.weightBlocks()*double)
		}
		rows := 0
		for _, of := range []*convWeight{c.first, c} {
			if of != nil {
				x, dy := of.a.p+driver.Pointer(from*g.x()*real), of.b.p+driver.Pointer(from*g.y()*real)
				m.weightGradients(g, c.rows+driver.Pointer(rows*g.w()*real), x, dy, count, group, parts, squares)
				rows += blocks(count, group) * parts
			}
		}
		m.addColumns(columnTask{out: c.out.p, x: c.rows, rows: int32(rows), cols: int32(g.w()), accumulate: int32(flag(c.accumulate || from > 0))})
		if !c.later || from+count < n { // rows are needed again
			m.flush()
		}
	}
}

// weightParts is among how many blocks the pixels of a sample may be divided.
func (g *geometry) weightParts() int {
	parts := g.OutH * g.OutW / leastPixels
	if d := g.divideWeights(); d.size > 0 {
		parts = min(parts, g.OutH/int(d.slices))
	}
	return parts
}

// weightGradients puts off the gradients of groups of n samples and parts of their pixels,
// groups×parts×w.
func (m *Machine) weightGradients(g *geometry, rows, x, dy driver.Pointer, n, group, parts int, squares driver.Pointer) {
	t := weightTask{
		dw: rows, x: x, dy: dy, taps: g.forward, pixels: g.pixels, squares: squares, n: int32(n), group: int32(group), parts: int32(parts),
		vectorDY: int32(flag(vector(dy, g.OutH*g.OutW))), across: int32(g.weightBlocks()), division: g.divideWeights(),
	}
	t.blocks = int32(blocks(n, group)*parts) * t.across
	if g.deep() {
		t.deep = 1
	}
	for k, arg := range g.args(g.taps()) {
		t.geom[k] = int32(arg)
	}
	m.pending.weights = append(m.pending.weights, t)
}

// convSamples computes the weight gradient of every sample.
type convSamples struct {
	m         *Machine
	g         *geometry
	out, a, b operand
}

func bindConvSamples(b *binder, in *program.ConvSamples) bound {
	g := bindGeom(b, in.Geom)
	return &convSamples{b.m, g, b.real(in.Out, each(g.w())), b.real(in.A, each(g.x())), b.real(in.B, each(g.y()))}
}

func (c *convSamples) run(n int) { c.m.weightGradients(c.g, c.out.p, c.a.p, c.b.p, n, 1, 1, 0) }
