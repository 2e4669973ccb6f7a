package train

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"sgflow/engine/cpu/kernel"
)

// The values of the device setting.
const (
	deviceAuto = "auto"
	deviceCPU  = "cpu"
	deviceCUDA = "cuda"
)

// NoCUDA says why there is no CUDA device.
const NoCUDA = "this build of sgflow has no CUDA support"

// Device is something that runs can compute on.
type Device struct {
	Name    string `json:"device"`  // as the device setting takes it
	Model   string `json:"model"`   // as the maker calls it; the architecture where unknown
	Cores   int    `json:"cores"`   // that a run takes by default
	Kernels string `json:"kernels"` // the kind of code it runs: avx512, avx2 or portable
}

// CPU describes this machine's processor. The error is that of an environment
// that asks for kernels the processor lacks.
func CPU() (Device, error) {
	path, err := kernel.FromEnv()
	if err != nil {
		return Device{}, request(err)
	}
	model := cpuModel()
	if model == "" {
		model = runtime.GOARCH
	}
	return Device{Name: deviceCPU, Model: model, Cores: runtime.GOMAXPROCS(0), Kernels: path.String()}, nil
}

// String names what the last digits of a run may depend on: the device, but
// not how many cores it has.
func (d Device) String() string { return fmt.Sprintf("%s: %s, %s kernels", d.Name, d.Model, d.Kernels) }

// chooseDevice returns the device that the setting asks for and why it is that
// one.
func chooseDevice(setting string) (Device, string, error) {
	why := "as asked for"
	switch {
	case setting == deviceCPU:
	case setting == deviceAuto:
		why = "auto: " + NoCUDA
	case isCUDA(setting):
		return Device{}, "", request(fmt.Errorf("--device %s: %s: use --device cpu", setting, NoCUDA))
	default:
		return Device{}, "", unknownValue("device", setting, deviceAuto, deviceCPU, deviceCUDA, deviceCUDA+":N")
	}
	d, err := CPU()
	return d, why, err
}

// isCUDA reports whether the setting is cuda or cuda:N.
func isCUDA(setting string) bool {
	number, ok := strings.CutPrefix(setting, deviceCUDA+":")
	if !ok {
		return setting == deviceCUDA
	}
	_, err := strconv.ParseUint(number, 10, 16)
	return err == nil
}
