package cpu

import (
	"testing"

	"sgflow/engine/program"
)

func TestMatMulInEveryOrientationAndExtent(t *testing.T) {
	extents := [][3]program.Extent{
		{each(1), whole(7), whole(5)},   // activations × weights
		{each(1), whole(33), whole(70)}, // wider than a block
		{each(3), whole(17), whole(1)},
		{whole(13), whole(9), each(1)}, // weight gradient
		{whole(7), each(1), whole(4)},  // transposed product
		{whole(1), whole(1), whole(37)},
	}
	for _, e := range extents {
		for mode := range 8 {
			b := newBuilder()
			sum := &binder[float64]{}
			in := &program.MatMul{M: e[0], N: e[1], K: e[2], TransA: mode&1 != 0, TransB: mode&2 != 0, Accumulate: mode&4 != 0, Epilogue: program.NoEpilogue}
			in.A, in.B = b.input(sum.extent(e[0], e[2])), b.input(sum.extent(e[2], e[1]))
			size := sum.extent(e[0], e[1])
			in.Out = b.temp(size)
			b.add(program.Forward, &program.Copy{Out: in.Out, X: b.input(size), Size: size}, in)
			checkForward(t, &b.Program, ids(in.Out), nil)
		}
	}
}

// epilogues calls f with every combination that programs use; operand makes
// the bias and mask.
func epilogues(f func(mask bool, e program.Epilogue)) {
	for _, bias := range []program.BufferID{program.None, 0} {
		for _, fn := range []program.Func{program.Identity, program.ReLU, program.Tanh, program.Sigmoid, program.GELU} {
			f(false, program.Epilogue{Bias: bias, Func: fn, Mask: program.None})
			if fn.FromOutput() {
				f(true, program.Epilogue{Bias: bias, MaskFunc: fn})
			}
		}
	}
}

func TestMatMulEpilogues(t *testing.T) {
	for _, accumulate := range []bool{false, true} {
		epilogues(func(mask bool, e program.Epilogue) {
			b := newBuilder()
			size := each(19)
			in := &program.MatMul{A: b.input(each(6)), B: b.input(whole(6 * 19)), Out: b.temp(size), M: each(1), N: whole(19), K: whole(6), Accumulate: accumulate, Epilogue: e}
			if in.Bias != program.None {
				in.Bias = b.input(whole(19))
			}
			in.Mask = program.None
			if mask {
				in.Mask = b.input(size)
			}
			b.add(program.Forward, &program.Copy{Out: in.Out, X: b.input(size), Size: size}, in)
			checkForward(t, &b.Program, ids(in.Out), outputsOf(in.Mask, in.MaskFunc))
		})
	}
}

// outputsOf makes the input id hold values that f can have as outputs.
func outputsOf(id program.BufferID, f program.Func) func(program.BufferID, []float64) {
	return func(in program.BufferID, v []float64) {
		if in != id {
			return
		}
		for i := range v {
			switch f {
			case program.ReLU:
				v[i] = max(0, v[i])
			case program.Tanh:
				v[i] = float64(float32(v[i] * 0.99))
			case program.Sigmoid:
				v[i] = float64(float32(0.5 + v[i]*0.49))
			}
		}
	}
}

// geometries are convolutions with odd sizes, strides, padding and dilation.
func geometries() []program.ConvGeom {
	make := func(inC, inH, inW, outC, kh, kw, sh, sw, ph, pw, dh, dw int) program.ConvGeom {
		return program.ConvGeom{InC: inC, InH: inH, InW: inW, OutC: outC, KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, DilH: dh, DilW: dw,
			OutH: (inH+2*ph-(kh-1)*dh-1)/sh + 1, OutW: (inW+2*pw-(kw-1)*dw-1)/sw + 1}
	}
	return []program.ConvGeom{
		make(1, 12, 12, 4, 5, 5, 1, 1, 0, 0, 1, 1),
		make(3, 7, 9, 2, 3, 3, 1, 1, 1, 1, 1, 1),
		make(2, 9, 8, 17, 3, 2, 2, 3, 1, 0, 1, 1),
		make(2, 11, 10, 3, 3, 3, 1, 2, 2, 3, 2, 3),
		make(4, 5, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1),
		make(1, 4, 4, 1, 4, 4, 1, 1, 0, 0, 1, 1),
		make(2, 3, 3, 2, 3, 3, 1, 1, 2, 2, 1, 1), // windows with one element inside
		make(1, 5, 5, 2, 2, 2, 3, 3, 0, 0, 1, 1), // inputs that no window reads
	}
}

