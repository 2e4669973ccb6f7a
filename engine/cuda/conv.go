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
