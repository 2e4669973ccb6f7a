package cpu

import "sgflow/engine/program"

type conv[T Float] struct {
	m          *Machine[T]
	dir        program.ConvDir
	g          program.ConvGeom
	out, a, b  operand[T]
	accumulate bool
	epilogue   epilogue[T]
	norms      operand[float64]
	dw         []T // weight gradient of one sample
}

func bindConv[T Float](b *binder[T], in *program.Conv) bound {
	g := in.Geom
	x, y := each(g.InC*g.InH*g.InW), each(g.OutC*g.OutH*g.OutW)
	w := whole(g.OutC * g.InC * g.KH * g.KW)
	checkWindow(b, g.InH, g.OutH, g.KH, g.StrideH, g.PadH, g.DilH)
	checkWindow(b, g.InW, g.OutW, g.KW, g.StrideW, g.PadW, g.DilW)
	c := &conv[T]{m: b.m, dir: in.Dir, g: g, accumulate: in.Accumulate}
	channels, size := g.OutC, y
	switch in.Dir {
	case program.ConvForward:
		c.out, c.a, c.b = b.real(in.Out, y), b.real(in.A, x), b.real(in.B, w)
	case program.ConvInput:
		c.out, c.a, c.b = b.real(in.Out, x), b.real(in.A, y), b.real(in.B, w)
		channels, size = g.InC, x
	case program.ConvWeight:
		c.out, c.a, c.b = b.real(in.Out, w), b.real(in.A, x), b.real(in.B, y)
		c.norms = b.double(in.Norms, each(1))
		c.dw = make([]T, w.N)
		if in.Epilogue != program.NoEpilogue {
			b.fail("a weight gradient takes no epilogue")
		}
		return c
	default:
		b.fail("no rule for convolution direction %d", in.Dir)
	}
	c.epilogue = bindEpilogue(b, in.Epilogue, size)
	c.epilogue.bias = b.real(in.Bias, whole(channels))
	return c
}

// checkWindow rejects windows that reach beyond the padded input.
func checkWindow[T Float](b *binder[T], in, out, kernel, stride, pad, dilation int) {
	if kernel < 1 || stride < 1 || pad < 0 || dilation < 1 || out < 1 || (out-1)*stride+(kernel-1)*dilation+1 > in+2*pad {
		b.fail("%d windows of %d (stride %d, dilation %d) do not fit an input of %d with padding %d", out, kernel, stride, dilation, in, pad)
	}
}

func (c *conv[T]) run(n int) {
	g := &c.g
	out, a, b := c.out.at(n), c.a.at(n), c.b.at(n)
	if !c.accumulate {
		clear(out)
	}
	x, y := g.InC*g.InH*g.InW, g.OutC*g.OutH*g.OutW
	norms := c.norms.at(n)
	for i := range n {
		switch c.dir {
		case program.ConvForward:
			convForward(g, out[i*y:(i+1)*y], a[i*x:(i+1)*x], b)
		case program.ConvInput:
			convInput(g, out[i*x:(i+1)*x], a[i*y:(i+1)*y], b)
		case program.ConvWeight:
			clear(c.dw)
			convWeight(g, c.dw, a[i*x:(i+1)*x], b[i*y:(i+1)*y])
			sum := 0.0
			for k, v := range c.dw {
				out[k] += v
				sum += float64(v) * float64(v)
			}
			if norms != nil && c.m.noise {
				norms[i] += float64(n) * float64(n) * sum
			}
		}
	}
	switch c.dir {
	case program.ConvForward:
		c.epilogue.apply(out, n, g.OutH*g.OutW, n)
	case program.ConvInput:
		c.epilogue.apply(out, n, g.InH*g.InW, n)
	}
}

// windowSpan returns the half-open range of outputs whose tap at the given
// place of the window (offset = tap·dilation − padding) lies in 0..in−1.
func windowSpan(in, out, stride, offset int) (from, to int) {
	if offset < 0 {
		from = (-offset + stride - 1) / stride
	}
	if in-1 < offset {
		return from, from
	}
	return from, min(out, (in-1-offset)/stride+1)
}

// taps calls f for every weight of every window: w, the weight's index, and
// runs of outputs y, y+1, … (count of them) with inputs x, x+StrideW, ….
func taps(g *program.ConvGeom, f func(w, x, y, count int)) {
	for o := range g.OutC {
		for c := range g.InC {
			for r := range g.KH {
				top := r*g.DilH - g.PadH
				p0, p1 := windowSpan(g.InH, g.OutH, g.StrideH, top)
				for s := range g.KW {
					left := s*g.DilW - g.PadW
					q0, q1 := windowSpan(g.InW, g.OutW, g.StrideW, left)
					if q0 >= q1 {
						continue
					}
					w := ((o*g.InC+c)*g.KH+r)*g.KW + s
					for p := p0; p < p1; p++ {
						x := (c*g.InH+p*g.StrideH+top)*g.InW + q0*g.StrideW + left
						f(w, x, (o*g.OutH+p)*g.OutW+q0, q1-q0)
					}
				}
			}
		}
	}
}

// convForward adds to y the convolution of one sample x with w.
func convForward[T Float](g *program.ConvGeom, y, x, w []T) {
	taps(g, func(k, i, o, count int) {
		v := w[k]
		for j := range count {
			y[o+j] += v * x[i+j*g.StrideW]
		}
	})
}

// convInput adds to dx the adjoint of convForward in x, applied to dy.
func convInput[T Float](g *program.ConvGeom, dx, dy, w []T) {
	taps(g, func(k, i, o, count int) {
		v := w[k]
		for j := range count {
			dx[i+j*g.StrideW] += v * dy[o+j]
		}
	})
}

// convWeight adds to dw the adjoint of convForward in w, applied to dy.
func convWeight[T Float](g *program.ConvGeom, dw, x, dy []T) {
	taps(g, func(k, i, o, count int) {
		sum := T(0)
		for j := range count {
			sum += x[i+j*g.StrideW] * dy[o+j]
		}
		dw[k] += sum
	})
}
