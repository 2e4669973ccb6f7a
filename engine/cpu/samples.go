package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// convSamples computes the weight gradient of every sample, where the weight
// gradient has not left them already.
type convSamples[T Float] struct {
	m         *Machine[T]
	c         *kernel.Conv[T]
	out, a, b operand[T]
	made      bool // by the weight gradient of the last backward pass
}

func bindConvSamples[T Float](b *binder[T], in *program.ConvSamples) bound {
	g := in.Geom
	c := &convSamples[T]{
		m: b.m, out: b.real(in.Out, each(g.OutC*g.InC*g.KH*g.KW)),
		a: b.real(in.A, each(g.InC*g.InH*g.InW)), b: b.real(in.B, each(g.OutC*g.OutH*g.OutW)),
	}
	if w := b.weights[[2]program.BufferID{in.A, in.B}]; w != nil && w.samples == nil {
		w.samples, c.c = c, w.c
		b.m.sampled.byWeights = append(b.m.sampled.byWeights, c)
	} else {
		c.c = bindGeom(b, g)
	}
	return c
}

func (c *convSamples[T]) run(n int) {
	if !c.made {
		s := c.m.kernels.Stream(n)
		s.ConvSamples(c.c, c.out.at(n), c.a.at(n), c.b.at(n))
		s.Run()
	}
}

// biasSamples sums over the planes of every sample.
type biasSamples[T Float] struct {
	m               *Machine[T]
	out, x          operand[T]
	channels, inner int
}

func bindBiasSamples[T Float](b *binder[T], in *program.BiasSamples) bound {
	return &biasSamples[T]{b.m, b.real(in.Out, each(in.Channels)), b.real(in.X, each(in.Channels*in.Inner)), in.Channels, in.Inner}
}

func (s *biasSamples[T]) run(n int) {
	s.m.kernels.RowSum(s.out.at(n), s.x.at(n), n*s.channels, s.inner)
}
