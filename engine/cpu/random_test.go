package cpu

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/program"
)

// generator draws a program whose every phase works on what it and the earlier
// phases computed, in the ways that a compiler would: accumulating, in place,
// reading buffers of earlier phases.
type generator struct {
	*builder
	t     *rapid.T
	phase program.Phase
	// What may be read, by size; of those, what this phase may write to again.
	readable, writable map[program.Extent][]program.BufferID
	indices            []program.BufferID // of poolGeom
}

// poolGeom has outputs of 4 and inputs of 9 elements a sample.
var poolGeom = program.PoolGeom{C: 1, InH: 3, InW: 3, OutH: 2, OutW: 2, KH: 2, KW: 2, StrideH: 1, StrideW: 1}

// convGeom takes 9 elements a sample to 8, with a weight of 8.
var convGeom = program.ConvGeom{InC: 1, InH: 3, InW: 3, OutC: 2, OutH: 2, OutW: 2, KH: 2, KW: 2, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}

var widths = []int{4, 8, 9}

func (g *generator) pick(size program.Extent) program.BufferID {
	return rapid.SampledFrom(g.readable[size]).Draw(g.t, "operand")
}

func (g *generator) width() int { return rapid.SampledFrom(widths).Draw(g.t, "width") }

// made records a temporary that now has a value.
func (g *generator) made(id program.BufferID, size program.Extent) {
	g.readable[size] = append(g.readable[size], id)
	g.writable[size] = append(g.writable[size], id)
}

// target returns a buffer to write to: often a new one, sometimes one that
// this phase has made before. It is none of avoid.
func (g *generator) target(size program.Extent, avoid ...program.BufferID) (id program.BufferID, old bool) {
	if w := g.writable[size]; len(w) > 0 && rapid.IntRange(0, 3).Draw(g.t, "reuse") == 0 {
		id = rapid.SampledFrom(w).Draw(g.t, "target")
		for _, a := range avoid {
			if a == id {
				return g.temp(size), false
			}
		}
		return id, true
	}
	return g.temp(size), false
}

// emit appends an instruction that makes out.
func (g *generator) emit(in program.Instr, out program.BufferID, size program.Extent, old bool) {
	g.add(g.phase, in)
	if !old {
		g.made(out, size)
	}
}

