//go:build gpu && cgo && linux && amd64

package cuda

import (
	"errors"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/cuda/kernels"
)

// load loads the kernels in the best form that the device takes. The error is that
// of every form.
func load(ctx *driver.Context) (*driver.Module, error) {
	var errs []error
	for _, image := range kernels.Images(ctx.Device().Capability) {
		text, err := image.Bytes()
		if err != nil {
			return nil, err
		}
		module, err := ctx.Load("kernels for "+image.Name, text)
		if err == nil {
			return module, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
