package problem

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/request"
)

// The values of the device setting.
const (
	deviceAuto = "auto"
	deviceCPU  = "cpu"
	deviceCUDA = "cuda"
)

// Device is something that runs can compute on.
type Device struct {
	Name    string `json:"device"`  // as the device setting takes it
	Model   string `json:"model"`   // as the maker calls it; the architecture where unknown
	Cores   int    `json:"cores"`   // that a run takes by default
	Kernels string `json:"kernels"` // the kind of code it runs: avx512, avx2 or portable; sm_90 and the like

	CUDA *driver.Device `json:"-"` // nil for the processor
}

// CPU describes this machine's processor. The error is that of an environment
// that asks for kernels the processor lacks.
func CPU() (Device, error) {
	path, err := kernel.FromEnv()
	if err != nil {
		return Device{}, request.Wrap(err)
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

// Describe says what computes, with so many threads if it is the processor.
func (d Device) Describe(threads int) string {
	if d.CUDA != nil {
		return fmt.Sprintf("%s, %s, %d multiprocessors, %s", d.Name, d.Model, d.Cores, d.Kernels)
	}
	return fmt.Sprintf("%s, %s, %d of %d cores, %s kernels", d.Name, d.Model, threads, d.Cores, d.Kernels)
}

// Find returns the device that the problem is to be computed on. The error is a
// request.Error that says why there is none.
func (p *Problem) Find() (Device, error) {
	d, _, err := chooseDevice(p.Device, p.DType)
	return d, err
}

// Clock returns the device's clock in MHz: a processor's as it is now, a GPU's at
// most; 0 where it is not known.
func (d Device) Clock() float64 {
	if d.CUDA != nil {
		return float64(d.CUDA.Clock) / 1e3
	}
	return cpuClock()
}

// chooseDevice returns the device that the setting asks for and why it is that
// one.
func chooseDevice(setting, dtype string) (Device, string, error) {
	why := "as asked for"
	number, isCUDA := cudaNumber(setting)
	switch {
	case setting == deviceCPU:
	case setting == deviceAuto && dtype == Float64:
		why = "auto: CUDA devices compute in float32 only"
	case setting == deviceAuto:
		d, err := cuda(0)
		if err == nil {
			return d, "auto: the first CUDA device", nil
		}
		why = "auto: " + err.Error()
	case isCUDA && dtype == Float64:
		return Device{}, "", request.Wrap(fmt.Errorf("--device %s: CUDA devices compute in float32 only: use --dtype float32, or --device cpu", setting))
	case isCUDA:
		d, err := cuda(number)
		if err != nil {
			err = fmt.Errorf("--device %s: %w: use --device cpu", setting, err)
		}
		return d, why, request.Wrap(err)
	case strings.HasPrefix(strings.ToLower(setting), "gpu"): // which is nearer to cpu
		return Device{}, "", request.BadValue("device", strconv.Quote(setting), "did you mean cuda? There are auto, cpu, cuda, cuda:N")
	default:
		return Device{}, "", request.Unknown("device", setting, deviceAuto, deviceCPU, deviceCUDA, deviceCUDA+":N")
	}
	d, err := CPU()
	return d, why, err
}

// cuda returns the CUDA device of that number; the error says why there is none.
func cuda(number int) (Device, error) {
	devices, err := driver.Devices()
	if err != nil {
		return Device{}, err
	}
	if number >= len(devices) && len(devices) == 1 {
		return Device{}, fmt.Errorf("the only CUDA device is cuda:0")
	}
	if number >= len(devices) {
		return Device{}, fmt.Errorf("the CUDA devices are cuda:0 to cuda:%d", len(devices)-1)
	}
	d := devices[number]
	return Device{
		Name: fmt.Sprintf("%s:%d", deviceCUDA, number), Model: d.Name, Cores: d.Multiprocessors, Kernels: fmt.Sprintf("sm_%d", d.Capability), CUDA: &d,
	}, d.Usable()
}

// cudaNumber returns N of cuda:N, 0 of cuda; ok is false for another setting.
func cudaNumber(setting string) (number int, ok bool) {
	text, ok := strings.CutPrefix(setting, deviceCUDA+":")
	if !ok {
		return 0, setting == deviceCUDA
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}
