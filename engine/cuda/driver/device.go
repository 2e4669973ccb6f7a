package driver

import "fmt"

// What a device must have: the kernels are compiled to PTX for compute
// capability 7.5 (Turing, 2018), which the driver of CUDA 11.8 can read.
const (
	MinimumCapability = 75    // major·10 + minor
	MinimumDriver     = 11080 // as cuDriverGetVersion counts
)

// Device is a CUDA device.
type Device struct {
	Index               int    `json:"index"`                 // as in cuda:N
	Name                string `json:"name"`                  // as the maker calls it
	Capability          int    `json:"capability"`            // major·10 + minor
	Memory              int64  `json:"memory"`                // bytes
	Multiprocessors     int    `json:"multiprocessors"`       // each runs several blocks at a time
	Clock               int    `json:"clock"`                 // of the multiprocessors at most, in kHz
	SharedMemory        int    `json:"shared_memory"`         // bytes a block can have
	ThreadsPerProcessor int    `json:"threads_per_processor"` // resident at most
	Managed             bool   `json:"managed"`               // host and device may use managed memory at the same time
	Cooperative         bool   `json:"cooperative"`           // has cooperative launches
	Driver              int    `json:"driver"`                // CUDA version of the driver: major·1000 + minor·10
}

// String names what the last digits of a run may depend on.
func (d Device) String() string {
	return fmt.Sprintf("cuda:%d: %s, compute capability %s", d.Index, d.Name, d.CapabilityString())
}

// CapabilityString is the compute capability as NVIDIA writes it, such as 9.0.
func (d Device) CapabilityString() string {
	return fmt.Sprintf("%d.%d", d.Capability/10, d.Capability%10)
}

// DriverString is the CUDA version of the driver, such as 12.4.
func (d Device) DriverString() string { return versionString(d.Driver) }

func versionString(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// Usable says why sgflow can't use the device; nil where it can.
func (d Device) Usable() error {
	if d.Capability < MinimumCapability {
		return fmt.Errorf("%s has compute capability %s; sgflow needs %d.%d or later (Turing, 2018)",
			d.Name, d.CapabilityString(), MinimumCapability/10, MinimumCapability%10)
	}
	return nil
}

// Counts is how often the host has asked a stream for something that takes it and the
// device some time, beside what was captured.
type Counts struct {
	Waits    int // for all that was queued
	Launches int // of kernels
	Copies   int // and fills
	Graphs   int
}
