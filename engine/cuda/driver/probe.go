//go:build gpu && cgo && linux && amd64

package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/cu"

	"sgflow/engine/cuda/shim"
)

// Devices lists the CUDA devices in the driver's order, those that are too old
// for sgflow too. The error says why there is none: no driver, one that is too
// old or lacks something, or one that found no device.
//
// The first call loads the driver. It may be called concurrently.
func Devices() ([]Device, error) {
	s := shim.Load()
	if s.Err != nil {
		return nil, s.Err
	}
	if slices.Contains(s.Lacks, "cuDriverGetVersion") {
		return nil, fmt.Errorf("the NVIDIA driver (%s) lacks cuDriverGetVersion: is it one?", s.Library)
	}
	version := cu.Version()
	if version < MinimumDriver {
		return nil, fmt.Errorf("the NVIDIA driver (%s) supports CUDA %s; sgflow needs %s or later: update the driver",
			s.Library, versionString(version), versionString(MinimumDriver))
	}
	if missing := lacking(s.Lacks); len(missing) > 0 {
		return nil, fmt.Errorf("the NVIDIA driver (%s, CUDA %s) lacks %s: update the driver",
			s.Library, versionString(version), strings.Join(missing, ", "))
	}
	if s.Init != 0 {
		return nil, fmt.Errorf("the NVIDIA driver (%s, CUDA %s) does not start: %s", s.Library, versionString(version), describe(s.Init))
	}
	count, err := cu.NumDevices()
	if err != nil {
		return nil, newError("cuDeviceGetCount", "counting devices", err)
	}
	if count == 0 {
		return nil, errors.New("the NVIDIA driver found no device")
	}
	devices := make([]Device, count)
	for i := range devices {
		if devices[i], err = query(i); err != nil {
			return nil, err
		}
		devices[i].Driver = version
	}
	return devices, nil
}

// lacking returns those of the absent functions that sgflow calls.
func lacking(absent []string) []string {
	var missing []string
	for _, name := range absent {
		if slices.Contains(required, name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// query asks the driver what device i is like.
func query(i int) (Device, error) {
	d := Device{Index: i}
	dev, err := cu.GetDevice(i)
	if err != nil {
		return d, newError("cuDeviceGet", fmt.Sprintf("device %d", i), err)
	}
	if d.Name, err = dev.Name(); err != nil {
		return d, newError("cuDeviceGetName", fmt.Sprintf("device %d", i), err)
	}
	if d.Memory, err = dev.TotalMem(); err != nil {
		return d, newError("cuDeviceTotalMem", fmt.Sprintf("device %d", i), err)
	}
	var major, minor, managed, cooperative int
	for _, a := range []struct {
		value     *int
		attribute cu.DeviceAttribute
	}{
		{&major, cu.ComputeCapabilityMajor},
		{&minor, cu.ComputeCapabilityMinor},
		{&d.Multiprocessors, cu.MultiprocessorCount},
		{&d.Clock, cu.ClockRate},
		{&d.SharedMemory, maxSharedMemoryPerBlockOptin},
		{&d.ThreadsPerProcessor, cu.MaxThreadsPerMultiprocessor},
		{&managed, cu.ConcurrentManagedAccess},
		{&cooperative, cooperativeLaunch},
	} {
		if *a.value, err = dev.Attribute(a.attribute); err != nil {
			return d, newError("cuDeviceGetAttribute", fmt.Sprintf("device %d", i), err)
		}
	}
	d.Capability, d.Managed, d.Cooperative = 10*major+minor, managed != 0, cooperative != 0
	return d, nil
}

// Attributes that package cu does not name, by their numbers in the CUDA driver
// API (CUdevice_attribute).
const (
	cooperativeLaunch            cu.DeviceAttribute = 95
	maxSharedMemoryPerBlockOptin cu.DeviceAttribute = 97
)
