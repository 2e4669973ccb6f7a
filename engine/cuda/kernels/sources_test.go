package kernels

import (
	"os"
	"path/filepath"
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
