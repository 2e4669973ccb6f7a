//go:build !(gpu && cgo && linux && amd64)

package engine

import (
	"errors"

	"sgflow/engine/program"
)

// newCUDA says that the program was built without support for CUDA.
func newCUDA[T Float](*program.Program, Config) (backend[T], error) {
	return nil, errors.New("this build of sgflow has no CUDA support")
}