func TestConvInEveryDirection(t *testing.T) {
	for _, g := range geometries() {
		x, y, w := each(g.InC*g.InH*g.InW), each(g.OutC*g.OutH*g.OutW), whole(g.OutC*g.InC*g.KH*g.KW)
		for _, accumulate := range []bool{false, true} {
			for dir, op := range [][3]program.Extent{{y, x, w}, {x, y, w}, {w, x, y}} {
				b := newBuilder()
				in := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Accumulate: accumulate, Norms: program.None, Epilogue: program.NoEpilogue}
				b.add(program.Forward, &program.Copy{Out: in.Out, X: b.input(op[0]), Size: op[0]}, in)
				checkForward(t, &b.Program, ids(in.Out), nil)
			}
		}
	}
}

func TestConvEpilogues(t *testing.T) {
	g := geometries()[1]
	x, y, w := each(g.InC*g.InH*g.InW), each(g.OutC*g.OutH*g.OutW), whole(g.OutC*g.InC*g.KH*g.KW)
	for dir, op := range [][3]program.Extent{{y, x, w}, {x, y, w}} {
		channels := []int{g.OutC, g.InC}[dir]
		epilogues(func(mask bool, e program.Epilogue) {
			b := newBuilder()
			in := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Norms: program.None, Epilogue: e}
			if in.Bias != program.None {
				in.Bias = b.input(whole(channels))
			}
			in.Mask = program.None
			if mask {
				in.Mask = b.input(op[0])
			}
			b.add(program.Forward, in)
			checkForward(t, &b.Program, ids(in.Out), outputsOf(in.Mask, in.MaskFunc))
		})
	}
}

// poolGeometries are pools with overlap, gaps, padding and windows that don't
// fit at the border.
func poolGeometries() []program.PoolGeom {
	make := func(c, inH, inW, kh, kw, sh, sw, ph, pw int) program.PoolGeom {
		return program.PoolGeom{C: c, InH: inH, InW: inW, KH: kh, KW: kw, StrideH: sh, StrideW: sw, PadH: ph, PadW: pw,
			OutH: (inH+2*ph-kh)/sh + 1, OutW: (inW+2*pw-kw)/sw + 1}
	}
	return []program.PoolGeom{
		make(3, 8, 8, 2, 2, 2, 2, 0, 0),
		make(2, 7, 9, 2, 2, 2, 2, 0, 0),
		make(1, 24, 34, 2, 2, 2, 2, 0, 0),
		make(2, 7, 6, 3, 3, 1, 2, 1, 1),
		make(1, 9, 5, 3, 2, 2, 3, 1, 0),
		make(4, 3, 3, 3, 3, 3, 3, 0, 0), // global
	}
}

