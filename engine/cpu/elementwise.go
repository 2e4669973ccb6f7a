package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

// unary is an elementwise function of the general kind.
type unary[T Float] struct {
	m         *Machine[T]
	out, x, g operand[T]
	f         mapping[T]
	n         int // of the run in progress
}

func bindUnary[T Float](b *binder[T], in *program.Unary) bound {
	f, err := derivative[T](in.Func, in.Order, in.FromOutput)
	if err != nil {
		b.fail("%w", err)
	}
	u := unary[T]{m: b.m, out: b.real(in.Out, in.Size), x: b.real(in.X, in.Size), g: b.real(in.G, in.Size), f: f}
	a, ok := kernelActivation(in.Func)
	if !ok || in.Func == program.Identity {
		return &u
	}
	// The kernels take derivatives from the output where that is enough.
	fits := in.FromOutput == in.Func.FromOutput()
	switch {
	case in.Order == 0 && !in.FromOutput && !u.g.present():
		return &activate[T]{u, a}
	case in.Order == 1 && fits && u.g.present():
		return &activateGrad[T]{u, a}
	case in.Order == 2 && fits && u.g.present():
		return &activateCurve[T]{u, a}
	}
	return &u
}

func (u *unary[T]) run(n int) {
	u.n = n
	u.m.kernels.Pool().Run(pieces(len(u.out.at(n)), mathPiece), u)
}

// Do computes piece i.
func (u *unary[T]) Do(i, _ int) {
	u.compute(piece(i, len(u.out.at(u.n)), mathPiece))
}

// compute computes elements [lo,hi).
func (u *unary[T]) compute(lo, hi int) {
	out, x, g := u.out.at(u.n), u.x.at(u.n), u.g.at(u.n)
	if g != nil {
		g = g[lo:hi]
	}
	u.f(out[lo:hi], x[lo:hi], g)
}

// record makes the samples of a batch run apart: the size of a streamed
// elementwise function is that of a batch.
func (u *unary[T]) record(s *kernel.Stream[T], n int) {
	u.n = n
	s.Call(u, u.out.width, u.out.width*unaryWork)
}

func (u *unary[T]) settle(int) {}

// Samples computes samples [lo,hi).
func (u *unary[T]) Samples(lo, hi, _ int) { u.compute(lo*u.out.width, hi*u.out.width) }

// unaryWork is the multiply-adds that take as long as a function of an element.
const unaryWork = 64

// activate computes f(x), activateGrad g ⊙ f' and activateCurve g ⊙ f”.
type (
	activate[T Float] struct {
		unary[T]
		a kernel.Activation
	}
	activateGrad[T Float] struct {
		unary[T]
		a kernel.Activation
	}
	activateCurve[T Float] struct {
		unary[T]
		a kernel.Activation
	}
)

func (u *activate[T]) run(n int) { u.m.kernels.Activate(u.a, u.out.at(n), u.x.at(n)) }

func (u *activate[T]) record(s *kernel.Stream[T], n int) {
	s.Activate(u.a, u.out.width, u.out.at(n), u.x.at(n))
}

func (u *activateGrad[T]) run(n int) {
	u.m.kernels.ActGrad(u.a, u.out.at(n), u.g.at(n), u.x.at(n))
}

func (u *activateGrad[T]) record(s *kernel.Stream[T], n int) {
	s.ActGrad(u.a, u.out.width, u.out.at(n), u.g.at(n), u.x.at(n))
}

func (u *activateCurve[T]) run(n int) {
	u.m.kernels.ActCurve(u.a, u.out.at(n), u.g.at(n), u.x.at(n))
}

func (u *activateCurve[T]) record(s *kernel.Stream[T], n int) {
	s.ActCurve(u.a, u.out.width, u.out.at(n), u.g.at(n), u.x.at(n))
}
