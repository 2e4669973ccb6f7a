package kernel

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// An instruction of SSE's encoding between those of AVX makes every one of it wait
// for the upper halves of the registers: two of them, once a row of a pooled plane,
// took half of a CNN's step on a Zen 3.
func TestAssemblyHasNoInstructionInSSEsEncoding(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatal("no assembly", err)
	}
	vector := regexp.MustCompile(`\b[XYZ][0-9]+\b`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			code := strings.TrimSpace(line)
			if vector.MatchString(code) && !strings.HasPrefix(code, "V") && !strings.HasPrefix(code, "K") {
				t.Errorf("%s:%d: %s", file, i+1, code)
			}
		}
	}
}