func TestPooling(t *testing.T) {
	for _, g := range poolGeometries() {
		in, out := each(g.C*g.InH*g.InW), each(g.C*g.OutH*g.OutW)
		b := newBuilder()
		x, u, d := b.input(in), b.input(in), b.input(out)
		y, index, scattered, gathered, mean, spread := b.temp(out), b.index(out), b.temp(in), b.temp(out), b.temp(out), b.temp(in)
		results := ids(y, scattered, gathered, mean, spread)
		b.add(program.Forward,
			&program.MaxPool{Geom: g, Out: y, Index: index, X: x},
			&program.PoolScatter{Geom: g, Out: scattered, Index: index, X: d, Mask: program.None},
			&program.PoolGather{Geom: g, Out: gathered, Index: index, X: u},
			&program.AvgPool{Geom: g, Out: mean, X: x},
			&program.AvgPool{Geom: g, Out: spread, X: d, Adjoint: true})
		for _, f := range []program.Func{program.ReLU, program.Tanh, program.Sigmoid} {
			out := b.temp(in)
			b.add(program.Forward, &program.PoolScatter{Geom: g, Out: out, Index: index, X: d, Mask: d, MaskFunc: f})
			results = append(results, out)
		}
		keep(b, results)
		checkForward(t, &b.Program, results, outputsOf(d, program.Sigmoid))
	}
}

// keep makes sure that no result's memory is reused: all are read in two
// rounds at the end, into copies that live as long as the results do.
func keep(b *builder, results []program.BufferID) {
	var copies []program.Instr
	for _, id := range results {
		size := program.Extent{N: b.Buffer(id).Width(), Batch: b.Buffer(id).Batched}
		copies = append(copies, &program.Copy{Out: b.temp(size), X: id, Size: size})
	}
	b.add(program.Forward, copies...)
	b.add(program.Forward, copies...)
}

func TestMaxPoolTakesTheFirstOfEqualElements(t *testing.T) {
	g := poolGeometries()[3]
	in, out := each(g.C*g.InH*g.InW), each(g.C*g.OutH*g.OutW)
	b := newBuilder()
	x, d := b.input(in), b.input(out)
	y, index, scattered := b.temp(out), b.index(out), b.temp(in)
	b.add(program.Forward,
		&program.MaxPool{Geom: g, Out: y, Index: index, X: x},
		&program.PoolScatter{Geom: g, Out: scattered, Index: index, X: d, Mask: program.None})
	checkForward(t, &b.Program, ids(scattered), func(id program.BufferID, v []float64) {
		if id == x {
			for i := range v {
				v[i] = float64(int(v[i] * 2)) // −1, 0 and 1 only
			}
		}
	})
}

func TestUnaryFunctionsAndTheirDerivatives(t *testing.T) {
	for f := program.Identity; f <= program.Neg; f++ {
		for order := range 3 {
			for mode := range 4 {
				fromOutput, times := mode&1 != 0, mode&2 != 0
				if fromOutput && !f.FromOutput() {
					continue
				}
				b := newBuilder()
				size := each(23)
				in := &program.Unary{Func: f, Order: order, FromOutput: fromOutput, Out: b.temp(size), X: b.input(size), G: program.None, Size: size}
				if times {
					in.G = b.input(size)
				}
				b.add(program.Forward, in)
				checkForward(t, &b.Program, ids(in.Out), func(id program.BufferID, v []float64) {
					switch {
					case id != in.X:
					case fromOutput:
						outputsOf(id, f)(id, v)
					case f == program.Log || f == program.Sqrt || f == program.Inverse:
						for i := range v {
							v[i] = float64(float32(v[i] + 1.5))
						}
					default:
						for i := range v {
							v[i] *= 4
						}
					}
				})
			}
		}
	}
}

