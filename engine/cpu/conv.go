package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// conv is a bound convolution; a and b are as in program.Conv.
type conv[T Float] struct {
	m          *Machine[T]
	dir        program.ConvDir
	c          *kernel.Conv[T]
	out, a, b  operand[T]
	accumulate bool
	epilogue   epilogue[T]
	norms      operand[float64]
	perSample  []float64
	samples    *convSamples[T] // of the same operands, which it can make on the way
}

// bindGeom prepares the convolution of geometry g.
func bindGeom[T Float](b *binder[T], g program.ConvGeom) *kernel.Conv[T] {
	k, err := kernel.NewConv[T](kernel.ConvGeom{
		Batch: b.m.capacity, InC: g.InC, InH: g.InH, InW: g.InW, OutC: g.OutC, KH: g.KH, KW: g.KW,
		StrideH: g.StrideH, StrideW: g.StrideW, PadH: g.PadH, PadW: g.PadW, DilH: g.DilH, DilW: g.DilW,
	})
	switch {
	case err != nil:
		b.fail("%w", err)
	case k.OutH() != g.OutH || k.OutW() != g.OutW:
		b.fail("the windows make %d×%d outputs, not %d×%d", k.OutH(), k.OutW(), g.OutH, g.OutW)
	}
	return k
}

func bindConv[T Float](b *binder[T], in *program.Conv) bound {
	g := in.Geom
	x, y := each(g.InC*g.InH*g.InW), each(g.OutC*g.OutH*g.OutW)
	w := whole(g.OutC * g.InC * g.KH * g.KW)
	c := &conv[T]{m: b.m, dir: in.Dir, c: bindGeom(b, g), accumulate: in.Accumulate}
	switch in.Dir {
	case program.ConvForward:
		c.out, c.a, c.b = b.real(in.Out, y), b.real(in.A, x), b.real(in.B, w)
		c.epilogue = bindEpilogue(b, in.Epilogue, y, whole(g.OutC))
	case program.ConvInput:
		c.out, c.a, c.b = b.real(in.Out, x), b.real(in.A, y), b.real(in.B, w)
		c.epilogue = bindEpilogue(b, in.Epilogue, x, whole(g.InC))
	case program.ConvWeight:
		c.out, c.a, c.b = b.real(in.Out, w), b.real(in.A, x), b.real(in.B, y)
		if in.Epilogue != program.NoEpilogue {
			b.fail("a weight gradient takes no epilogue")
		}
		if in.Norms != program.None {
			c.norms = b.double(in.Norms, each(1))
			c.perSample = make([]float64, b.m.capacity)
			if b.phase == program.Gradient && b.final(in.A) && b.final(in.B) {
				b.weights[[2]program.BufferID{in.A, in.B}] = c
			}
		}
	default:
		b.fail("no rule for convolution direction %d", in.Dir)
	}
	return c
}

func (c *conv[T]) run(n int) { alone(c.m, c, n) }

func (c *conv[T]) record(s *kernel.Stream[T], n int) {
	e := &c.epilogue
	out, a, b, mask := c.out.at(n), c.a.at(n), c.b.at(n), e.mask.at(n)
	switch c.dir {
	case program.ConvForward:
		s.ConvForward(c.c, out, a, b, e.bias.at(n), e.f, e.df, mask, c.accumulate)
	case program.ConvInput:
		s.ConvInput(c.c, out, a, b, e.bias.at(n), e.f, e.df, mask, c.accumulate)
	case program.ConvWeight:
		var norms []float64
		var rows []T
		if c.normed() {
			norms = c.perSample[:n]
			if c.samples != nil && c.m.sampled.eager {
				rows = c.samples.out.at(n)
				c.samples.made = true
			}
		}
		s.ConvWeight(c.c, out, a, b, c.accumulate, norms, rows)
	}
}

// normed reports whether the run in progress wants norms of c.
func (c *conv[T]) normed() bool { return c.m.noise && c.norms.present() }

func (c *conv[T]) settle(n int) {
	if c.dir == program.ConvWeight && c.normed() {
		addScaled(c.norms.at(n), c.perSample)
	}
}
