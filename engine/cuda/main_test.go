//go:build gpu && cgo && linux && amd64

package cuda

import (
	"os"
	"testing"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/cuda/emulator"
)

func TestMain(m *testing.M) { os.Exit(emulator.Run(tests{m}, "kernels")) }

// tests runs with the device's context held, which each machine would otherwise make
// anew.
type tests struct{ *testing.M }

func (t tests) Run() int {
	if devices, err := driver.Devices(); err == nil {
		if ctx, err := driver.Open(devices[0]); err == nil {
			defer func() { _ = ctx.Close() }()
		}
	}
	return t.M.Run()
}

// testDevice returns the device that tests run on, real or emulated.
func testDevice(t testing.TB) driver.Device {
	t.Helper()
	devices, err := driver.Devices()
	if err != nil {
		t.Fatal(err)
	}
	return devices[0]
}
