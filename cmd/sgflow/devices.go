package main

import (
	"fmt"
	"strings"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/problem"
)

// devicesCommand is `sgflow devices`.
type devicesCommand struct{}

// Help returns the text below the summary in --help.
func (devicesCommand) Help() string {
	return "With --json a line is a device as --device takes it, or says why there is no CUDA device.\n\nExample:\n\n  sgflow devices --json"
}

// cudaDevice is a line of the list about a CUDA device, or about there being none.
type cudaDevice struct {
	Name            string `json:"device"`                    // cuda:N; cuda where there is none
	Model           string `json:"model,omitempty"`           // as the maker calls it
	Capability      string `json:"capability,omitempty"`      // compute capability
	Memory          int64  `json:"memory,omitempty"`          // bytes
	Multiprocessors int    `json:"multiprocessors,omitempty"` // how many
	Driver          string `json:"driver,omitempty"`          // the CUDA version it supports
	Unavailable     string `json:"unavailable,omitempty"`     // why it can't be used
}

// String is the line as text.
func (d cudaDevice) String() string {
	if d.Model == "" {
		return fmt.Sprintf("%s: none: %s", d.Name, d.Unavailable)
	}
	text := fmt.Sprintf("%s: %s, compute capability %s, %.1f GiB, %d multiprocessors, driver for CUDA %s",
		d.Name, d.Model, d.Capability, float64(d.Memory)/(1<<30), d.Multiprocessors, d.Driver)
	if d.Unavailable != "" {
		text += ": can't be used: " + d.Unavailable
	}
	return text
}

// cudaDevices returns what there is to say about CUDA.
func cudaDevices() []cudaDevice {
	devices, err := driver.Devices()
	if err != nil {
		return []cudaDevice{{Name: "cuda", Unavailable: err.Error()}}
	}
	list := make([]cudaDevice, len(devices))
	for i, d := range devices {
		list[i] = cudaDevice{
			Name: fmt.Sprintf("cuda:%d", d.Index), Model: d.Name, Capability: d.CapabilityString(), Memory: d.Memory,
			Multiprocessors: d.Multiprocessors, Driver: d.DriverString(),
		}
		if err := d.Usable(); err != nil {
			list[i].Unavailable = err.Error()
		}
	}
	return list
}

// Run runs the command.
func (devicesCommand) Run(a *app) error {
	cpu, err := problem.CPU()
	if err != nil {
		return err
	}
	list := cudaDevices()
	if a.json {
		if err := a.print(cpu); err != nil {
			return err
		}
		for _, d := range list {
			if err := a.print(d); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores\n", cpu, cpu.Cores)
	for _, d := range list {
		fmt.Fprintln(&b, d)
	}
	return a.write(b.String())
}
