package emulator

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"sgflow/engine/cuda/kernels"
	"sgflow/engine/cuda/shim"
)

// Run is the main function of tests that need a CUDA device: it runs them on the
// emulator, with the kernels of the folder's [Image], or, where
// [shim.LibraryVariable] is set, on that driver. Where there is no g++ it says so and
// runs none.
func Run(m interface{ Run() int }, folder string) int {
	if os.Getenv(shim.LibraryVariable) != "" {
		return m.Run()
	}
	name, module, err := Image(folder)
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

// Image returns the PTX that the emulated device takes, of what the .cu files of a
// folder are compiled to: images/compute_NN.ptx.gz with the largest NN that its compute
// capability allows. The name is the file's without .gz. Images of other sources than
// those in the folder are an error.
func Image(folder string) (name string, ptx []byte, err error) {
	want, err := kernels.SourceSum(os.DirFS(folder))
	if err != nil {
		return "", nil, fmt.Errorf("cuda emulator: %w", err)
	}
	images := filepath.Join(folder, "images")
	if sum, err := os.ReadFile(filepath.Join(images, kernels.SumFile)); err != nil || string(sum) != want {
		return "", nil, fmt.Errorf("cuda emulator: the kernels in %s were changed since they were compiled: run make generate", folder)
	}
	for capability := capability(); capability > 0; capability-- {
		name = fmt.Sprintf("compute_%d.ptx", capability)
		packed, err := os.ReadFile(filepath.Join(images, name+".gz"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("cuda emulator: %w", err)
		}
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err == nil {
			ptx, err = io.ReadAll(z)
		}
		if err != nil {
			return "", nil, fmt.Errorf("cuda emulator: %s: %w", name, err)
		}
		return name, ptx, nil
	}
	return "", nil, fmt.Errorf("cuda emulator: no PTX in %s for a device of compute capability %d", images, capability())
}

// capability is the compute capability of the emulated device, major·10 + minor.
func capability() int {
	if n, err := strconv.Atoi(os.Getenv("SGFLOW_EMULATOR_CAPABILITY")); err == nil {
		return n
	}
	return 80
}
