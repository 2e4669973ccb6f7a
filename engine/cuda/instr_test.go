//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"
	"testing"

	"sgflow/engine/program"
)

func TestMatMulInEveryOrientationAndExtent(t *testing.T) {
	extents := [][3]program.Extent{
		{each(1), whole(7), whole(5)},     // activations × weights
		{each(1), whole(70), whole(33)},   // wider than a tile
		{each(3), whole(17), whole(1)},    // outer products
		{whole(13), whole(9), each(1)},    // a weight's gradient
		{whole(7), each(1), whole(4)},     // transposed product
		{each(1), whole(8), whole(300)},   // a sum long enough to be split
		{whole(64), whole(132), whole(8)}, // whole groups of four
	}
	for _, e := range extents {
		for mode := range 8 {
			b := newBuilder()
			in := &program.MatMul{M: e[0], N: e[1], K: e[2], TransA: mode&1 != 0, TransB: mode&2 != 0, Accumulate: mode&4 != 0, Epilogue: program.NoEpilogue}
			in.A, in.B = b.input(extent(e[0], e[2])), b.input(extent(e[2], e[1]))
			size := extent(e[0], e[1])
			in.Out = b.temp(size)
			checkForward(t, b.result(in.Out, &program.Copy{Out: in.Out, X: b.input(size), Size: size}, in), nil)
		}
	}
}

// TestEveryTileWithAndWithoutSplits takes results, numbers of multiprocessors and lengths
// that make tiling choose each tile, whole and split.
func TestEveryTileWithAndWithoutSplits(t *testing.T) {
	type choice struct {
		orientation, rows, cols int
		split                   bool
	}
	left := map[choice]bool{}
	for orientation := range tiles {
		for _, tile := range tiles[orientation] {
			left[choice{orientation, tile.rows, tile.cols, false}], left[choice{orientation, tile.rows, tile.cols, true}] = true, true
		}
	}
	for _, c := range []struct{ rows, cols, k, multiprocessors int }{
		{33, 30, 9, 2}, {33, 30, 140, 8}, {21, 19, 700, 8}, {62, 63, 40, 1}, {61, 125, 1500, 4}, {125, 126, 70, 1}, {250, 131, 1500, 8}, {15, 13, 4000, 64},
		{124, 120, 72, 1}, {60, 124, 72, 1}, {60, 124, 1604, 8}, // of whole fours
	} {
		m := Machine{multiprocessors: c.multiprocessors}
		rows, cols, k := whole(c.rows), whole(c.cols), whole(c.k)
		for mode := range 8 {
			tile, splits := m.tiling(mode&3, c.rows, c.cols, c.k)
			delete(left, choice{mode & 3, tile.rows, tile.cols, splits > 1})
			b := newBuilder()
			in := &program.MatMul{
				M: rows, N: cols, K: k, TransA: mode&transposedA != 0, TransB: mode&transposedB != 0, Accumulate: mode&4 != 0, Epilogue: program.NoEpilogue,
			}
			in.A, in.B = b.input(extent(rows, k)), b.input(extent(k, cols))
			size := extent(rows, cols)
			in.Out, in.Bias, in.Func = b.temp(size), b.input(cols), program.ReLU
			p := b.result(in.Out, &program.Copy{Out: in.Out, X: b.input(size), Size: size}, in)
			checkForwardOf(t, p, 1, Options{Capacity: 1, Multiprocessors: c.multiprocessors}, tolerance, nil)
		}
	}
	if len(left) > 0 {
		t.Errorf("not reached: %v", left)
	}
}