func TestElementwiseInstructions(t *testing.T) {
	for _, size := range []program.Extent{each(1), each(37), whole(1), whole(20_011)} {
		b := newBuilder()
		x, y := b.input(size), b.input(size)
		var results []program.BufferID
		for kind := program.Add; kind <= program.Div; kind++ {
			out := b.temp(size)
			b.add(program.Forward, &program.Binary{Kind: kind, Out: out, A: x, B: y, Size: size})
			results = append(results, out)
			inPlaceA, inPlaceB := b.temp(size), b.temp(size)
			b.add(program.Forward,
				&program.Copy{Out: inPlaceA, X: x, Size: size}, &program.Binary{Kind: kind, Out: inPlaceA, A: inPlaceA, B: y, Size: size},
				&program.Copy{Out: inPlaceB, X: y, Size: size}, &program.Binary{Kind: kind, Out: inPlaceB, A: x, B: inPlaceB, Size: size})
			results = append(results, inPlaceA, inPlaceB)
		}
		scaled, filled := b.temp(size), b.temp(size)
		b.add(program.Forward,
			&program.Scale{Out: scaled, X: x, Factor: -2.5, Size: size},
			&program.Scale{Out: scaled, X: scaled, Factor: 0.125, Size: size},
			&program.Fill{Out: filled, Value: 1.25, Size: size})
		results = append(results, scaled, filled)
		keep(b, results)
		checkForward(t, &b.Program, results, func(id program.BufferID, v []float64) {
			if id == y {
				for i := range v {
					v[i] = float64(float32(1.5 + v[i]))
				}
			}
		})
	}
}

func TestBiasInstructions(t *testing.T) {
	for _, shape := range []struct {
		outer           program.Extent
		channels, inner int
	}{{each(1), 10, 1}, {each(1), 300, 1}, {each(1), 5, 49}, {each(3), 2, 1}, {whole(4), 3, 2}, {each(1), 1, 1}} {
		b := newBuilder()
		size := (&binder[float64]{}).extent(shape.outer, whole(shape.channels*shape.inner))
		x, bias := b.input(size), b.input(whole(shape.channels))
		var results []program.BufferID
		for _, f := range []program.Func{program.Identity, program.ReLU, program.Tanh} {
			out := b.temp(size)
			b.add(program.Forward, &program.AddBias{Out: out, X: x, B: bias, Outer: shape.outer, Channels: shape.channels, Inner: shape.inner, Func: f})
			results = append(results, out)
		}
		sum, more := b.temp(whole(shape.channels)), b.temp(whole(shape.channels))
		b.add(program.Forward,
			&program.SumBias{Out: sum, X: x, Outer: shape.outer, Channels: shape.channels, Inner: shape.inner},
			&program.Copy{Out: more, X: bias, Size: whole(shape.channels)},
			&program.SumBias{Out: more, X: x, Outer: shape.outer, Channels: shape.channels, Inner: shape.inner, Accumulate: true})
		results = append(results, sum, more)
		keep(b, results)
		checkForward(t, &b.Program, results, nil)
	}
}

func TestReduceOverAnySubsetOfAxes(t *testing.T) {
	dims := []program.Extent{each(1), whole(3), whole(1), whole(5)}
	for mask := range 1 << len(dims) {
		for mode := range 4 {
			b := newBuilder()
			in := &program.Reduce{Dims: dims, Broadcast: mode&1 != 0, Mean: mode&2 != 0}
			large, small := each(15), program.Extent{N: 1}
			for k, d := range dims {
				in.Axes = append(in.Axes, mask>>k&1 != 0)
				if !in.Axes[k] {
					small = program.Extent{N: small.N * d.N, Batch: small.Batch || d.Batch}
				}
			}
			if in.Broadcast {
				large, small = small, large
			}
			in.X, in.Out = b.input(large), b.temp(small)
			b.add(program.Forward, in)
			checkForward(t, &b.Program, ids(in.Out), nil)
		}
	}
}

func TestTransposeAndResult(t *testing.T) {
	for _, dims := range [][2]int{{1, 1}, {1, 7}, {5, 3}, {65, 70}} {
		b := newBuilder()
		size := whole(dims[0] * dims[1])
		x, out := b.input(size), b.temp(size)
		b.Loss = b.scalar()
		again := b.temp(whole(1))
		b.add(program.Forward,
			&program.Result{Out: b.Loss, X: b.input(whole(1))},
			&program.Result{Out: again, X: b.Loss},
			&program.Transpose{Out: out, X: x, Rows: dims[0], Cols: dims[1]})
		keep(b, ids(out, again))
		checkForward(t, &b.Program, ids(out, b.Loss, again), nil)
	}
}

