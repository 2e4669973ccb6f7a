//go:build gpu && cgo && linux && amd64

package emulator_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The numbers of the table are those that follow from the kernels' text.
func TestProfileCountsWhatKernelsExecute(t *testing.T) {
	table := filepath.Join(t.TempDir(), "profile")
	c := exec.Command(os.Args[0], "-test.run", "TestSharedMemory|TestCollectivesOfAWarp|TestVectorTypes")
	c.Env = append(os.Environ(), "SGFLOW_EMULATOR_PROFILE="+table)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(strings.ReplaceAll(line, "|", " ")); len(fields) > 0 {
			got[fields[0]] = fields
		}
	}
	for kernel, want := range map[string]map[int]string{
		// One launch of 96 threads: 128 bytes a warp, and no two words of one bank.
		"reverse": {1: "1", 2: "1", 3: "96", 7: "1", 8: "1", 9: "4.00", 10: "1.00", 11: "1.00", 12: "1.00"},
		// Four barriers; a warp stores 128 bytes at once.
		"rotations": {1: "1", 3: "64", 8: "4", 9: "4.00", 11: "1.00"},
		// Threads' rows of 11 words lie apart: 32 sectors where four would do.
		"votes": {8: "1", 9: "32.00", 10: "8.00"},
	} {
		for column, value := range want {
			if len(got[kernel]) <= column || got[kernel][column] != value {
				t.Errorf("%s: column %d of %v is not %s", kernel, column, got[kernel], value)
			}
		}
	}
}
