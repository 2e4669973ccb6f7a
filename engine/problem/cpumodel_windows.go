package problem

import (
	"strings"

	"golang.org/x/sys/windows/registry"
)

// cpuModel returns the processor's name, "" where the registry has none.
func cpuModel() string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DESCRIPTION\System\CentralProcessor\0`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	name, _, err := key.GetStringValue("ProcessorNameString")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(name)
}

// cpuClock returns 0: these systems do not say.
func cpuClock() float64 { return 0 }
