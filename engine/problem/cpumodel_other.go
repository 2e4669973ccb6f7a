//go:build !linux && !darwin && !windows

package problem

// cpuModel returns "": there is no common way to ask these systems.
func cpuModel() string { return "" }
