package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"sgflow/engine/program"
)

// builder makes small programs by hand.
type builder struct{ program.Program }

func newBuilder() *builder {
	return &builder{program.Program{Loss: program.None, Correct: program.None, Logits: program.None}}
}

func (b *builder) buffer(buf program.Buffer) program.BufferID {
	b.Buffers = append(b.Buffers, buf)
	return program.BufferID(len(b.Buffers) - 1)
}

// input adds an input of size elements; tests give it random values.
func (b *builder) input(size program.Extent) program.BufferID {
	id := b.buffer(program.Buffer{Role: program.Input, Batched: size.Batch, Shape: []int{size.N}})
	b.Inputs = append(b.Inputs, id)
	return id
}

func (b *builder) temp(size program.Extent) program.BufferID {
	return b.buffer(program.Buffer{Batched: size.Batch, Shape: []int{size.N}})
}

func (b *builder) index(size program.Extent) program.BufferID {
	return b.buffer(program.Buffer{Type: program.Index, Batched: size.Batch, Shape: []int{size.N}})
}

func (b *builder) scalar() program.BufferID {
	return b.buffer(program.Buffer{Role: program.Scalar, Type: program.Double})
}

// param adds a parameter of size elements and returns its buffers in θ, ḡ, v
// and H·v and its norms.
func (b *builder) param(size int) (theta, grad, v, hv, norms program.BufferID) {
	at := func(r program.Role) program.BufferID {
		return b.buffer(program.Buffer{Role: r, Shape: []int{size}, Offset: b.NumParams})
	}
	theta, grad, v, hv = at(program.Param), at(program.Grad), at(program.Vector), at(program.Product)
	norms = b.buffer(program.Buffer{Role: program.SampleNorms, Type: program.Double, Batched: true})
	b.Params = append(b.Params, program.Parameter{Name: fmt.Sprint("p", len(b.Params)), Shape: []int{size}, Offset: b.NumParams, Size: size, Norms: norms})
	b.NumParams += size
	return
}

func (b *builder) add(ph program.Phase, in ...program.Instr) {
	b.Phases[ph] = append(b.Phases[ph], in...)
}

// random fills s with values in ±1 that are exact in float32, no two of them
// closer to each other or to zero than float32 can tell.
func random(r *rand.Rand, s []float64) {
	for i := range s {
		s[i] = float64(float32(r.Float64()*2 - 1))
	}
}

// tolerance is the error allowed relative to the largest element of a result:
// the tests sum fewer than 10³ products of elements of order 1, so a few
// hundred roundings; elementwise functions are good to a few units.
func tolerance[T Float]() float64 {
	var t T
	if _, ok := any(t).(float32); ok {
		return 2e-5
	}
	return 1e-12
}

func compare[T Float](t *testing.T, what string, got []T, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	scale := 0.0
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range got {
		if !(math.Abs(float64(v)-want[i]) <= tol*scale) {
			t.Fatalf("%s[%d] = %v, want %v (largest %v)", what, i, v, want[i], scale)
		}
	}
}

// value reads the first n samples of a buffer of m after a run in which
// nothing reused its memory.
func value[T Float](m *Machine[T], id program.BufferID, n int) []T {
	b := newBinder(m, m.program.Plan(m.capacity))
	buf := m.program.Buffer(id)
	o := b.real(id, program.Extent{N: buf.Width(), Batch: buf.Batched})
	return o.at(n)
}

func newMachine[T Float](t *testing.T, p *program.Program, capacity, threads int) *Machine[T] {
	t.Helper()
	m, err := New[T](p, Options{Capacity: capacity, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// sizes are the batch sizes that programs are tested at.
var sizes = []struct{ capacity, n int }{{1, 1}, {5, 1}, {5, 3}, {5, 5}, {67, 66}}

// checkForward runs the Forward phase of p on random inputs and parameters, in
// both types, on one and two threads and at several sizes, and compares the
// given buffers with the reference. Inputs may be adjusted by prepare.
func checkForward(t *testing.T, p *program.Program, outputs []program.BufferID, prepare func(id program.BufferID, v []float64)) {
	t.Helper()
	checkForwardIn[float32](t, p, outputs, prepare)
	checkForwardIn[float64](t, p, outputs, prepare)
}

func checkForwardIn[T Float](t *testing.T, p *program.Program, outputs []program.BufferID, prepare func(id program.BufferID, v []float64)) {
	t.Helper()
	for _, size := range sizes {
		var first [][]float64
		for threads := 1; threads <= 2; threads++ {
			m := newMachine[T](t, p, size.capacity, threads)
			r := newReference(p, size.n)
			rnd := rand.New(rand.NewPCG(1, 2))
			for k, id := range p.Inputs {
				v := r.real[id]
				random(rnd, v)
				if prepare != nil {
					prepare(id, v)
				}
				for i := range m.Input(k) {
					m.Input(k)[i] = T(math.NaN()) // what lies beyond n is not to be used
				}
				assign(m.Input(k), v)
			}
			theta := make([]float64, p.NumParams)
			random(rnd, theta)
			assign(m.Theta(), theta)
			r.setFlat(program.Param, theta)
			for i := range m.reals {
				m.reals[i] = T(math.NaN()) // temporaries start with any content
			}
			m.Forward(size.n)
			r.run(program.Forward)
			for k, id := range outputs {
				name := fmt.Sprintf("n=%d of %d, %d threads, %T: buffer %d", size.n, size.capacity, threads, *new(T), id)
				var got []float64
				if p.Buffer(id).Type == program.Double {
					got = append(got, (*m.doubles[id])[:len(r.real[id])]...)
				} else {
					for _, v := range value(m, id, size.n) {
						got = append(got, float64(v))
					}
				}
				compare(t, name, got, r.real[id], tolerance[T]())
				if threads == 1 {
					first = append(first, got)
				} else {
					sameBits(t, name, got, first[k])
				}
			}
		}
	}
}

func assign[T Float](dst []T, src []float64) {
	for i, v := range src {
		dst[i] = T(v)
	}
}

func sameBits[T Float](t *testing.T, what string, got, want []T) {
	t.Helper()
	for i := range got {
		if math.Float64bits(float64(got[i])) != math.Float64bits(float64(want[i])) {
			t.Fatalf("%s[%d]: %v with two threads, %v with one", what, i, got[i], want[i])
		}
	}
}

func ids(id ...program.BufferID) []program.BufferID { return id }
