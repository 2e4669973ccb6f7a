//go:build gpu && cgo && linux && amd64

package cuda

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/steps"
)

// Where memory is too little for branches, steps are taken without and measure the same; where
// it is too little for those, the error says so.
func TestBranchesAreGivenUpWhereMemoryIsLittle(t *testing.T) {
	if os.Getenv(MemoryVariable) == "pinned" {
		t.Skip("without managed memory there are no branches")
	}
	const capacity, batch, count = 512, 3, 3
	p, d := preset(t, "cnn:conv4k5,maxpool4,conv6k3,maxpool2,fc10"), testDevice(t)
	if !emulated(t) {
		t.Skip("only the emulator has as much memory as it is told")
	}
	run := func(mib int) (numbers []float64, branches bool, err error) {
		t.Setenv("SGFLOW_EMULATOR_MEMORY_MIB", strconv.Itoa(mib))
		m, err := New(p, Options{Capacity: capacity, Device: d})
		if err != nil {
			return nil, false, err
		}
		defer m.Close()
		if !m.SetData([][]uint8{slices.Repeat([]uint8{1, 2, 250, 4}, 784)}, [][]int32{{0, 1, 2, 3}}, make([]float32, 256), 10) {
			t.Fatal("MNIST does not fit")
		}
		for i := range m.Theta() {
			m.Theta()[i] = float32(i%7-3) / 32
		}
		z, hz, hg := m.NewVector(p.NumParams), m.NewVector(p.NumParams), m.NewVector(p.NumParams)
		var sums [3]float64
		name := m.Record(func() {
			m.Product(hg, m.Grad())
			m.DotTo(&sums[0], m.Grad(), hg)
			m.Fork()
			m.Signs(z, benchStream)
			m.Product(hz, z)
			m.DotTo(&sums[1], z, hz)
			m.Join()
			m.DotTo(&sums[2], m.Grad(), m.Grad())
		})
		var results steps.Results
		m.Start(&steps.Request[float32]{Batch: batch, Indices: []int32{0, 1, 2, 1, 2, 3, 3, 3, 0}, Rates: []float64{1, 1, 1}, Recording: name})
		m.Finish(&results)
		for k := range count {
			m.Deliver(name, steps.Row(results.Numbers, k))
			numbers = append(numbers, sums[:]...)
		}
		return numbers, m.side != nil, m.Err()
	}
	want, branches, err := run(1000)
	if err != nil || !branches || slices.Contains(want, 0) {
		t.Fatalf("numbers %v, branches %v, %v", want, branches, err)
	}
	t.Setenv(BranchesVariable, "off")
	if numbers, branches, err := run(1000); err != nil || branches || !slices.Equal(numbers, want) {
		t.Errorf("with %s=off: numbers %v, want %v; branches %v, %v", BranchesVariable, numbers, want, branches, err)
	}
	t.Setenv(BranchesVariable, "")
	var without, failed int
	for mib := 8; ; mib++ {
		numbers, branches, err := run(mib)
		switch {
		case err != nil && !driver.OutOfMemory(err):
			t.Fatalf("with %d MiB: %v", mib, err)
		case err != nil:
			failed++
			continue
		case !slices.Equal(numbers, want):
			t.Errorf("with %d MiB: numbers %v, want %v", mib, numbers, want)
		}
		if branches {
			break
		}
		without++
	}
	if without == 0 || failed == 0 {
		t.Errorf("%d sizes of memory are too little, %d for branches alone", failed, without)
	}
}
