//go:build gpu && cgo && linux && amd64

package driver

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"gorgonia.org/cu"
)

// SyncVariable is the environment variable that, when not empty, makes every
// launch wait for its end, so that an error is reported by the instruction that
// caused it and not by the next one that waits. Nothing can be captured then.
const SyncVariable = "SGFLOW_CUDA_SYNC"

// Context is the primary context of a device. Its methods, and those of what is
// made in it, may be called by any goroutine, and concurrently as far as the work
// itself allows it.
type Context struct {
	device Device
	cu     cu.Device
	ctx    cu.CUContext
	sync   bool
	broken atomic.Pointer[Error] // the error that ended the context
}

// Open retains the primary context of a device. The caller must Close it.
func Open(d Device) (*Context, error) {
	if err := d.Usable(); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("opening cuda:%d", d.Index)
	dev, err := cu.GetDevice(d.Index)
	if err != nil {
		return nil, newError("cuDeviceGet", what, err)
	}
	ctx, err := dev.RetainPrimaryCtx()
	if err != nil {
		return nil, newError("cuDevicePrimaryCtxRetain", what, err)
	}
	return &Context{device: d, cu: dev, ctx: ctx, sync: os.Getenv(SyncVariable) != ""}, nil
}

// Device describes the device.
func (c *Context) Device() Device { return c.device }

// Close gives the context back. Work on its streams should have been waited for;
// what was made in the context is gone when its last user closes it.
func (c *Context) Close() error {
	return newError("cuDevicePrimaryCtxRelease", "closing the device", c.cu.ReleasePrimaryCtx())
}

// do calls the driver with the context current. It is the one place that ties a
// goroutine to a thread, which is all that the driver asks for: the context is
// current for a thread, and a goroutine may be moved between two calls.
//
// Once an error has ended the context, do returns it and calls nothing.
func (c *Context) do(call, what string, f func() error) error {
	if err := c.broken.Load(); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(c.ctx); err != nil {
		return c.failed(newError("cuCtxSetCurrent", what, err))
	}
	return c.failed(newError(call, what, f()))
}

// code is do for a function that returns a CUresult.
func (c *Context) code(call, what string, f func() int) error {
	return c.do(call, what, func() error {
		if code := f(); code != 0 {
			return result(code)
		}
		return nil
	})
}

// result is a CUresult as an error, as package cu has it.
type result int

func (r result) Error() string { return describe(int(r)) }

// failed remembers an error that ends the context.
func (c *Context) failed(err error) error {
	var e *Error
	if errors.As(err, &e) && sticky(e.Code) {
		if !c.sync {
			e.Note = "or something queued before it; " + SyncVariable + "=1 tells which"
		}
		c.broken.CompareAndSwap(nil, e)
	}
	return err
}
