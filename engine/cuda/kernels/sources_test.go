package kernels

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImagesAreCompiledFromTheseSources(t *testing.T) {
	want, err := SourceSum(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join("images", SumFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("the kernels were changed since their images were made: run make generate, and commit engine/cuda/kernels/images")
	}
}

// The driver may start a launch before the one that it depends on has ended: a kernel
// that does not wait for that reads what is not there yet. No emulator would notice.
func TestEveryKernelBeginsByWaiting(t *testing.T) {
	files, err := filepath.Glob("*.cu")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kernels := strings.Split(strings.ReplaceAll(string(text), "\\\n", "\n"), "KERNEL ")
		for _, kernel := range kernels[1:] {
			found++
			head, body, _ := strings.Cut(kernel, "{")
			if first, _, _ := strings.Cut(strings.TrimSpace(body), "\n"); strings.TrimSpace(first) != "begin();" {
				t.Errorf("%s: %s … begins with %q, not with begin()", file, strings.Join(strings.Fields(head)[:2], " "), first)
			}
		}
	}
	if found < 40 {
		t.Errorf("%d kernels found: is the macro KERNEL used no more?", found)
	}
}
