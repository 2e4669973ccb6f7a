package problem

import (
	"errors"
	"strings"
	"testing"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/request"
)

// noDriver is why there is no CUDA device, in a build with CUDA support too.
func noDriver(t *testing.T) string {
	t.Helper()
	devices, err := driver.Devices()
	if err == nil {
		t.Skipf("there are CUDA devices: %v", devices)
	}
	return err.Error()
}

func wantRequestError(t *testing.T, err error) {
	t.Helper()
	var wrong *request.Error
	if !errors.As(err, &wrong) {
		t.Errorf("not a request.Error: %v", err)
	}
}

func TestAutoTakesTheCPUAndSaysWhy(t *testing.T) {
	for dtype, want := range map[string]string{Float32: noDriver(t), Float64: "float32 only"} {
		d, why, err := chooseDevice("auto", dtype)
		if err != nil || d.Name != "cpu" || !strings.Contains(why, want) {
			t.Errorf("%+v because %q, %v; want %q", d, why, err, want)
		}
		if d.Cores < 1 || d.Model == "" || d.Kernels == "" {
			t.Errorf("incomplete: %+v", d)
		}
	}
}

func TestWrongDevicesAreRequestErrors(t *testing.T) {
	why := noDriver(t)
	for setting, want := range map[string]string{
		"cuda": why, "cuda:3": why, "cuda:": "did you mean", "cuda:-1": "did you mean", "": "did you mean", "gpu": "did you mean",
	} {
		_, _, err := chooseDevice(setting, Float32)
		wantRequestError(t, err)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %q lacks %q", setting, err, want)
		}
	}
	_, _, err := chooseDevice("cuda", Float64)
	wantRequestError(t, err)
}

func TestTF32NeedsADeviceThatHasIt(t *testing.T) {
	c := Default()
	c.Device, c.Precision = "cpu", TF32
	_, err := c.Open()
	wantRequestError(t, err)
	c.Precision = "bf16"
	wantRequestError(t, c.Validate())
}

func TestUnknownKernelsAreARequestError(t *testing.T) {
	t.Setenv(kernel.PathVariable, "sse9")
	_, err := CPU()
	wantRequestError(t, err)
}
