package cpu

import "sgflow/engine/program"

type unary[T Float] struct {
	out, x, g operand[T]
	f         mapping[T]
}

func bindUnary[T Float](b *binder[T], in *program.Unary) bound {
	f, err := derivative[T](in.Func, in.Order, in.FromOutput)
	if err != nil {
		b.fail("%w", err)
	}
	return &unary[T]{out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size), g: b.real(in.G, in.Size), f: f}
}

func (u *unary[T]) run(n int) { u.f(u.out.at(n), u.x.at(n), u.g.at(n)) }

type binary[T Float] struct {
	kind program.BinaryKind
	out  operand[T]
	a, b operand[T]
}

func bindBinary[T Float](b *binder[T], in *program.Binary) bound {
	if in.Kind > program.Div {
		b.fail("no rule for binary function %d", in.Kind)
	}
	return &binary[T]{kind: in.Kind, out: b.real(in.Out, in.Size), a: b.real(in.A, in.Size), b: b.real(in.B, in.Size)}
}

func (r *binary[T]) run(n int) {
	out := r.out.at(n)
	a, b := r.a.at(n)[:len(out)], r.b.at(n)[:len(out)]
	switch r.kind {
	case program.Add:
		for i := range out {
			out[i] = a[i] + b[i]
		}
	case program.Sub:
		for i := range out {
			out[i] = a[i] - b[i]
		}
	case program.Mul:
		for i := range out {
			out[i] = a[i] * b[i]
		}
	case program.Div:
		for i := range out {
			out[i] = a[i] / b[i]
		}
	}
}

type scale[T Float] struct {
	out, x operand[T]
	factor T
}

func bindScale[T Float](b *binder[T], in *program.Scale) bound {
	return &scale[T]{out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size), factor: T(in.Factor)}
}

func (s *scale[T]) run(n int) {
	out := s.out.at(n)
	for i, v := range s.x.at(n) {
		out[i] = s.factor * v
	}
}

type copying[T Float] struct{ out, x operand[T] }

func bindCopy[T Float](b *binder[T], in *program.Copy) bound {
	return &copying[T]{out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size)}
}

func (c *copying[T]) run(n int) { copy(c.out.at(n), c.x.at(n)) }

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
