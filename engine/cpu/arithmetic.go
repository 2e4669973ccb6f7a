package cpu

import "sgflow/engine/program"

type binary[T Float] struct {
	m         *Machine[T]
	kind      program.BinaryKind
	out, a, b operand[T]
}

func bindBinary[T Float](b *binder[T], in *program.Binary) bound {
	if in.Kind > program.Div {
		b.fail("no rule for binary function %d", in.Kind)
	}
	return &binary[T]{m: b.m, kind: in.Kind, out: b.real(in.Out, in.Size), a: b.real(in.A, in.Size), b: b.real(in.B, in.Size)}
}

func (r *binary[T]) run(n int) {
	k, out, a, b := r.m.kernels, r.out.at(n), r.a.at(n), r.b.at(n)
	switch r.kind {
	case program.Add:
		k.Add(out, a, b)
	case program.Sub:
		k.Sub(out, a, b)
	case program.Mul:
		k.Mul(out, a, b)
	case program.Div:
		for i, v := range a {
			out[i] = v / b[i]
		}
	}
}

type scale[T Float] struct {
	m      *Machine[T]
	out, x operand[T]
	factor T
}

func bindScale[T Float](b *binder[T], in *program.Scale) bound {
	return &scale[T]{m: b.m, out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size), factor: T(in.Factor)}
}

func (s *scale[T]) run(n int) { s.m.kernels.Scale(s.out.at(n), s.factor, s.x.at(n)) }

type copying[T Float] struct {
	m      *Machine[T]
	out, x operand[T]
	n      int // of the run in progress
}

func bindCopy[T Float](b *binder[T], in *program.Copy) bound {
	return &copying[T]{m: b.m, out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size)}
}

func (c *copying[T]) run(n int) {
	c.n = n
	c.m.kernels.Pool().Run(pieces(len(c.out.at(n)), movePiece), c)
}

// Do copies piece i.
func (c *copying[T]) Do(i, _ int) {
	out, x := c.out.at(c.n), c.x.at(c.n)
	lo, hi := piece(i, len(out), movePiece)
	copy(out[lo:hi], x[lo:hi])
}

type fill[T Float] struct {
	out   operand[T]
	value T
}

func bindFill[T Float](b *binder[T], in *program.Fill) bound {
	return &fill[T]{out: b.real(in.Out, in.Size), value: T(in.Value)}
}

func (f *fill[T]) run(n int) {
	out := f.out.at(n)
	for i := range out {
		out[i] = f.value
	}
}

// result stores a single value as the run's type or as a float64 scalar.
type result[T Float] struct {
	out, x             operand[T]
	outScalar, xScalar operand[float64]
}

func bindResult[T Float](b *binder[T], in *program.Result) bound {
	r := &result[T]{}
	if b.p.Buffer(in.Out).Type == program.Double {
		r.outScalar = b.double(in.Out, whole(1))
	} else {
		r.out = b.real(in.Out, whole(1))
	}
	if b.p.Buffer(in.X).Type == program.Double {
		r.xScalar = b.double(in.X, whole(1))
	} else {
		r.x = b.real(in.X, whole(1))
	}
	return r
}

func (r *result[T]) run(n int) {
	var v float64
	if r.x.present() {
		v = float64(r.x.at(n)[0])
	} else {
		v = r.xScalar.at(n)[0]
	}
	if r.out.present() {
		r.out.at(n)[0] = T(v)
	} else {
		r.outScalar.at(n)[0] = v
	}
}
