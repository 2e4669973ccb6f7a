//go:build !(gpu && cgo && linux && amd64)

package driver

import "sgflow/engine/cuda/shim"

// Devices says that the program was built without support for CUDA.
func Devices() ([]Device, error) { return nil, shim.Load().Err }
