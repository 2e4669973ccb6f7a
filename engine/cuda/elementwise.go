//go:build gpu && cgo && linux && amd64

package cuda

import (
	"sgflow/engine/cuda/driver"
	"sgflow/engine/program"
)

// elementwise computes each element of out by itself: kernel gets the addresses,
// the size and its own arguments.
type elementwise struct {
	m         *Machine
	what      string
	kernel    driver.Kernel
	addresses []driver.Arg
	size      program.Extent
	own       []driver.Arg
}

func (e *elementwise) run(n int) {
	size := e.size.At(n)
	if size == 0 {
		return
	}
	args := append(append(e.addresses[:len(e.addresses):len(e.addresses)], driver.Int(size)), e.own...)
	e.m.launch(e.what, e.kernel, elements(size), args...)
}

// elementwise binds an instruction whose operands all have the given size.
func (b *binder) elementwise(name string, k driver.Kernel, size program.Extent, operands []program.BufferID, own ...driver.Arg) bound {
	e := &elementwise{m: b.m, what: b.what(name), kernel: k, size: size, own: own}
	for _, id := range operands {
		e.addresses = append(e.addresses, driver.Ptr(b.real(id, size).p))
	}
	return e
}

func bindUnary(b *binder, in *program.Unary) bound {
	switch {
	case in.Func > program.Neg:
		b.fail("no rule for function %d", in.Func)
	case in.Order < 0 || in.Order > 2:
		b.fail("no rule for derivative %d of %s", in.Order, in.Func)
	case in.FromOutput && !in.Func.FromOutput():
		b.fail("the derivative of %s cannot be had from its output", in.Func)
	}
	return b.elementwise("unary", b.m.kernels.unary, in.Size, []program.BufferID{in.Out, in.X, in.G},
		driver.Int(int(in.Func)), driver.Int(in.Order), flag(in.FromOutput))
}

func bindBinary(b *binder, in *program.Binary) bound {
	if in.Kind > program.Div {
		b.fail("no rule for binary function %d", in.Kind)
	}
	return b.elementwise("binary", b.m.kernels.binary, in.Size, []program.BufferID{in.Out, in.A, in.B}, driver.Int(int(in.Kind)))
}

func bindScale(b *binder, in *program.Scale) bound {
	return b.elementwise("scale", b.m.kernels.scale, in.Size, []program.BufferID{in.Out, in.X}, driver.Float32(float32(in.Factor)))
}

func bindFill(b *binder, in *program.Fill) bound {
	return b.elementwise("fill", b.m.kernels.fill, in.Size, []program.BufferID{in.Out}, driver.Float32(float32(in.Value)))
}

// copying is a copy by the driver.
type copying struct {
	m      *Machine
	what   string
	out, x operand
}

func bindCopy(b *binder, in *program.Copy) bound {
	return &copying{b.m, b.what("copy"), b.real(in.Out, in.Size), b.real(in.X, in.Size)}
}

func (c *copying) run(n int) { c.m.copy(c.what, c.out.p, c.x.p, c.out.size(n)*real) }

func bindTranspose(b *binder, in *program.Transpose) bound {
	return b.elementwise("transpose", b.m.kernels.transpose, whole(in.Rows*in.Cols), []program.BufferID{in.Out, in.X},
		driver.Int(in.Rows), driver.Int(in.Cols))
}

// addBias computes f(x[o,c,i] + b[c]).
func bindAddBias(b *binder, in *program.AddBias) bound {
	size := b.extent(in.Outer, whole(in.Channels*in.Inner))
	e := &elementwise{m: b.m, what: b.what("add_bias"), kernel: b.m.kernels.addBias, size: size}
	e.addresses = []driver.Arg{driver.Ptr(b.real(in.Out, size).p), driver.Ptr(b.real(in.X, size).p), driver.Ptr(b.real(in.B, whole(in.Channels)).p)}
	e.own = []driver.Arg{driver.Int(in.Channels), driver.Int(in.Inner), driver.Int(int(b.activation(in.Func)))}
	return e
}

// result moves one number between float32 and float64.
type result struct {
	m                  *Machine
	what               string
	out, x             operand
	outDouble, xDouble bool
}

func bindResult(b *binder, in *program.Result) bound {
	r := &result{m: b.m, what: b.what("result")}
	r.out, r.outDouble = b.either(in.Out)
	r.x, r.xDouble = b.either(in.X)
	return r
}

// either resolves a single number of float32 or float64.
func (b *binder) either(id program.BufferID) (o operand, double bool) {
	if b.p.Buffer(id).Type == program.Double {
		return b.double(id, whole(1)), true
	}
	return b.real(id, whole(1)), false
}

func (r *result) run(int) {
	r.m.launch(r.what, r.m.kernels.result, elements(1), driver.Ptr(r.out.p), driver.Ptr(r.x.p), flag(r.outDouble), flag(r.xDouble))
}
