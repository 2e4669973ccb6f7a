package cpu

import "sgflow/engine/program"

// pooling is what the pool instructions share.
type pooling struct {
	g program.PoolGeom
}

func bindPooling[T Float](b *binder[T], g program.PoolGeom) (p pooling, in, out program.Extent) {
	checkWindow(b, g.InH, g.OutH, g.KH, g.StrideH, g.PadH, 1)
	checkWindow(b, g.InW, g.OutW, g.KW, g.StrideW, g.PadW, 1)
	return pooling{g}, each(g.C * g.InH * g.InW), each(g.C * g.OutH * g.OutW)
}

// window returns the part of the input plane that window p, q covers.
func (p *pooling) window(i, j int) (r0, r1, c0, c1 int) {
	g := &p.g
	r0, c0 = i*g.StrideH-g.PadH, j*g.StrideW-g.PadW
	r1, c1 = min(r0+g.KH, g.InH), min(c0+g.KW, g.InW)
	return max(r0, 0), r1, max(c0, 0), c1
}

type maxPool[T Float] struct {
	pooling
	out, x operand[T]
	index  operand[int32]
}

func bindMaxPool[T Float](b *binder[T], in *program.MaxPool) bound {
	p, input, output := bindPooling(b, in.Geom)
	if in.Geom.PadH >= in.Geom.KH || in.Geom.PadW >= in.Geom.KW {
		b.fail("padding %d×%d leaves windows of %d×%d without an element", in.Geom.PadH, in.Geom.PadW, in.Geom.KH, in.Geom.KW)
	}
	return &maxPool[T]{p, b.real(in.Out, output), b.real(in.X, input), b.index(in.Index, output)}
}

func (p *maxPool[T]) run(n int) {
	out, index, x := p.out.at(n), p.index.at(n), p.x.at(n)
	plane := p.g.InH * p.g.InW
	k := 0
	for c := range n * p.g.C {
		in := x[c*plane : (c+1)*plane]
		for i := range p.g.OutH {
			for j := range p.g.OutW {
				r0, r1, c0, c1 := p.window(i, j)
				best := r0*p.g.InW + c0
				for r := r0; r < r1; r++ {
					for at := r*p.g.InW + c0; at < r*p.g.InW+c1; at++ {
						if v := in[at]; v > in[best] || v != v && in[best] == in[best] {
							best = at
						}
					}
				}
				out[k], index[k] = in[best], int32(best)
				k++
			}
		}
	}
}

type poolScatter[T Float] struct {
	pooling
	out, x, mask operand[T]
	index        operand[int32]
	df           mapping[T]
	masked       []T // x ⊙ f'(mask)
}

func bindPoolScatter[T Float](b *binder[T], in *program.PoolScatter) bound {
	p, input, output := bindPooling(b, in.Geom)
	s := &poolScatter[T]{pooling: p, out: b.real(in.Out, input), x: b.real(in.X, output), mask: b.real(in.Mask, output), index: b.index(in.Index, output)}
	if in.Mask != program.None {
		s.df = bindMask(b, in.MaskFunc)
		s.masked = make([]T, b.m.capacity*output.N)
	}
	return s
}

func (p *poolScatter[T]) run(n int) {
	out, index, x := p.out.at(n), p.index.at(n), p.x.at(n)
	if p.mask.present() {
		masked := p.masked[:len(x)]
		p.df(masked, p.mask.at(n), x)
		x = masked
	}
	clear(out)
	from, to := p.g.OutH*p.g.OutW, p.g.InH*p.g.InW
	for c := range n * p.g.C {
		plane := out[c*to : (c+1)*to]
		for k := c * from; k < (c+1)*from; k++ {
			plane[index[k]] += x[k]
		}
	}
}

type poolGather[T Float] struct {
	pooling
	out, x operand[T]
	index  operand[int32]
}

func bindPoolGather[T Float](b *binder[T], in *program.PoolGather) bound {
	p, input, output := bindPooling(b, in.Geom)
	return &poolGather[T]{p, b.real(in.Out, output), b.real(in.X, input), b.index(in.Index, output)}
}

func (p *poolGather[T]) run(n int) {
	out, index, x := p.out.at(n), p.index.at(n), p.x.at(n)
	to, from := p.g.OutH*p.g.OutW, p.g.InH*p.g.InW
	for c := range n * p.g.C {
		plane := x[c*from : (c+1)*from]
		for k := c * to; k < (c+1)*to; k++ {
			out[k] = plane[index[k]]
		}
	}
}

type avgPool[T Float] struct {
	pooling
	out, x  operand[T]
	adjoint bool
}

func bindAvgPool[T Float](b *binder[T], in *program.AvgPool) bound {
	p, input, output := bindPooling(b, in.Geom)
	if in.Adjoint {
		return &avgPool[T]{p, b.real(in.Out, input), b.real(in.X, output), true}
	}
	return &avgPool[T]{p, b.real(in.Out, output), b.real(in.X, input), false}
}

func (p *avgPool[T]) run(n int) {
	out, x := p.out.at(n), p.x.at(n)
	area := T(p.g.KH * p.g.KW)
	plane := p.g.InH * p.g.InW
	if p.adjoint {
		clear(out)
	}
	k := 0
	for c := range n * p.g.C {
		for i := range p.g.OutH {
			for j := range p.g.OutW {
				r0, r1, c0, c1 := p.window(i, j)
				if p.adjoint {
					v := x[k] / area
					for r := r0; r < r1; r++ {
						for at := r*p.g.InW + c0; at < r*p.g.InW+c1; at++ {
							out[c*plane+at] += v
						}
					}
				} else {
					sum := T(0)
					for r := r0; r < r1; r++ {
						for at := r*p.g.InW + c0; at < r*p.g.InW+c1; at++ {
							sum += x[c*plane+at]
						}
					}
					out[k] = sum / area
				}
				k++
			}
		}
	}
}
