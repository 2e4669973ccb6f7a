package problem

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// cpuModel returns the processor's name, "" where the kernel gives none (as on
// most ARM machines).
func cpuModel() string { return cpuInfo("model name") }

// cpuClock returns the first core's clock in MHz, 0 where the kernel gives none.
func cpuClock() float64 {
	mhz, err := strconv.ParseFloat(cpuInfo("cpu MHz"), 64)
	if err != nil {
		return 0
	}
	return mhz
}

// cpuInfo returns what the kernel says of the first core, "" for nothing.
func cpuInfo(what string) string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.TrimSpace(key) == what {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
