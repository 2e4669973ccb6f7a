package cpu

import "sgflow/engine/program"

type matMul[T Float] struct {
	out, a, b      operand[T]
	m, n, k        program.Extent
	transA, transB bool
	accumulate     bool
	epilogue       epilogue[T]
}

func bindMatMul[T Float](b *binder[T], in *program.MatMul) bound {
	size := b.extent(in.M, in.N)
	r := &matMul[T]{
		out: b.real(in.Out, size),
		a:   b.real(in.A, b.extent(in.M, in.K)),
		b:   b.real(in.B, b.extent(in.K, in.N)),
		m:   in.M, n: in.N, k: in.K,
		transA: in.TransA, transB: in.TransB,
		accumulate: in.Accumulate,
		epilogue:   bindEpilogue(b, in.Epilogue, size),
	}
	r.epilogue.bias = b.real(in.Bias, in.N)
	return r
}

func (r *matMul[T]) run(n int) {
	out, a, b := r.out.at(n), r.a.at(n), r.b.at(n)
	rows, cols, inner := r.m.At(n), r.n.At(n), r.k.At(n)
	if !r.accumulate {
		clear(out)
	}
	aRow, aCol := inner, 1
	if r.transA {
		aRow, aCol = 1, rows
	}
	for i := range rows {
		c := out[i*cols : (i+1)*cols]
		if r.transB {
			for j := range c {
				sum := T(0)
				for k, v := range b[j*inner : (j+1)*inner] {
					sum += a[i*aRow+k*aCol] * v
				}
				c[j] += sum
			}
			continue
		}
		for k := range inner {
			v := a[i*aRow+k*aCol]
			for j, w := range b[k*cols : (k+1)*cols] {
				c[j] += v * w
			}
		}
	}
	r.epilogue.apply(out, rows, 1, n)
}

// epilogue is a bound program.Epilogue.
type epilogue[T Float] struct {
	bias operand[T]
	f    mapping[T] // nil for identity
	mask operand[T]
	df   mapping[T] // derivative from the outputs in mask
}

// bindEpilogue resolves all of e but the bias.
func bindEpilogue[T Float](b *binder[T], e program.Epilogue, size program.Extent) epilogue[T] {
	r := epilogue[T]{mask: b.real(e.Mask, size), f: bindActivation(b, e.Func)}
	if e.Mask != program.None {
		r.df = bindMask(b, e.MaskFunc)
	}
	return r
}

// bindMask returns the product with f' taken from outputs of f.
func bindMask[T Float](b *binder[T], f program.Func) mapping[T] {
	m, err := derivative[T](f, 1, true)
	if err != nil {
		b.fail("%w", err)
	}
	return m
}

// apply works on c, outer×channels×inner, in place.
func (e *epilogue[T]) apply(c []T, outer, inner, n int) {
	if e.bias.present() {
		addChannels(c, c, e.bias.at(n), outer, inner)
	}
	if e.f != nil {
		e.f(c, c, nil)
	}
	if e.mask.present() {
		e.df(c, e.mask.at(n), c)
	}
}
