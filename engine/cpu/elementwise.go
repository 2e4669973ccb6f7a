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
	out, x, g := u.out.at(u.n), u.x.at(u.n), u.g.at(u.n)
	lo, hi := piece(i, len(out), mathPiece)
	if g != nil {
		g = g[lo:hi]
	}
	u.f(out[lo:hi], x[lo:hi], g)
}

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

func (u *activateGrad[T]) run(n int) {
	u.m.kernels.ActGrad(u.a, u.out.at(n), u.g.at(n), u.x.at(n))
}

func (u *activateCurve[T]) run(n int) {
	u.m.kernels.ActCurve(u.a, u.out.at(n), u.g.at(n), u.x.at(n))
}