func TestLossesAndTheirDerivatives(t *testing.T) {
	for _, classes := range []int{1, 2, 10, 47} {
		for kind := program.CrossEntropy; kind <= program.MSE; kind++ {
			for _, upstream := range []bool{false, true} {
				b := newBuilder()
				size := each(classes)
				z, y, u := b.input(size), b.input(size), b.input(size)
				g := program.None
				if upstream {
					g = b.input(whole(1))
				}
				b.Loss, b.Correct, b.Logits = b.scalar(), b.scalar(), program.None
				grad, hess, soft, logSoft := b.temp(size), b.temp(size), b.temp(size), b.temp(size)
				b.add(program.Forward,
					&program.Loss{Kind: kind, Out: b.Loss, Z: z, Y: y, Classes: classes},
					&program.Correct{Out: b.Correct, Z: z, Y: y, Classes: classes},
					&program.LossGrad{Kind: kind, Out: grad, Z: z, Y: y, G: g, Classes: classes},
					&program.LossHess{Kind: kind, Out: hess, Z: z, U: u, G: g, Classes: classes},
					&program.Softmax{Out: soft, X: z, Rows: each(1), Cols: classes},
					&program.Softmax{Out: logSoft, X: z, Rows: each(1), Cols: classes, Log: true})
				results := ids(grad, hess, soft, logSoft)
				keep(b, results)
				checkForward(t, &b.Program, append(results, b.Loss, b.Correct), func(id program.BufferID, v []float64) {
					switch id {
					case z:
						for i := range v {
							v[i] *= 8
						}
					case y:
						for i := range v { // one class a row
							v[i] = 0
							if i%classes == (i/classes*7)%classes {
								v[i] = 1
							}
						}
					}
				})
			}
		}
	}
}

// A loss leaves its softmax for the derivatives, unless the logits change.
func TestLossDerivativesSeeTheLogitsOfTheirOwnTime(t *testing.T) {
	const classes = 5
	b := newBuilder()
	size := each(classes)
	first, second, y := b.input(size), b.input(size), b.input(size)
	z, grad, hess := b.temp(size), b.temp(size), b.temp(size)
	b.Loss = b.scalar()
	b.add(program.Forward,
		&program.Copy{Out: z, X: first, Size: size},
		&program.Loss{Out: b.Loss, Z: z, Y: y, Classes: classes},
		&program.Copy{Out: z, X: second, Size: size},
		&program.LossHess{Out: hess, Z: z, U: y, G: program.None, Classes: classes},
		&program.LossGrad{Out: grad, Z: z, Y: y, G: program.None, Classes: classes})
	keep(b, ids(grad, hess))
	checkForward(t, &b.Program, ids(b.Loss, grad, hess), nil)
}

func TestNormInstructionsByThemselves(t *testing.T) {
	b := newBuilder()
	x, y, z := b.input(each(6)), b.input(each(35)), b.input(each(21))
	norms := func() program.BufferID {
		return b.buffer(program.Buffer{Role: program.SampleNorms, Type: program.Double, Batched: true})
	}
	dense, bias, channels, both := norms(), norms(), norms(), norms()
	b.add(program.Forward,
		&program.DenseNorms{Norms: dense, A: x, B: y, ACols: 6, BCols: 35},
		&program.BiasNorms{Norms: bias, X: x, Channels: 6, Inner: 1},
		&program.BiasNorms{Norms: channels, X: z, Channels: 3, Inner: 7},
		&program.DenseNorms{Norms: both, A: x, B: z, ACols: 6, BCols: 21},
		&program.BiasNorms{Norms: both, X: y, Channels: 5, Inner: 7})
	checkForward(t, &b.Program, ids(dense, bias, channels, both), nil)
}
