//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// The tile of the convolution kernels: channels, columns, threads.
const wideRows, wideCols, wideThreads = 32, 64, 128

// geometry is what the kernels know of a convolution.
type geometry struct {
	program.ConvGeom
	forward, input driver.Pointer // taps of y's sums and of dx's
	pixels         driver.Pointer
}

func (g *geometry) x() int    { return g.InC * g.InH * g.InW }
func (g *geometry) y() int    { return g.OutC * g.OutH * g.OutW }
func (g *geometry) w() int    { return g.OutC * g.InC * g.KH * g.KW }
func (g *geometry) taps() int { return g.InC * g.KH * g.KW }

// args appends the geometry as the kernels take it, for sums over so many taps.
func (g *geometry) args(taps int) [11]driver.Arg {
	return [11]driver.Arg{
		driver.Int(g.InC), driver.Int(g.InH), driver.Int(g.InW), driver.Int(g.OutC), driver.Int(g.OutH), driver.Int(g.OutW),
		driver.Int(g.StrideH), driver.Int(g.StrideW), driver.Int(g.PadH), driver.Int(g.PadW), driver.Int(taps),
	}
}

// tap and pixel are entries of the kernels' tables; see kernels/conv.cu.
type (
	tap   struct{ offset, h, w, weight int32 }
	pixel struct{ offset, h, w, _ int32 }
)

// bindGeom makes the tables of geometry g, once for all that have it.
func bindGeom(b *binder, g program.ConvGeom) *geometry {
	if r := b.m.geometries[g]; r != nil {
		return r
	}
	if g.StrideH < 1 || g.StrideW < 1 || g.OutH != (g.InH+2*g.PadH-(g.KH-1)*g.DilH-1)/g.StrideH+1 || g.OutW != (g.InW+2*g.PadW-(g.KW-1)*g.DilW-1)/g.StrideW+1 {
		b.fail("the windows do not make %d×%d outputs", g.OutH, g.OutW)
		return &geometry{ConvGeom: g}
	}
	var forward, input []tap
	for c := range g.InC {
		for k := range g.KH * g.KW {
			h, w := k/g.KW*g.DilH, k%g.KW*g.DilW
			forward = append(forward, tap{int32((c*g.InH+h)*g.InW + w), int32(h), int32(w), 0})
		}
	}
	for o := range g.OutC {
		for k := range g.KH * g.KW {
			input = append(input, tap{int32(o * g.OutH * g.OutW), int32(k / g.KW * g.DilH), int32(k % g.KW * g.DilW), int32(o*g.InC*g.KH*g.KW + k)})
		}
	}
	var pixels []pixel
	for p := range g.OutH {
		for q := range g.OutW {
			h, w := p*g.StrideH-g.PadH, q*g.StrideW-g.PadW
			pixels = append(pixels, pixel{offset: int32(h*g.InW + w), h: int32(h), w: int32(w)})
		}
	}
	r := &geometry{
		ConvGeom: g,
		forward:  upload(b, "taps of a convolution", forward, 16), input: upload(b, "taps of a convolution", input, 16),
		pixels: upload(b, "pixels of a convolution", pixels, 16),
	}
	b.m.geometries[g] = r
	return r
}

func bindConv(b *binder, in *program.Conv) bound {
	g := bindGeom(b, in.Geom)
	x, y, w := each(g.x()), each(g.y()), whole(g.w())
	switch in.Dir {
	case program.ConvForward:
		c := convolution{m: b.m, g: g, what: b.what("conv"), out: b.real(in.Out, y), a: b.real(in.A, x), b: b.real(in.B, w), accumulate: in.Accumulate}
		return bindDirect(b, in, c, bindEpilogue(b, in.Epilogue, y, whole(g.OutC)))
	case program.ConvInput:
		c := convolution{m: b.m, g: g, what: b.what("conv_input"), out: b.real(in.Out, x), a: b.real(in.A, y), b: b.real(in.B, w), accumulate: in.Accumulate}
		return bindDirect(b, in, c, bindEpilogue(b, in.Epilogue, x, whole(g.InC)))
	case program.ConvWeight:
		return bindConvWeight(b, in, g)
	}
	b.fail("no rule for convolution direction %d", in.Dir)
	return nil
}

// convolution is what the directions share; a and b are as in program.Conv.
type convolution struct {
	m          *Machine
	g          *geometry
	what       string
	out, a, b  operand
	accumulate bool
}

type convForward struct {
	convolution
	epilogue epilogue
}

func (c *convForward) run(n int) {
	g, e := c.g, &c.epilogue
	s := g.args(g.taps())
	c.m.launch(c.what, c.m.kernels.convForward, driver.Grid{
		Blocks: driver.Dim{X: blocks(n*g.OutH*g.OutW, wideCols), Y: blocks(g.OutC, wideRows)}, Threads: driver.Dim{X: wideThreads},
	}, driver.Ptr(c.out.p), driver.Ptr(c.a.p), driver.Ptr(c.b.p), driver.Ptr(g.forward), driver.Ptr(g.pixels), driver.Int(n),
		s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10],
		flag(c.accumulate), flag(vector(c.b.p, g.taps())), driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)))
}

type convInput struct {
	convolution
	epilogue epilogue
}

func (c *convInput) run(n int) {
	g, e := c.g, &c.epilogue
	s := g.args(g.OutC * g.KH * g.KW)
	c.m.launch(c.what, c.m.kernels.convInput, driver.Grid{
		Blocks: driver.Dim{X: blocks(n*g.InH*g.InW, wideCols), Y: blocks(g.InC, wideRows)}, Threads: driver.Dim{X: wideThreads},
	}, driver.Ptr(c.out.p), driver.Ptr(c.a.p), driver.Ptr(c.b.p), driver.Ptr(g.input), driver.Int(n),
		s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], driver.Int(g.KH*g.KW),
		flag(c.accumulate), driver.Ptr(e.bias.p), driver.Int(int(e.f)), driver.Ptr(e.mask.p), driver.Int(int(e.df)))
}

// weightTask is an entry of a kernel's table; see kernels/conv.cu. In first a task keeps
// its first block.
type weightTask struct {
	dw, x, dy, taps, pixels, squares               driver.Pointer
	geom                                           [11]int32
	n, group, parts, vectorDY, deep, first, blocks int32
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
	if g.deep() {
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
		group, parts = max(1, have/want), max(1, min(want/have, c.most/n, g.OutH*g.OutW/leastPixels))
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

// weightGradients puts off the gradients of groups of n samples and parts of their pixels,
// groups×parts×w.
func (m *Machine) weightGradients(g *geometry, rows, x, dy driver.Pointer, n, group, parts int, squares driver.Pointer) {
	t := weightTask{
		dw: rows, x: x, dy: dy, taps: g.forward, pixels: g.pixels, squares: squares, n: int32(n), group: int32(group), parts: int32(parts),
		vectorDY: int32(flag(vector(dy, g.OutH*g.OutW))), blocks: int32(blocks(n, group) * parts * g.weightBlocks()),
	}
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
