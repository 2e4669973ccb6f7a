package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// pooling is what the pool instructions share: x and out are as in the
// instruction, index holds positions of maxima.
type pooling[T Float] struct {
	m      *Machine[T]
	g      kernel.PoolGeom
	out, x operand[T]
	index  operand[int32]
}

// bindPooling resolves the operands of an instruction that goes from planes
// to pooled planes or, with adjoint, back.
func bindPooling[T Float](b *binder[T], geom program.PoolGeom, out, x program.BufferID, adjoint bool) pooling[T] {
	g := kernel.PoolGeom{
		Channels: geom.C, InH: geom.InH, InW: geom.InW, KH: geom.KH, KW: geom.KW,
		StrideH: geom.StrideH, StrideW: geom.StrideW, PadH: geom.PadH, PadW: geom.PadW,
	}
	if err := g.Check(); err != nil {
		b.fail("%w", err)
	} else if g.OutH() != geom.OutH || g.OutW() != geom.OutW {
		b.fail("the windows make %d×%d outputs, not %d×%d", g.OutH(), g.OutW(), geom.OutH, geom.OutW)
	}
	from, to := each(geom.C*geom.InH*geom.InW), pooled(geom)
	if adjoint {
		from, to = to, from
	}
	return pooling[T]{m: b.m, g: g, out: b.real(out, to), x: b.real(x, from)}
}

// pooled is the size of a pool's result.
func pooled(g program.PoolGeom) program.Extent { return each(g.C * g.OutH * g.OutW) }

func (p *pooling[T]) settle(int) {}

type maxPool[T Float] struct{ pooling[T] }

func bindMaxPool[T Float](b *binder[T], in *program.MaxPool) bound {
	p := &maxPool[T]{bindPooling(b, in.Geom, in.Out, in.X, false)}
	p.index = b.index(in.Index, pooled(in.Geom))
	return p
}

func (p *maxPool[T]) run(n int) { alone(p.m, p, n) }

func (p *maxPool[T]) record(s *kernel.Stream[T], n int) {
	s.MaxPool(p.g, p.out.at(n), p.index.at(n), p.x.at(n))
}

// poolScatter scatters x, or x ⊙ f'(mask).
type poolScatter[T Float] struct {
	pooling[T]
	mask operand[T]
	df   kernel.Activation
}

func bindPoolScatter[T Float](b *binder[T], in *program.PoolScatter) bound {
	p := &poolScatter[T]{pooling: bindPooling(b, in.Geom, in.Out, in.X, true)}
	p.index = b.index(in.Index, pooled(in.Geom))
	if in.Mask != program.None {
		p.mask, p.df = b.real(in.Mask, pooled(in.Geom)), maskOf(b, in.MaskFunc)
	}
	return p
}

func (p *poolScatter[T]) run(n int) { alone(p.m, p, n) }

func (p *poolScatter[T]) record(s *kernel.Stream[T], n int) {
	s.MaxPoolScatter(p.g, p.out.at(n), p.x.at(n), p.index.at(n), p.df, p.mask.at(n), false)
}

type poolGather[T Float] struct{ pooling[T] }

func bindPoolGather[T Float](b *binder[T], in *program.PoolGather) bound {
	p := &poolGather[T]{bindPooling(b, in.Geom, in.Out, in.X, false)}
	p.index = b.index(in.Index, pooled(in.Geom))
	return p
}

func (p *poolGather[T]) run(n int) { alone(p.m, p, n) }

func (p *poolGather[T]) record(s *kernel.Stream[T], n int) {
	s.MaxPoolGather(p.g, p.out.at(n), p.x.at(n), p.index.at(n), false)
}

type avgPool[T Float] struct {
	pooling[T]
	adjoint bool
}

func bindAvgPool[T Float](b *binder[T], in *program.AvgPool) bound {
	return &avgPool[T]{bindPooling(b, in.Geom, in.Out, in.X, in.Adjoint), in.Adjoint}
}

func (p *avgPool[T]) run(n int) { alone(p.m, p, n) }

func (p *avgPool[T]) record(s *kernel.Stream[T], n int) {
	if p.adjoint {
		s.AvgPoolAdjoint(p.g, p.out.at(n), p.x.at(n), false)
	} else {
		s.AvgPool(p.g, p.out.at(n), p.x.at(n), false)
	}
}
