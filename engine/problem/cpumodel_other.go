//go:build !linux && !darwin && !windows

package problem

// cpuModel returns "": there is no common way to ask these systems.
func cpuModel() string { return "" }

// cpuClock returns 0: these systems do not say.
func cpuClock() float64 { return 0 }
