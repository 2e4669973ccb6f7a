package cpu

import (
	"sgflow/engine/cpu/kernel"
	"sgflow/engine/program"
)

type matMul[T Float] struct {
	m             *Machine[T]
	out, a, b     operand[T]
	rows, cols, k program.Extent
	epilogue      epilogue[T]
	gemm          kernel.Gemm[T] // all that does not depend on the run
}

func bindMatMul[T Float](b *binder[T], in *program.MatMul) bound {
	size := b.extent(in.M, in.N)
	r := &matMul[T]{
		m:    b.m,
		out:  b.real(in.Out, size),
		a:    b.real(in.A, b.extent(in.M, in.K)),
		b:    b.real(in.B, b.extent(in.K, in.N)),
		rows: in.M, cols: in.N, k: in.K,
		epilogue: bindEpilogue(b, in.Epilogue, size, in.N),
	}
	r.gemm = kernel.Gemm[T]{
		TransA: in.TransA, TransB: in.TransB, Accumulate: in.Accumulate,
		Act: r.epilogue.f, Mask: r.epilogue.df,
	}
	return r
}

func (r *matMul[T]) run(n int) {
	g := &r.gemm
	g.M, g.N, g.K = r.rows.At(n), r.cols.At(n), r.k.At(n)
	g.A, g.B, g.C = r.a.at(n), r.b.at(n), r.out.at(n)
	g.Bias, g.Y = r.epilogue.bias.at(n), r.epilogue.mask.at(n)
	r.m.kernels.Gemm(g)
}

// epilogue is a bound program.Epilogue.
type epilogue[T Float] struct {
	bias operand[T]
	f    kernel.Activation
	mask operand[T]
	df   kernel.Activation // whose outputs are in mask
}

// bindEpilogue resolves e for a result of the given size, with one bias for
// each of channels.
func bindEpilogue[T Float](b *binder[T], e program.Epilogue, size, channels program.Extent) epilogue[T] {
	r := epilogue[T]{bias: b.real(e.Bias, channels), f: activation(b, e.Func), mask: b.real(e.Mask, size)}
	if e.Mask != program.None {
		r.df = maskOf(b, e.MaskFunc)
	}
	return r
}

// activation returns the kernel's name of f.
func activation[T Float](b *binder[T], f program.Func) kernel.Activation {
	a, ok := kernelActivation(f)
	if !ok {
		b.fail("%s is no activation", f)
	}
	return a
}

// maskOf returns the kernel's name of f, whose derivative is to be taken from
// its output.
func maskOf[T Float](b *binder[T], f program.Func) kernel.Activation {
	if !f.FromOutput() {
		b.fail("the derivative of %s cannot be had from its output", f)
	}
	return activation(b, f)
}

func kernelActivation(f program.Func) (a kernel.Activation, ok bool) {
	switch f {
	case program.Identity:
		return kernel.Identity, true
	case program.ReLU:
		return kernel.ReLU, true
	case program.Tanh:
		return kernel.Tanh, true
	case program.Sigmoid:
		return kernel.Sigmoid, true
	case program.GELU:
		return kernel.GELU, true
	}
	return 0, false
}
