package cpu

import "sgflow/engine/program"

// addBias computes f(x[o,c,i] + b[c]).
type addBias[T Float] struct {
	out, x, b       operand[T]
	outer           program.Extent
	channels, inner int
	f               mapping[T] // nil for identity
}

func bindAddBias[T Float](b *binder[T], in *program.AddBias) bound {
	size := b.extent(in.Outer, whole(in.Channels*in.Inner))
	return &addBias[T]{
		out: b.real(in.Out, size), x: b.real(in.X, size), b: b.real(in.B, whole(in.Channels)),
		outer: in.Outer, channels: in.Channels, inner: in.Inner,
		f: bindActivation(b, in.Func),
	}
}

// bindActivation returns f as a mapping, nil for the identity.
func bindActivation[T Float](b *binder[T], f program.Func) mapping[T] {
	if f == program.Identity {
		return nil
	}
	m, err := derivative[T](f, 0, false)
	if err != nil {
		b.fail("%w", err)
	}
	return m
}

func (a *addBias[T]) run(n int) {
	out, x, bias := a.out.at(n), a.x.at(n), a.b.at(n)
	addChannels(out, x, bias, a.outer.At(n), a.inner)
	if a.f != nil {
		a.f(out, out, nil)
	}
}

// addChannels computes out = x + bias, x being outer×len(bias)×inner.
func addChannels[T Float](out, x, bias []T, outer, inner int) {
	k := 0
	for range outer {
		for _, v := range bias {
			for range inner {
				out[k] = x[k] + v
				k++
			}
		}
	}
}

// sumBias computes out[c] (+)= Σ over o and i of x[o,c,i].
type sumBias[T Float] struct {
	out, x          operand[T]
	outer           program.Extent
	channels, inner int
	accumulate      bool
}

func bindSumBias[T Float](b *binder[T], in *program.SumBias) bound {
	return &sumBias[T]{
		out: b.real(in.Out, whole(in.Channels)), x: b.real(in.X, b.extent(in.Outer, whole(in.Channels*in.Inner))),
		outer: in.Outer, channels: in.Channels, inner: in.Inner, accumulate: in.Accumulate,
	}
}

func (s *sumBias[T]) run(n int) {
	out, x := s.out.at(n), s.x.at(n)
	if !s.accumulate {
		clear(out)
	}
	outer := s.outer.At(n)
	for c := range out {
		sum := 0.0
		for o := range outer {
			k := (o*s.channels + c) * s.inner
			for _, v := range x[k : k+s.inner] {
				sum += float64(v)
			}
		}
		out[c] += T(sum)
	}
}
