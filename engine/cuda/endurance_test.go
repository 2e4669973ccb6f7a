//go:build gpu && cgo && linux && amd64

package cuda

import (
	"math"
	"strings"
	"testing"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/steps"
)

// emulated reports whether tests run on the emulator, which is slow.
func emulated(t testing.TB) bool { return strings.Contains(testDevice(t).Name, "emulator") }

func TestTooLittleMemoryIsAnErrorThatSaysHowMuch(t *testing.T) {
	d := testDevice(t)
	p := preset(t, "cnn")
	ctx, err := driver.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer ctx.Close()
	free, _, err := ctx.MemoryInfo()
	if err != nil {
		t.Fatal(err)
	}
	const left = 1 << 30
	if free > left {
		ballast, err := ctx.Alloc("ballast", free-left)
		if err != nil {
			t.Fatal(err)
		}
		defer ballast.Free()
	}
	_, err = New(p, Options{Capacity: int(min(free, left) / (1 << 14)), Device: d})
	if err == nil || !driver.OutOfMemory(err) || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("error %v", err)
	}
	m := newMachine(t, p, 1, 0) // the device is usable after that
	m.Gradient(1, false)
	if loss := m.Loss(); math.IsNaN(loss) {
		t.Errorf("loss %v after an error of another machine", loss)
	}
}

// TestTenThousandSteps trains for long (for short on the emulator) and finds the
// device's memory as it was.
func TestTenThousandSteps(t *testing.T) {
	runs := 10_000/steps.Most + 1
	if emulated(t) {
		runs = 1
	}
	m := newMachine(t, preset(t, "mlp:784-6-10"), 4, 0)
	if !m.SetData([][]uint8{make([]uint8, 50*784)}, [][]int32{make([]int32, 50)}, make([]float32, 256), 10) {
		t.Fatal("MNIST does not fit")
	}
	indices, rates := make([]int32, 4*steps.Most), make([]float64, steps.Most)
	for i := range indices {
		indices[i] = int32(i % 50)
	}
	for i := range rates {
		rates[i] = 0.01
	}
	velocity := m.NewVector(m.program.NumParams)
	var results steps.Results
	c := steps.Request[float32]{
		Batch: 4, Indices: indices, Rates: rates, Optimizer: optim.Optimizer[float32]{Update: optim.Update{Momentum: 0.5}, Velocity: velocity},
	}
	m.Start(&c)
	m.Finish(&results)
	m.Wait()
	before, _, err := m.ctx.MemoryInfo()
	if err != nil {
		t.Fatal(err)
	}
	first := results.Losses[0]
	m.Start(&c)
	for range runs {
		m.Start(&c)
		m.Finish(&results)
	}
	m.Finish(&results)
	m.Wait()
	if after, _, err := m.ctx.MemoryInfo(); err != nil || after < before {
		t.Errorf("%d bytes free after, %d before, %v", after, before, err)
	}
	if last := results.Losses[steps.Most-1]; !(last < first) {
		t.Errorf("loss %v at first, %v at last", first, last)
	}
	if err := m.Err(); err != nil {
		t.Error(err)
	}
}
