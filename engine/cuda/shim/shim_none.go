//go:build !(gpu && cgo && linux && amd64)

package shim

import "errors"

// Load says that the program was built without support for CUDA.
func Load() Status {
	return Status{Err: errors.New("this sgflow was built without CUDA support (make build adds it on Linux, x86-64, with gcc)")}
}
