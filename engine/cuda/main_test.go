//go:build gpu && cgo && linux && amd64

package cuda

import (
	"os"
	"testing"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/cuda/emulator"
)

func TestMain(m *testing.M) { os.Exit(emulator.Run(m, os.DirFS("kernels"))) }

// testDevice returns the device that tests run on, real or emulated.
func testDevice(t testing.TB) driver.Device {
	t.Helper()
	devices, err := driver.Devices()
	if err != nil {
		t.Fatal(err)
	}
	return devices[0]
}
