package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// addBias computes f(x[o,c,i] + b[c]).
type addBias[T Float] struct {
	m         *Machine[T]
	out, x, b operand[T]
	outer     program.Extent
	inner     int
	f         kernel.Activation

	n, rows int // of the run in progress: batch size, and what of outer makes a piece
}

func bindAddBias[T Float](b *binder[T], in *program.AddBias) bound {
	size := b.extent(in.Outer, whole(in.Channels*in.Inner))
	return &addBias[T]{
		m: b.m, out: b.real(in.Out, size), x: b.real(in.X, size), b: b.real(in.B, whole(in.Channels)),
		outer: in.Outer, inner: in.Inner, f: activation(b, in.Func),
	}
}

func (a *addBias[T]) run(n int) {
	out, outer := a.out.at(n), a.outer.At(n)
	a.n, a.rows = n, max(1, movePiece*outer/max(1, len(out)))
	a.m.kernels.Pool().Run(pieces(outer, a.rows), a)
	if a.f != kernel.Identity {
		a.m.kernels.Activate(a.f, out, out)
	}
}

// Do adds the bias to piece i.
func (a *addBias[T]) Do(i, _ int) {
	bias := a.b.at(a.n)
	width := len(bias) * a.inner
	lo, hi := piece(i, a.outer.At(a.n), a.rows)
	addChannels(a.out.at(a.n)[lo*width:hi*width], a.x.at(a.n), bias, lo, a.inner)
}

// addChannels computes out = x + bias for rows of len(bias)×inner elements;
// out starts at the given row of x.
func addChannels[T Float](out, x, bias []T, row, inner int) {
	x = x[row*len(bias)*inner:][:len(out)]
	for k := 0; k < len(out); {
		for _, v := range bias {
			for range inner {
				out[k] = x[k] + v
				k++
			}
		}
	}
}

// bindSumBias binds out[c] (+)= Σ over o and i of x[o,c,i].
func bindSumBias[T Float](b *binder[T], in *program.SumBias) bound {
	out := b.real(in.Out, whole(in.Channels))
	x := b.real(in.X, b.extent(in.Outer, whole(in.Channels*in.Inner)))
	if in.Inner == 1 {
		return &sumColumns[T]{b.m, out, x, in.Outer, in.Channels, in.Accumulate}
	}
	s := &sumPlanes[T]{m: b.m, out: out, x: x, outer: in.Outer, channels: in.Channels, inner: in.Inner, accumulate: in.Accumulate}
	if in.Outer == each(1) && b.phase == program.Gradient && b.final(in.X) {
		b.biasSums[in.X] = s
	}
	return s
}

// sumColumns computes out[c] (+)= Σ over o of x[o,c].
type sumColumns[T Float] struct {
	m          *Machine[T]
	out, x     operand[T]
	outer      program.Extent
	channels   int
	accumulate bool
}

func (s *sumColumns[T]) run(n int) {
	s.m.kernels.ColSum(s.out.at(n), s.x.at(n), s.outer.At(n), s.channels, 0, s.accumulate)
}

// sumPlanes computes out[c] (+)= Σ over o and i of x[o,c,i].
type sumPlanes[T Float] struct {
	m               *Machine[T]
	out, x          operand[T]
	outer           program.Extent
	channels, inner int
	accumulate      bool
	perSample       []float64 // Σ_c (Σ_i x[o,c,i])² of every o, where it is asked for
}

func (s *sumPlanes[T]) run(n int) {
	k := s.m.kernels.Stream(s.outer.At(n))
	s.record(k, n)
	k.Run()
}

func (s *sumPlanes[T]) record(k *kernel.Stream[T], n int) {
	var perSample []float64
	if s.m.noise && s.perSample != nil {
		perSample = s.perSample[:n]
	}
	k.ChannelSum(s.out.at(n), s.x.at(n), s.channels, s.inner, s.accumulate, perSample)
}

func (s *sumPlanes[T]) settle(int) {}
