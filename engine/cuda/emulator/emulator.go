package emulator

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"sgflow/engine/cuda/shim"
)

// Run is the main function of tests that need a CUDA device: it runs them on the
// emulator, with the kernels of the [Image] in images, or, where
// [shim.LibraryVariable] is set, on that driver. Where there is no g++ it says so and
// runs none.
func Run(m interface{ Run() int }, images fs.FS) int {
	if os.Getenv(shim.LibraryVariable) != "" {
		return m.Run()
	}
	name, module, err := Image(images)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	library, err := Build(name, module)
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

// Image returns the PTX that the emulated device takes, of those in a folder:
// compute_NN.ptx.gz with the largest NN that its compute capability allows. The name
// is the file's without .gz.
func Image(images fs.FS) (name string, ptx []byte, err error) {
	for capability := capability(); capability > 0; capability-- {
		name = fmt.Sprintf("compute_%d.ptx", capability)
		f, err := images.Open(name + ".gz")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("cuda emulator: %w", err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return "", nil, fmt.Errorf("cuda emulator: %s: %w", name, err)
		}
		if ptx, err = io.ReadAll(z); err != nil {
			return "", nil, fmt.Errorf("cuda emulator: %s: %w", name, err)
		}
		return name, ptx, nil
	}
	return "", nil, fmt.Errorf("cuda emulator: no PTX for a device of compute capability %d", capability())
}

// capability is the compute capability of the emulated device, major·10 + minor.
func capability() int {
	if n, err := strconv.Atoi(os.Getenv("SGFLOW_EMULATOR_CAPABILITY")); err == nil {
		return n
	}
	return 80
}