// step appends one instruction.
func (g *generator) step() {
	w := g.width()
	size := each(w)
	switch rapid.IntRange(0, 11).Draw(g.t, "kind") {
	case 0: // dense
		k := g.width()
		a, b := g.pick(each(k)), g.pick(whole(k*w))
		out, old := g.target(size, a)
		e := program.Epilogue{Bias: g.pick(whole(w)), Func: program.Tanh, Mask: program.None}
		if old {
			e = program.Epilogue{Bias: program.None, Mask: g.pick(size), MaskFunc: program.Tanh}
			if e.Mask == out {
				e.Mask = program.None
			}
		}
		g.emit(&program.MatMul{Out: out, A: a, B: b, M: each(1), N: whole(w), K: whole(k), TransB: k%2 == 0, Accumulate: old, Epilogue: e}, out, size, old)
	case 1: // weight gradient
		k := g.width()
		a, b := g.pick(each(k)), g.pick(size)
		out, old := g.target(whole(k * w))
		g.emit(&program.MatMul{Out: out, A: a, B: b, M: whole(k), N: whole(w), K: each(1), TransA: true, Accumulate: old, Epilogue: program.NoEpilogue}, out, whole(k*w), old)
	case 2:
		f := rapid.SampledFrom([]program.Func{program.Tanh, program.Sigmoid, program.GELU, program.Square}).Draw(g.t, "f")
		x, times := g.pick(size), g.pick(size)
		if rapid.Bool().Draw(g.t, "times") {
			times = program.None
		}
		out, old := g.target(size)
		g.emit(&program.Unary{Func: f, Order: rapid.IntRange(0, 2).Draw(g.t, "order"), Out: out, X: x, G: times, Size: size}, out, size, old)
	case 3:
		a, b := g.pick(size), g.pick(size)
		out, old := g.target(size)
		g.emit(&program.Binary{Kind: program.BinaryKind(rapid.IntRange(0, 2).Draw(g.t, "op")), Out: out, A: a, B: b, Size: size}, out, size, old)
		g.emit(&program.Scale{Out: out, X: out, Factor: 0.5, Size: size}, out, size, true)
	case 4:
		x := g.pick(size)
		out, old := g.target(size)
		g.emit(&program.Copy{Out: out, X: x, Size: size}, out, size, old)
	case 5:
		x, b := g.pick(size), g.pick(whole(w))
		out, old := g.target(size)
		g.emit(&program.AddBias{Out: out, X: x, B: b, Outer: each(1), Channels: w, Inner: 1, Func: program.Sigmoid}, out, size, old)
	case 6:
		x := g.pick(size)
		out, old := g.target(whole(w))
		g.emit(&program.SumBias{Out: out, X: x, Outer: each(1), Channels: w, Inner: 1, Accumulate: old}, out, whole(w), old)
	case 7:
		broadcast := rapid.Bool().Draw(g.t, "broadcast")
		in := &program.Reduce{Dims: []program.Extent{each(1), whole(w)}, Axes: []bool{true, false}, Broadcast: broadcast, Mean: true}
		from, to := size, whole(w)
		if broadcast {
			from, to = to, from
		}
		in.X = g.pick(from)
		out, old := g.target(to, in.X)
		in.Out = out
		g.emit(in, out, to, old)
	case 8:
		z, u := g.pick(size), g.pick(size)
		out, old := g.target(size, z, u)
		g.emit(&program.LossHess{Out: out, Z: z, U: u, G: program.None, Classes: w}, out, size, old)
	case 9: // pools
		// Of the input alone: elsewhere a rounding may decide which is largest.
		x, d := g.readable[each(9)][0], g.pick(each(4))
		if len(g.indices) == 0 || rapid.Bool().Draw(g.t, "new index") {
			index, out := g.index(each(4)), g.temp(each(4))
			g.emit(&program.MaxPool{Geom: poolGeom, Out: out, Index: index, X: x}, out, each(4), false)
			g.indices = append(g.indices, index)
		}
		index := rapid.SampledFrom(g.indices).Draw(g.t, "index")
		out, old := g.target(each(9), x, d)
		g.emit(&program.PoolScatter{Geom: poolGeom, Out: out, Index: index, X: d, Mask: g.pick(each(4)), MaskFunc: program.Tanh}, out, each(9), old)
		back := g.temp(each(4))
		g.emit(&program.PoolGather{Geom: poolGeom, Out: back, Index: index, X: out}, back, each(4), false)
	case 10:
		x, w, y := g.pick(each(9)), g.pick(whole(8)), g.temp(each(8))
		g.emit(&program.Conv{Dir: program.ConvForward, Geom: convGeom, Out: y, A: x, B: w, Norms: program.None, Epilogue: program.Epilogue{Bias: program.None, Mask: program.None, Func: program.Tanh}}, y, each(8), false)
		out, old := g.target(each(9))
		g.emit(&program.Conv{Dir: program.ConvInput, Geom: convGeom, Out: out, A: y, B: w, Accumulate: old, Norms: program.None, Epilogue: program.NoEpilogue}, out, each(9), old)
		dw := g.temp(whole(8))
		g.emit(&program.Conv{Dir: program.ConvWeight, Geom: convGeom, Out: dw, A: out, B: y, Norms: program.None, Epilogue: program.NoEpilogue}, dw, whole(8), false)
	case 11:
		x := g.pick(size)
		out, old := g.target(size, x)
		g.emit(&program.Softmax{Out: out, X: x, Rows: each(1), Cols: w}, out, size, old)
	}
}

