// Package shim lets a program that uses gorgonia.org/cu be built without a CUDA
// toolkit and start on a machine without an NVIDIA driver.
//
// Package cu links against libcuda, which comes with the driver, and its init
// ends the process where cuInit fails. This package takes libcuda's place at the
// link: it defines every function of include/cuda.h, the project's own header, as
// a jump through a table (trampolines_linux_amd64.S). Until [Load] is called, and
// where it fails, the table's entries return an error; after it they lead into
// the driver's library, opened with dlopen. cu's own cuInit does nothing. So
//
//   - nothing of CUDA happens in a run that never asks for it;
//   - one binary starts everywhere, and says why it can't use CUDA;
//   - a function that an old driver lacks is reported by its name, not called;
//   - tests name another library, the emulator's.
//
// The archive stub/libcuda.a is empty: it satisfies cu's -lcuda and leaves no
// trace in the binary.
//
// Everything is behind the build tag gpu, which needs cgo; without it Load says
// that the program has no CUDA support. (The tag cuda would switch on Gorgonia's
// own CUDA code.)
//
// The shim knows libraries and functions. Whether a driver is good enough, and
// all calls into it, are package driver's.
package shim

//go:generate go run ./gen

// DefaultLibrary is the driver's library as the loader knows it.
const DefaultLibrary = "libcuda.so.1"

// LibraryVariable is the environment variable that names another library than
// [DefaultLibrary], as a path or as a name that the loader finds.
const LibraryVariable = "SGFLOW_LIBCUDA"

// Status is what became of loading the driver.
type Status struct {
	Library string   // what was opened
	Err     error    // why it could not be opened; the rest is empty then
	Init    int      // what cuInit returned: 0, or the driver's number of an error
	Lacks   []string // functions of include/cuda.h that the driver does not have
}
