//go:build gpu && cgo && linux && amd64

package cuda

import "sgflow/engine/cuda/driver"

// load loads the kernels.
func load(ctx *driver.Context) (*driver.Module, error) {
	return ctx.Load("kernels", nil)
}
