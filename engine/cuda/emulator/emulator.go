package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"sgflow/engine/cuda/shim"
)

// Run is the main function of tests that need a CUDA device: it runs them on the
// emulator, with the kernels of sources, or, where [shim.LibraryVariable] is set, on
// that driver. Where there is no g++ it says so and runs none.
func Run(m interface{ Run() int }, sources fs.FS) int {
	if os.Getenv(shim.LibraryVariable) != "" {
		return m.Run()
	}
	library, err := Build(sources)
	if errors.Is(err, ErrNoCompiler) {
		fmt.Println("SKIP: the CUDA emulator is built with g++, which is not installed")
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(shim.LibraryVariable, library)
	return m.Run()
}
