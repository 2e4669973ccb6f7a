//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"sgflow/engine/cpu"
	"sgflow/engine/program"
)

// The kernels are tested against package cpu in float64, which is tested against
// plain loops.

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

func (b *builder) add(in ...program.Instr) {
	b.Phases[program.Forward] = append(b.Phases[program.Forward], in...)
}

// result adds the instruction and makes out, which it computes, the program's
// result: the logits.
func (b *builder) result(out program.BufferID, in ...program.Instr) *program.Program {
	b.add(in...)
	b.Logits = out
	return &b.Program
}

// extent multiplies extents.
func extent(factors ...program.Extent) program.Extent {
	r := program.Extent{N: 1}
	for _, f := range factors {
		r.N *= f.N
		r.Batch = r.Batch || f.Batch
	}
	return r
}

// sizes are the batch sizes that programs are tested at.
var sizes = []struct{ capacity, n int }{{1, 1}, {5, 3}, {20, 17}}

// tolerance is the error allowed relative to the largest element of a result: the
// tests sum fewer than 10³ products of elements of order 1 in float32.
const tolerance = 2e-5

// newMachine returns a machine that thinks the device has so many multiprocessors:
// few make large tiles and unsplit sums, many small tiles and split ones.
func newMachine(t testing.TB, p *program.Program, capacity, multiprocessors int) *Machine {
	t.Helper()
	return newMachineOf(t, p, Options{Capacity: capacity, Multiprocessors: multiprocessors})
}

// newMachineOf returns a machine on the device that tests run on.
func newMachineOf(t testing.TB, p *program.Program, o Options) *Machine {
	t.Helper()
	o.Device = testDevice(t)
	m, err := New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Close()
		if err := m.Err(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// checkForward runs the Forward phase of p on random inputs and compares its
// logits, loss and count with the processor's. Inputs may be adjusted by prepare,
// which gets their number among the inputs.
func checkForward(t *testing.T, p *program.Program, prepare func(input int, v []float64)) {
	t.Helper()
	for _, size := range sizes {
		for _, multiprocessors := range []int{1, 64} {
			checkForwardOf(t, p, size.n, Options{Capacity: size.capacity, Multiprocessors: multiprocessors}, tolerance, prepare)
		}
	}
}

// checkForwardOf is checkForward for n samples on one machine.
func checkForwardOf(t *testing.T, p *program.Program, n int, o Options, tol float64, prepare func(input int, v []float64)) {
	t.Helper()
	m := newMachineOf(t, p, o)
	want, err := cpu.New[float64](p, cpu.Options{Capacity: o.Capacity, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for k, id := range p.Inputs {
		v := make([]float64, p.Buffer(id).Len(n))
		for i := range v {
			v[i] = float64(float32(r.Float64()*2 - 1))
		}
		if prepare != nil {
			prepare(k, v)
		}
		for i := range m.Input(k) {
			m.Input(k)[i] = float32(math.NaN()) // what lies beyond n is not to be used
		}
		for i, x := range v {
			m.Input(k)[i], want.Input(k)[i] = float32(x), x
		}
	}
	m.Forward(n)
	want.Forward(n)
	name := fmt.Sprintf("n=%d of %d, %d multiprocessors", n, o.Capacity, o.Multiprocessors)
	if p.Logits != program.None {
		compare(t, name, m.Logits(n), want.Logits(n), tol)
	}
	compare(t, name+", loss", []float64{m.Loss()}, []float64{want.Loss()}, tol)
	if m.Correct() != want.Correct() {
		t.Errorf("%s: %d correct, want %d", name, m.Correct(), want.Correct())
	}
	if err := m.Err(); err != nil {
		t.Fatal(err)
	}
}

// compare fails where got differs from want by more than tol times the largest
// element.
func compare[T float32 | float64](t *testing.T, what string, got []T, want []float64, tol float64) {
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