// randomProgram draws a program with all phases and two uncovered stretches in
// the flat vectors.
func randomProgram(t *rapid.T) *program.Program {
	g := &generator{builder: newBuilder(), t: t, readable: map[program.Extent][]program.BufferID{}, writable: map[program.Extent][]program.BufferID{}}
	var grads, vectors, products []program.BufferID
	var shapes []program.Extent
	var before map[program.Extent][]program.BufferID
	var beforeIndices []program.BufferID
	for _, w := range widths {
		x := g.input(each(w))
		g.readable[each(w)] = append(g.readable[each(w)], x)
		for _, size := range []int{w, w * 4, w * 8, w * 9} {
			if len(g.readable[whole(size)]) > 0 {
				continue
			}
			theta, grad, v, hv, norms := g.param(size)
			g.readable[whole(size)] = append(g.readable[whole(size)], theta)
			grads, vectors, products, shapes = append(grads, grad), append(vectors, v), append(products, hv), append(shapes, whole(size))
			if len(shapes) == 1 {
				g.add(program.Noise, &program.DenseNorms{Norms: norms, A: x, B: x, ACols: w, BCols: w}, &program.BiasNorms{Norms: norms, X: x, Channels: w, Inner: 1})
			}
		}
	}
	for ph := range program.NumPhases {
		g.phase = ph
		clear(g.writable)
		if ph == program.Curvature {
			g.readable, g.indices = before, beforeIndices // Noise need not have run
		}
		if ph == program.Noise {
			before, beforeIndices = map[program.Extent][]program.BufferID{}, g.indices
			for size, list := range g.readable {
				before[size] = slices.Clone(list)
			}
		}
		if ph == program.HessianProduct {
			for k, v := range vectors {
				g.readable[shapes[k]] = append(g.readable[shapes[k]], v)
			}
		}
		for range rapid.IntRange(1, 8).Draw(t, "instructions") {
			g.step()
		}
		// The results: every parameter but the second and the last has one.
		for k, size := range shapes {
			if k == 1 || k == len(shapes)-1 {
				continue
			}
			if ph == program.Gradient {
				g.add(ph, &program.Copy{Out: grads[k], X: g.pick(size), Size: size})
			}
			if ph == program.HessianProduct {
				g.add(ph, &program.Copy{Out: products[k], X: g.pick(size), Size: size})
			}
		}
		if ph == program.Forward {
			g.Logits = g.pick(each(8))
			g.Loss = g.scalar()
			one := g.temp(whole(1))
			g.add(ph, &program.Reduce{Out: one, X: g.pick(each(4)), Dims: []program.Extent{each(1), whole(4)}, Axes: []bool{true, true}}, &program.Result{Out: g.Loss, X: one})
		}
	}
	if g.Buffers[g.Logits].Role != program.Temporary {
		g.Logits = program.None // inputs are not to be logits
	}
	return &g.Program
}

// Memory that instructions share must not show: the same program gives the
// same results when every buffer has memory of its own.
func TestRandomProgramsAgreeWithBuffersThatShareNoMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := randomProgram(t)
		m, err := New[float64](p, Options{Capacity: 6, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 2 {
			n := rapid.IntRange(1, 6).Draw(t, "n")
			r := newReference(p, n)
			r.noise = rapid.Bool().Draw(t, "noise")
			for k, id := range p.Inputs {
				random(rnd, r.real[id])
				copy(m.Input(k), r.real[id])
			}
			random(rnd, m.Theta())
			r.setFlat(program.Param, m.Theta())
			m.Gradient(n, r.noise)
			r.run(program.Forward, program.Gradient)
			if r.noise {
				r.run(program.Noise)
			}
			v, hv := make([]float64, p.NumParams), make([]float64, p.NumParams)
			check := func(what string, got, want []float64) {
				if err := differ(got, want, 1e-9); err != nil {
					t.Fatalf("%s, n=%d: %v\n%s", what, n, err, p)
				}
			}
			check("loss", []float64{m.Loss()}, r.real[p.Loss])
			check("gradient", m.Grad(), r.flat(program.Grad))
			if p.Logits != program.None {
				check("logits", m.Logits(n), r.real[p.Logits])
			}
			if r.noise {
				for k := range p.Params {
					check("norms", m.Norms(k), r.real[p.Params[k].Norms])
				}
			}
			for k := range 3 {
				random(rnd, v)
				r.setFlat(program.Vector, v)
				if k == 0 {
					r.run(program.Curvature)
				}
				r.run(program.HessianProduct)
				random(rnd, hv) // any content
				m.Product(hv, v)
				check("product", hv, r.flat(program.Product))
			}
			check("gradient after products", m.Grad(), r.flat(program.Grad))
		}
	})
}

// differ is an error where an element differs by more than tol, relative to
// the largest element or to 1, the size of the values that cancel in it. The
// programs' functions are smooth and chains of at most 40 instructions lose
// few digits.
func differ(got, want []float64, tol float64) error {
	scale := 1.0
	for _, v := range want {
		scale = max(scale, v, -v)
	}
	for i, v := range got {
		if d := v - want[i]; !(d <= tol*scale && -d <= tol*scale) {
			return fmt.Errorf("element %d is %v, want %v", i, v, want[i])
		}
	}
	return nil
}
