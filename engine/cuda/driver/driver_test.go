//go:build gpu && cgo && linux && amd64

package driver

import (
	"os"
	"testing"

	"sgflow/engine/cuda/emulator"
)

//go:generate env CGO_ENABLED=1 go run ../kernels/gen -in testdata -out testdata/images

func TestMain(m *testing.M) { os.Exit(emulator.Run(m, "testdata")) }

// open opens the first device for a test.
func open(t testing.TB) *Context {
	t.Helper()
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(devices[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !t.Failed() {
			t.Error(err)
		}
	})
	return c
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestKernelRunsOnDeviceMemory(t *testing.T) {
	c := open(t)
	module := must[*Module](t)(c.Load("testdata", testImage(t)))
	axpy := must[Kernel](t)(module.Kernel("axpy"))
	const n = 1000
	x, y := must[*Memory](t)(c.Alloc("x", 4*n)), must[*Memory](t)(c.Alloc("y", 4*n))
	values, ones := make([]float32, n), make([]float32, n)
	for i := range values {
		values[i], ones[i] = float32(i), 1
	}
	check(t, Upload(c, "x", x.Pointer, values))
	check(t, Upload(c, "y", y.Pointer, ones))
	s := must[*Stream](t)(c.NewStream())
	check(t, s.Launch("y += 2x", axpy, Grid{Blocks: Dim{X: (n + 255) / 256}, Threads: Dim{X: 256}},
		Float32(2), Ptr(x.Pointer), Ptr(y.Pointer), Int(n)))
	check(t, s.Synchronize("y"))
	got := make([]float32, n)
	check(t, Download(c, "y", got, y.Pointer))
	for i := range got {
		if want := 2*float32(i) + 1; got[i] != want {
			t.Fatalf("y[%d] = %v, want %v", i, got[i], want)
		}
	}
}

// testImage is the kernels of testdata.
func testImage(t testing.TB) []byte {
	t.Helper()
	_, ptx, err := emulator.Image("testdata")
	check(t, err)
	return ptx
}