// Two products into one result are one launch, where what lies between them allows it.
func TestPairsOfMatMuls(t *testing.T) {
	for _, e := range [][3]program.Extent{
		{each(1), whole(37), whole(29)}, {each(1), whole(8), whole(300)}, {whole(13), whole(9), each(1)}, {each(4), whole(132), whole(8)},
	} {
		for mode := range 8 {
			for between := range 4 {
				b := newBuilder()
				size, left, right := extent(e[0], e[1]), extent(e[0], e[2]), extent(e[2], e[1])
				first := &program.MatMul{M: e[0], N: e[1], K: e[2], TransA: mode&1 != 0, TransB: mode&2 != 0, Accumulate: mode&4 != 0, Epilogue: program.NoEpilogue}
				first.A, first.B, first.Out = b.temp(left), b.input(right), b.temp(size)
				second := *first
				second.A, second.B, second.Accumulate = b.input(left), b.input(right), true
				if between > 0 {
					first.Bias, second.Func = b.input(e[1]), program.ReLU
				}
				free := b.temp(size)
				middle := []program.Instr{
					&program.Fill{Out: free, Value: 1, Size: size},
					&program.Fill{Out: free, Value: 1, Size: size},
					&program.Fill{Out: first.A, Value: 1, Size: left},
					&program.Copy{Out: free, X: first.Out, Size: size},
				}[between]
				joined := between < 2
				p := b.result(second.Out,
					&program.Copy{Out: first.A, X: b.input(left), Size: left},
					&program.Copy{Out: first.Out, X: b.input(size), Size: size},
					first, middle, &second,
					&program.Copy{Out: b.temp(left), X: first.A, Size: left}, // so that the memory of A is not free's
					&program.Binary{Kind: program.Add, Out: second.Out, A: second.Out, B: free, Size: size})
				if between == 2 { // nothing stores free
					p.Phases[program.Forward] = p.Phases[program.Forward][:5]
				}
				checkForward(t, p, nil)
				if m := newMachine(t, p, 1, 1); (m.phases[program.Forward][2] == nil) != joined {
					t.Errorf("%v, case %d: one launch: %v, want %v", e, between, !joined, joined)
				}
			}
		}
	}
}

func TestPairsOfConvolutions(t *testing.T) {
	for _, g := range geometries() {
		for dir, op := range convOperands(g) {
			b := newBuilder()
			first := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Norms: program.None, Epilogue: program.NoEpilogue}
			second := *first
			second.A, second.B, second.Accumulate = b.input(op[1]), b.input(op[2]), true
			if dir != int(program.ConvWeight) {
				first.Bias, second.Func = b.input(whole([]int{g.OutC, g.InC}[dir])), program.Tanh
			}
			p := b.result(first.Out, first, &second)
			checkForward(t, p, nil)
			_, direct := directOf(&geometry{ConvGeom: g}, dir == int(program.ConvInput))
			joined := direct || dir == int(program.ConvWeight)
			if m := newMachine(t, p, 1, 1); (m.phases[program.Forward][0] == nil) != joined {
				t.Errorf("%+v, direction %d: one launch: %v, want %v", g, dir, !joined, joined)
			}
		}
	}
}

// Long sums of positive terms, whose roundings on tensor cores would all go one way, are as
// accurate as float32's.
func TestMatMulOfLongSums(t *testing.T) {
	rows, cols, k := whole(20), whole(19), whole(4000)
	for mode := range 4 {
		for _, multiprocessors := range []int{1, 64} {
			b := newBuilder()
			in := &program.MatMul{M: rows, N: cols, K: k, TransA: mode&transposedA != 0, TransB: mode&transposedB != 0, Epilogue: program.NoEpilogue}
			in.A, in.B, in.Out = b.input(extent(rows, k)), b.input(extent(k, cols)), b.temp(extent(rows, cols))
			checkForwardOf(t, b.result(in.Out, in), 1, Options{Capacity: 1, Multiprocessors: multiprocessors}, 1e-6, func(_ int, v []float64) {
				for i := range v {
					v[i] = math.Abs(v[i])
				}
			})
		}
	}
}

// TF32 keeps 10 bits of mantissa, so that a product of two factors is off by at most
// 2⁻¹⁰ of it, and sums of them by less.
func TestMatMulInTF32(t *testing.T) {
	if testDevice(t).Capability < tensorCapability {
		t.Skip("the device has no tensor cores for TF32")
	}
	for _, e := range [][3]program.Extent{{each(7), whole(125), whole(70)}, {whole(120), whole(124), each(4)}} {
		for mode := range 8 {
			b := newBuilder()
			in := &program.MatMul{M: e[0], N: e[1], K: e[2], TransA: mode&1 != 0, TransB: mode&2 != 0, Accumulate: mode&4 != 0, Epilogue: program.NoEpilogue}
			in.A, in.B = b.input(extent(e[0], e[2])), b.input(extent(e[2], e[1]))
			size := extent(e[0], e[1])
			in.Out = b.temp(size)
			p := b.result(in.Out, &program.Copy{Out: in.Out, X: b.input(size), Size: size}, in)
			o := Options{Capacity: 20, Multiprocessors: 1, TF32: true}
			checkForwardOf(t, p, 17, o, 1e-3, nil)
			m := newMachineOf(t, p, o)
			for k := range p.Inputs {
				for i := range m.Input(k) {
					m.Input(k)[i] = 1 + 0x1p-12 // which TF32 takes for 1
				}
			}
			m.Forward(17)
			want := float32(e[2].At(17))
			if in.Accumulate {
				want += 1 + 0x1p-12
			}
			if got := m.Logits(17)[0]; got != want {
				t.Errorf("%v, want %v: not the product of factors in TF32", got, want)
			}
		}
	}
}

