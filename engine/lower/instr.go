package lower

import (
	"fmt"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

// instr emits the instructions that compute v.
func (e *emitter) instr(v *value) error {
	ph := e.phases[v]
	switch o := v.op.(type) {
	case inputLeaf, paramLeaf, vectorLeaf, constLeaf, op.Reshape:
	case fill:
		e.add(ph, &program.Fill{Out: e.buf(v), Value: o.value, Size: extent(v)})
	case op.MatMul:
		e.matMul(v, o)
	case op.Conv:
		e.conv(v, o)
	case op.MaxPool:
		e.add(ph, &program.MaxPool{Geom: poolGeom(o.Geom), Out: e.buf(v), Index: e.index(v, o.Geom), X: e.buf(v.args[0])})
	case poolAt:
		e.poolAt(v, o)
	case op.AvgPool:
		e.add(ph, &program.AvgPool{Geom: poolGeom(o.Geom), Out: e.buf(v), X: e.buf(v.args[0]), Adjoint: o.Dir == op.PoolScatter})
	case op.Unary:
		f, ok := funcOf(o.Fn)
		if !ok {
			return fmt.Errorf("no instruction computes %v", o)
		}
		e.add(ph, &program.Unary{Func: f, Order: o.Order, Out: e.buf(v), X: e.buf(v.args[0]), G: program.None, Size: extent(v)})
	case derivative:
		in := &program.Unary{Func: o.fn, Order: o.order, FromOutput: o.fromOutput, Out: e.buf(v), X: e.buf(v.args[0]), G: program.None, Size: extent(v)}
		if len(v.args) == 2 {
			in.G = e.buf(v.args[1])
		}
		e.add(ph, in)
	case op.Binary:
		e.binary(v, o)
	case addBias:
		e.addBias(v)
	case op.Scale:
		e.add(ph, &program.Scale{Out: e.buf(v), X: e.buf(v.args[0]), Factor: o.Factor, Size: extent(v)})
	case op.Sum:
		e.sum(v, o)
	case op.Broadcast:
		e.add(ph, e.reduce(v, v.args[0], v, o.Axes, true, o.Mean))
	case op.Transpose:
		x := v.args[0]
		e.add(ph, &program.Transpose{Out: e.buf(v), X: e.buf(x), Rows: x.shape[0], Cols: x.shape[1]})
	case op.Softmax:
		e.add(ph, e.softmax(v, false))
	case op.LogSoftmax:
		e.add(ph, e.softmax(v, true))
	case op.Loss:
		e.loss(v, o)
	default:
		return fmt.Errorf("no instruction computes %T %v", o, o)
	}
	return nil
}

func (e *emitter) matMul(v *value, o op.MatMul) {
	a, b := v.args[0], v.args[1]
	rows, cols, inner := axis(a, 0), axis(b, 1), axis(a, 1)
	if o.TransA {
		rows, inner = inner, rows
	}
	if o.TransB {
		cols = axis(b, 0)
	}
	in := &program.MatMul{
		Out: e.buf(v), A: e.buf(a), B: e.buf(b), M: rows, N: cols, K: inner,
		TransA: o.TransA, TransB: o.TransB, Accumulate: e.accumulate(v), Epilogue: e.epilogue(v),
	}
	e.add(e.phases[v], in)
	if q := e.ruled[v]; q != nil {
		e.add(program.Noise, &program.DenseNorms{Norms: q.Norms, A: in.A, B: in.B, ACols: a.shape[1], BCols: b.shape[1]})
		q.Factors = &program.Factors{A: in.A, B: in.B}
	}
}

func (e *emitter) conv(v *value, o op.Conv) {
	in := &program.Conv{
		Dir: program.ConvDir(o.Dir), Geom: convGeom(o.Geom), Out: e.buf(v), A: e.buf(v.args[0]), B: e.buf(v.args[1]),
		Accumulate: e.accumulate(v), Norms: program.None, Epilogue: e.epilogue(v),
	}
	e.add(e.phases[v], in)
	if q := e.ruled[v]; q != nil {
		in.Norms = q.Norms
		g := in.Geom
		rows := e.sampleRows(q, g.OutC, g.InC, g.KH, g.KW)
		e.add(program.Samples, &program.ConvSamples{Geom: g, Out: rows, A: in.A, B: in.B})
	}
}

// sampleRows makes the buffer for the rows of a parameter's sample gradients.
func (e *emitter) sampleRows(q *program.Parameter, shape ...int) program.BufferID {
	id := e.newBuffer(program.Buffer{Name: q.Name, Role: program.SampleRows, Batched: true, Shape: shape})
	q.Factors = &program.Factors{A: id, B: program.None}
	return id
}

func convGeom(c op.ConvGeom) program.ConvGeom {
	return program.ConvGeom{
		InC: c.InC, InH: c.InH, InW: c.InW, OutC: c.OutC, OutH: c.OutH(), OutW: c.OutW(), KH: c.KH, KW: c.KW,
		StrideH: c.StrideH, StrideW: c.StrideW, PadH: c.PadH, PadW: c.PadW, DilH: c.DilH, DilW: c.DilW,
	}
}

func poolGeom(g op.PoolGeom) program.PoolGeom {
	return program.PoolGeom{
		C: g.C, InH: g.InH, InW: g.InW, OutH: g.OutH(), OutW: g.OutW(), KH: g.KH, KW: g.KW,
		StrideH: g.StrideH, StrideW: g.StrideW, PadH: g.PadH, PadW: g.PadW,
	}
}

// index returns the buffer of argmax positions of the max pool v.
func (e *emitter) index(v *value, g op.PoolGeom) program.BufferID {
	id, ok := e.indices[v]
	if !ok {
		id = e.newBuffer(program.Buffer{Name: v.node + ".index", Type: program.Index, Batched: true, Shape: []int{g.C, g.OutH(), g.OutW()}})
		e.indices[v] = id
	}
	return id
}

func (e *emitter) poolAt(v *value, o poolAt) {
	index := e.index(v.args[0], o.geom)
	x := e.buf(v.args[1])
	if !o.scatter {
		e.add(e.phases[v], &program.PoolGather{Geom: poolGeom(o.geom), Out: e.buf(v), Index: index, X: x})
		return
	}
	in := &program.PoolScatter{Geom: poolGeom(o.geom), Out: e.buf(v), Index: index, X: x, Mask: program.None}
	if v.mask != nil {
		in.Mask, in.MaskFunc = e.buf(v.mask), v.maskFn
	}
	e.add(e.phases[v], in)
}

func (e *emitter) binary(v *value, o op.Binary) {
	kinds := map[op.BinaryKind]program.BinaryKind{op.Add: program.Add, op.Sub: program.Sub, op.Mul: program.Mul, op.Div: program.Div}
	e.add(e.phases[v], &program.Binary{Kind: kinds[o.Kind], Out: e.buf(v), A: e.buf(v.args[0]), B: e.buf(v.args[1]), Size: extent(v)})
}

func (e *emitter) addBias(v *value) {
	inner := 1
	for _, d := range v.shape[2:] {
		inner *= d
	}
	e.add(e.phases[v], &program.AddBias{
		Out: e.buf(v), X: e.buf(v.args[0]), B: e.buf(v.args[1]), Outer: axis(v, 0), Channels: v.shape[1], Inner: inner, Func: v.fn,
	})
}

func (e *emitter) sum(v *value, o op.Sum) {
	x := v.args[0]
	channels, inner, ok := biasSum(v, o)
	if !ok {
		e.add(e.phases[v], e.reduce(v, x, x, o.Axes, false, o.Mean))
		return
	}
	e.add(e.phases[v], &program.SumBias{Out: e.buf(v), X: e.buf(x), Outer: axis(x, 0), Channels: channels, Inner: inner})
	q := e.ruled[v]
	if q == nil {
		return
	}
	e.add(program.Noise, &program.BiasNorms{Norms: q.Norms, X: e.buf(x), Channels: channels, Inner: inner})
	if inner == 1 {
		q.Factors = &program.Factors{A: e.buf(x), B: program.None}
		return
	}
	rows := e.sampleRows(q, channels)
	e.add(program.Samples, &program.BiasSamples{Out: rows, X: e.buf(x), Channels: channels, Inner: inner})
}

// reduce sums x over axes of large, or repeats it along them.
func (e *emitter) reduce(v, x, large *value, axes op.Axes, broadcast, mean bool) *program.Reduce {
	in := &program.Reduce{Out: e.buf(v), X: e.buf(x), Broadcast: broadcast, Mean: mean}
	for k := range large.shape {
		in.Dims = append(in.Dims, axis(large, k))
		in.Axes = append(in.Axes, axes.Has(k))
	}
	return in
}

func (e *emitter) softmax(v *value, log bool) *program.Softmax {
	return &program.Softmax{Out: e.buf(v), X: e.buf(v.args[0]), Rows: axis(v, 0), Cols: v.shape[1], Log: log}
}

// loss emits the loss or one of its derivatives. The loss itself is a float64
// scalar; where other values read it, it is converted into their type too.
func (e *emitter) loss(v *value, o op.Loss) {
	kind := program.CrossEntropy
	if o.Kind == op.MSE {
		kind = program.MSE
	}
	z, y := e.buf(v.args[0]), e.buf(v.args[1])
	classes := v.args[0].shape[1]
	ph := e.phases[v]
	if o.Order == 0 {
		out := e.newBuffer(program.Buffer{Name: "loss", Role: program.Scalar, Type: program.Double})
		e.add(ph, &program.Loss{Kind: kind, Out: out, Z: z, Y: y, Classes: classes})
		if v != e.lossRoot || v.users > 1 {
			e.add(ph, &program.Result{Out: e.buf(v), X: out})
		}
		return
	}
	g := program.None
	if c, ok := v.args[2].op.(constLeaf); !ok || c.value != 1 {
		g = e.buf(v.args[2])
	}
	if o.Order == 1 {
		e.add(ph, &program.LossGrad{Kind: kind, Out: e.buf(v), Z: z, Y: y, G: g, Classes: classes})
		return
	}
	e.add(ph, &program.LossHess{Kind: kind, Out: e.buf(v), Z: z, U: y, G: g, Classes: classes})
}
