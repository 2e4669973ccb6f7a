package problem

import "golang.org/x/sys/unix"

// cpuModel returns the processor's name, "" where the system gives none.
func cpuModel() string {
	name, err := unix.Sysctl("machdep.cpu.brand_string")
	if err != nil {
		return ""
	}
	return name
}

// cpuClock returns 0: these systems do not say.
func cpuClock() float64 { return 0 }