// epilogues calls f with every combination that programs use; bias and mask tell
// f which of them to make.
func epilogues(f func(bias, mask bool, e program.Epilogue)) {
	for _, bias := range []bool{false, true} {
		for _, fn := range []program.Func{program.Identity, program.ReLU, program.Tanh, program.Sigmoid, program.GELU} {
			f(bias, false, program.Epilogue{Bias: program.None, Func: fn, Mask: program.None})
			if fn.FromOutput() {
				f(bias, true, program.Epilogue{Bias: program.None, Mask: program.None, MaskFunc: fn})
			}
		}
	}
}

func TestMatMulEpilogues(t *testing.T) {
	for _, accumulate := range []bool{false, true} {
		epilogues(func(bias, mask bool, e program.Epilogue) {
			b := newBuilder()
			size := each(19)
			in := &program.MatMul{A: b.input(each(136)), B: b.input(whole(136 * 19)), Out: b.temp(size), M: each(1), N: whole(19), K: whole(136), Accumulate: accumulate, Epilogue: e}
			if bias {
				in.Bias = b.input(whole(19))
			}
			start := &program.Copy{Out: in.Out, X: b.input(size), Size: size}
			at := -1
			if mask {
				at = len(b.Inputs)
				in.Mask = b.input(size)
			}
			checkForward(t, b.result(in.Out, start, in), outputsOf(at, in.MaskFunc))
		})
	}
}

// outputsOf makes an input hold values that f can have as outputs.
func outputsOf(input int, f program.Func) func(int, []float64) {
	return func(k int, v []float64) {
		if k != input {
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
		make(2, 9, 8, 35, 3, 2, 2, 3, 1, 0, 1, 1), // more channels than a tile
		make(2, 11, 10, 3, 3, 3, 1, 2, 2, 3, 2, 3),
		make(4, 5, 1, 3, 1, 1, 1, 1, 0, 0, 1, 1),
		make(1, 4, 4, 1, 4, 4, 1, 1, 0, 0, 1, 1),
		make(2, 3, 3, 2, 3, 3, 1, 1, 2, 2, 1, 1),   // windows with one element inside
		make(1, 5, 5, 2, 2, 2, 3, 3, 0, 0, 1, 1),   // inputs that no window reads
		make(9, 4, 4, 3, 3, 3, 1, 1, 1, 1, 1, 1),   // more taps than a tile
		make(1, 13, 17, 2, 3, 3, 1, 1, 0, 0, 1, 1), // enough pixels for weights by parts of a sample
	}
}

// convOperands are the sizes of out, a and b by direction.
func convOperands(g program.ConvGeom) [3][3]program.Extent {
	x, y, w := each(g.InC*g.InH*g.InW), each(g.OutC*g.OutH*g.OutW), whole(g.OutC*g.InC*g.KH*g.KW)
	return [3][3]program.Extent{{y, x, w}, {x, y, w}, {w, x, y}}
}

func TestConvInEveryDirection(t *testing.T) {
	for _, g := range geometries() {
		for _, accumulate := range []bool{false, true} {
			for dir, op := range convOperands(g) {
				b := newBuilder()
				in := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Accumulate: accumulate, Norms: program.None, Epilogue: program.NoEpilogue}
				checkForward(t, b.result(in.Out, &program.Copy{Out: in.Out, X: b.input(op[0]), Size: op[0]}, in), nil)
			}
		}
	}
}

func TestConvEpilogues(t *testing.T) {
	for _, g := range []program.ConvGeom{geometries()[1], geometries()[3], geometries()[8]} { // direct, not, and with rows of whole quads
		operands := convOperands(g)
		for dir, op := range operands[:2] {
			channels := []int{g.OutC, g.InC}[dir]
			epilogues(func(bias, mask bool, e program.Epilogue) {
				b := newBuilder()
				in := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Norms: program.None, Epilogue: e}
				if bias {
					in.Bias = b.input(whole(channels))
				}
				at := -1
				if mask {
					at = len(b.Inputs)
					in.Mask = b.input(op[0])
				}
				checkForward(t, b.result(in.Out, in), outputsOf(at, in.MaskFunc))
			})
		}
	}
}

