//go:build gpu && cgo && linux && amd64

package engine

import (
	"errors"

	"sgflow/engine/cuda"
	"sgflow/engine/program"
)

// newCUDA makes a machine of the CUDA device that c names.
func newCUDA[T Float](p *program.Program, c Config) (backend[T], error) {
	var t T
	if _, ok := any(t).(float32); !ok {
		return nil, errors.New("a CUDA device computes in float32: use it, or the processor")
	}
	m, err := cuda.New(p, cuda.Options{Capacity: c.Batch, Device: *c.CUDA, TF32: c.TF32})
	if err != nil {
		return nil, err
	}
	return any(m).(backend[T]), nil
}