// However the work of a direct convolution is divided, the result is the same.
func TestDirectConvolutionsInEveryDivision(t *testing.T) {
	parts, together, stretches, chunks := map[int]bool{}, map[bool]bool{}, map[bool]bool{}, map[bool]bool{}
	for _, k := range []int{3, 5} {
		for _, c := range []struct{ inC, outC, h, w, pad int }{{1, 3, 23, 70, 0}, {2, 5, 9, 13, 1}, {10, 18, 7, 8, 2}, {17, 2, 6, 5, 0}, {33, 4, 9, 9, 1}} {
			g := program.ConvGeom{InC: c.inC, InH: c.h, InW: c.w, OutC: c.outC, OutH: c.h + 2*c.pad - k + 1, OutW: c.w + 2*c.pad - k + 1,
				KH: k, KW: k, StrideH: 1, StrideW: 1, PadH: c.pad, PadW: c.pad, DilH: 1, DilW: 1}
			operands := convOperands(g)
			for dir, op := range operands[:2] {
				for _, multiprocessors := range []int{1, 132} {
					const n = 3
					d, ok := directOf(&geometry{ConvGeom: g}, dir == int(program.ConvInput))
					if !ok {
						t.Fatalf("%+v is not done directly", g)
					}
					v, _ := d.divide(n, multiprocessors)
					parts[v.parts], together[v.together > 1], chunks[v.chunk < d.c] = true, true, true
					stretches[v.quads < blocks(d.q, 4)*d.p] = true
					b := newBuilder()
					in := &program.Conv{Dir: program.ConvDir(dir), Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Norms: program.None, Epilogue: program.NoEpilogue}
					checkForwardOf(t, b.result(in.Out, in), n, Options{Capacity: n, Multiprocessors: multiprocessors}, tolerance, nil)
				}
			}
		}
	}
	if len(parts) < 3 || len(together) < 2 || len(stretches) < 2 || len(chunks) < 2 {
		t.Errorf("only parts %v, samples together %v, parts of samples %v, several chunks %v", parts, together, stretches, chunks)
	}
}

// However the work of weights' gradients from shared memory is divided, the result is the same.
func TestWeightsFromSharedMemoryInEveryDivision(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []int{3, 5} {
		for _, c := range []struct{ inC, outC, h, w, pad int }{
			{1, 3, 23, 70, 0}, {1, 16, 28, 28, 0}, {2, 5, 9, 13, 1}, {10, 18, 8, 8, 2}, {17, 2, 6, 5, 0}, {3, 70, 9, 12, 4}, {30, 33, 16, 16, 0},
		} {
			g := program.ConvGeom{InC: c.inC, InH: c.h, InW: c.w, OutC: c.outC, OutH: c.h + 2*c.pad - k + 1, OutW: c.w + 2*c.pad - k + 1,
				KH: k, KW: k, StrideH: 1, StrideW: 1, PadH: c.pad, PadW: c.pad, DilH: 1, DilW: 1}
			shape := &geometry{ConvGeom: g}
			d := shape.divideWeights()
			if d.size != int32(k) {
				t.Fatalf("%+v is not done from shared memory", g)
			}
			for what, is := range map[string]bool{
				"several quads' blocks": 4*int(d.quads) < g.OutC, "several channels' blocks": int(d.channels) < g.InC, "slices": d.slices > 1,
				"rows in parts": int(d.rows) < g.OutH, "a last part of fewer rows": g.OutH%int(d.rows) != 0, "by fours": g.InW%4 == 0 && g.PadW%4 == 0,
				"parts of samples": shape.weightParts() > 1, "quads that are not full": g.OutC%4 != 0,
			} {
				seen[what] = seen[what] || is
			}
			for _, multiprocessors := range []int{1, 132} {
				const n = 5
				op := convOperands(g)[program.ConvWeight]
				b := newBuilder()
				in := &program.Conv{Dir: program.ConvWeight, Geom: g, Out: b.temp(op[0]), A: b.input(op[1]), B: b.input(op[2]), Norms: program.None, Epilogue: program.NoEpilogue}
				checkForwardOf(t, b.result(in.Out, in), n, Options{Capacity: n, Multiprocessors: multiprocessors}, tolerance, nil)
			}
		}
	}
	for _, what := range []string{
		"several quads' blocks", "several channels' blocks", "slices", "rows in parts", "a last part of fewer rows", "by fours", "parts of samples", "quads that are not full",
	} {
		if !seen[what] {
			t.Error("no case has", what)
		}
	}
}

// poolGeometries are pools with overlap, gaps, padding and windows that don't fit
// at the border.
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
		make(1, 9, 9, 2, 2, 3, 3, 0, 0), // gaps
		make(4, 3, 3, 3, 3, 3, 3, 0, 0), // global
	}
}

func TestPooling(t *testing.T) {
	for _, g := range poolGeometries() {
		in, out := each(g.C*g.InH*g.InW), each(g.C*g.OutH*g.OutW)
		coarse := func(k int, v []float64) { // many equal elements: the first counts
			for i := range v {
				v[i] = float64(int(v[i] * 4))
			}
		}
		start := func(b *builder) (y, index program.BufferID) {
			y, index = b.temp(out), b.index(out)
			b.add(&program.MaxPool{Geom: g, Out: y, Index: index, X: b.input(in)})
			return y, index
		}
		for _, prepare := range []func(int, []float64){nil, coarse} {
			b := newBuilder()
			y, _ := start(b)
			checkForward(t, b.result(y), prepare)

			b = newBuilder()
			_, index := start(b)
			y = b.temp(in)
			checkForward(t, b.result(y, &program.PoolScatter{Geom: g, Out: y, Index: index, X: b.input(out), Mask: program.None}), prepare)

			b = newBuilder()
			_, index = start(b)
			y = b.temp(out)
			checkForward(t, b.result(y, &program.PoolGather{Geom: g, Out: y, Index: index, X: b.input(in)}), prepare)
		}
		for _, f := range []program.Func{program.ReLU, program.Tanh, program.Sigmoid} {
			b := newBuilder()
			_, index := start(b)
			y := b.temp(in)
			x := b.input(out)
			mask := b.input(out)
			checkForward(t, b.result(y, &program.PoolScatter{Geom: g, Out: y, Index: index, X: x, Mask: mask, MaskFunc: f}), outputsOf(2, f))
		}
		for _, adjoint := range []bool{false, true} {
			b := newBuilder()
			from, to := in, out
			if adjoint {
				from, to = out, in
			}
			y := b.temp(to)
			checkForward(t, b.result(y, &program.AvgPool{Geom: g, Out: y, X: b.input(from), Adjoint: adjoint}), nil)
		}
	}
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
				checkForward(t, b.result(in.Out, in), func(k int, v []float64) {
					switch {
					case k != 0:
					case fromOutput:
						outputsOf(0, f)(0, v)
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
	for _, size := range []program.Extent{each(1), each(37), whole(1), whole(2011)} {
		for kind := program.Add; kind <= program.Div; kind++ {
			for place := range 3 { // out is another buffer, a, or b
				b := newBuilder()
				x, y := b.temp(size), b.temp(size)
				b.add(&program.Copy{Out: x, X: b.input(size), Size: size}, &program.Copy{Out: y, X: b.input(size), Size: size})
				out := [3]program.BufferID{b.temp(size), x, y}[place]
				checkForward(t, b.result(out, &program.Binary{Kind: kind, Out: out, A: x, B: y, Size: size}), func(k int, v []float64) {
					for i := range v {
						v[i] = float64(float32(1.5 + v[i]))
					}
				})
			}
		}
		b := newBuilder()
		out, sum := b.temp(size), b.temp(size)
		checkForward(t, b.result(out,
			&program.Fill{Out: sum, Value: 1.25, Size: size},
			&program.Scale{Out: out, X: b.input(size), Factor: -2.5, Size: size},
			&program.Scale{Out: out, X: out, Factor: 0.125, Size: size},
			&program.Binary{Kind: program.Add, Out: out, A: out, B: sum, Size: size}), nil)
	}
}

func TestBiasInstructions(t *testing.T) {
	for _, shape := range []struct {
		outer           program.Extent
		channels, inner int
	}{{each(1), 10, 1}, {each(1), 300, 1}, {each(1), 5, 49}, {each(3), 2, 1}, {whole(4), 3, 2}, {each(1), 1, 1}} {
		size := extent(shape.outer, whole(shape.channels*shape.inner))
		for _, f := range []program.Func{program.Identity, program.ReLU, program.Tanh} {
			b := newBuilder()
			out := b.temp(size)
			checkForward(t, b.result(out, &program.AddBias{Out: out, X: b.input(size), B: b.input(whole(shape.channels)), Outer: shape.outer, Channels: shape.channels, Inner: shape.inner, Func: f}), nil)
		}
		for _, accumulate := range []bool{false, true} {
			b := newBuilder()
			sum := b.temp(whole(shape.channels))
			checkForward(t, b.result(sum,
				&program.Copy{Out: sum, X: b.input(whole(shape.channels)), Size: whole(shape.channels)},
				&program.SumBias{Out: sum, X: b.input(size), Outer: shape.outer, Channels: shape.channels, Inner: shape.inner, Accumulate: accumulate}), nil)
		}
	}
}

func TestReduceOverAnySubsetOfAxes(t *testing.T) {
	dims := []program.Extent{each(1), whole(3), whole(1), whole(5)}
	for mask := range 1 << len(dims) {
		for mode := range 4 {
			b := newBuilder()
			in := &program.Reduce{Dims: dims, Broadcast: mode&1 != 0, Mean: mode&2 != 0}
			large, small := each(15), whole(1)
			for k, d := range dims {
				in.Axes = append(in.Axes, mask>>k&1 != 0)
				if !in.Axes[k] {
					small = extent(small, d)
				}
			}
			if in.Broadcast {
				large, small = small, large
			}
			in.X, in.Out = b.input(large), b.temp(small)
			checkForward(t, b.result(in.Out, in), nil)
		}
	}
}

func TestTransposeAndResult(t *testing.T) {
	for _, dims := range [][2]int{{1, 1}, {1, 7}, {5, 3}, {65, 70}} {
		b := newBuilder()
		size := whole(dims[0] * dims[1])
		out := b.temp(size)
		checkForward(t, b.result(out, &program.Transpose{Out: out, X: b.input(size), Rows: dims[0], Cols: dims[1]}), nil)
	}
	b := newBuilder()
	b.Loss = b.scalar()
	again := b.temp(whole(1))
	checkForward(t, b.result(again, &program.Result{Out: b.Loss, X: b.input(whole(1))}, &program.Result{Out: again, X: b.Loss}), nil)
}

func TestLossesAndTheirDerivatives(t *testing.T) {
	for _, classes := range []int{1, 2, 10, 47} {
		for kind := program.CrossEntropy; kind <= program.MSE; kind++ {
			for mode := range 6 {
				b := newBuilder()
				size := each(classes)
				z, y, u := b.input(size), b.input(size), b.input(size)
				g := program.None
				if mode%2 == 1 {
					g = b.input(whole(1))
				}
				out := b.temp(size)
				b.Loss, b.Correct = b.scalar(), b.scalar()
				var in program.Instr
				switch mode / 2 {
				case 0:
					in = &program.LossGrad{Kind: kind, Out: out, Z: z, Y: y, G: g, Classes: classes}
				case 1:
					in = &program.LossHess{Kind: kind, Out: out, Z: z, U: u, G: g, Classes: classes}
				case 2:
					in = &program.Softmax{Out: out, X: z, Rows: each(1), Cols: classes, Log: mode%2 == 1}
				}
				loss := &program.Loss{Kind: kind, Out: b.Loss, Z: z, Y: y, Classes: classes}
				correct := &program.Correct{Out: b.Correct, Z: z, Y: y, Classes: classes}
				order := []program.Instr{loss, correct, in}
				if classes == 2 { // nothing is shared then
					order = []program.Instr{in, correct, loss}
				}
				checkForward(t, b.result(out, order...), func(k int, v []float64) {
					for i := range v {
						switch k {
						case 0:
							v[i] *= 8
						case 1: // one class a row
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
	size := each(classes)
	for _, hess := range []bool{false, true} {
		b := newBuilder()
		z, out, y := b.temp(size), b.temp(size), b.input(size)
		b.Loss = b.scalar()
		var in program.Instr = &program.LossGrad{Out: out, Z: z, Y: y, G: program.None, Classes: classes}
		if hess {
			in = &program.LossHess{Out: out, Z: z, U: y, G: program.None, Classes: classes}
		}
		checkForward(t, b.result(out,
			&program.Copy{Out: z, X: b.input(size), Size: size},
			&program.Loss{Out: b.Loss, Z: z, Y: y, Classes: classes},
			&program.Copy{Out: z, X: b.input(size), Size: size}, in), nil)
	}
}
