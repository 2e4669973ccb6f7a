//go:build gpu && cgo && linux && amd64

package driver

// #include "extra.h"
import "C"

import (
	"fmt"
	"math"
	"time"
	"unsafe"

	"gorgonia.org/cu"
)

// Stream is a queue of work on the device: what is queued runs in order. Streams
// run independently of each other.
type Stream struct {
	context *Context
	s       cu.Stream
	capture bool
	counts  Counts
}

// Counts returns the counts since the stream was made.
func (s *Stream) Counts() Counts { return s.counts }

// Dim is a number of blocks or threads along x, y and z; 0 stands for 1.
type Dim struct{ X, Y, Z int }

func (d Dim) sizes() (x, y, z int) { return max(d.X, 1), max(d.Y, 1), max(d.Z, 1) }

// Grid is the shape of a launch.
type Grid struct {
	Blocks      Dim
	Threads     Dim  // of a block
	Shared      int  // bytes of dynamic shared memory of a block
	Cooperative bool // all blocks run at the same time and may wait for each other
}

// Arg is an argument of a kernel: its bytes, from the lowest.
type Arg uint64

// The arguments of kernels by type: a pointer T*, an int, a long long, a float
// and a double.
func Ptr(p Pointer) Arg     { return Arg(p) }
func Int(i int) Arg         { return Arg(uint32(int32(i))) }
func Int64(i int64) Arg     { return Arg(i) }
func Uint64(u uint64) Arg   { return Arg(u) }
func Float32(f float32) Arg { return Arg(math.Float32bits(f)) }
func Float64(f float64) Arg { return Arg(math.Float64bits(f)) }

// NewStream makes a stream that doesn't wait for others, nor others for it.
func (c *Context) NewStream() (*Stream, error) {
	s := &Stream{context: c}
	err := c.do("cuStreamCreate", "making a stream", func() (err error) {
		s.s, err = cu.MakeStream(cu.NonBlocking)
		return err
	})
	return s, err
}

// Close gives the stream back once its work is done.
func (s *Stream) Close() error {
	return s.context.do("cuStreamDestroy", "closing a stream", s.s.Destroy)
}

// Synchronize waits for what is queued. The error may be that of an earlier
// launch; what says what was waited for.
func (s *Stream) Synchronize(what string) error {
	s.counts.Waits++
	return s.context.do("cuStreamSynchronize", what, s.s.Synchronize)
}

// Launch queues a kernel. what names the instruction in errors. The arguments
// must be of the types that the kernel takes, and as many, which is checked where the
// kernel was loaded from PTX.
func (s *Stream) Launch(what string, k Kernel, g Grid, args ...Arg) error {
	gx, gy, gz := g.Blocks.sizes()
	bx, by, bz := g.Threads.sizes()
	what += ", kernel " + k.name
	if !s.capture {
		s.counts.Launches++
	}
	if k.parameters >= 0 && k.parameters != len(args) {
		return &Error{Call: "cuLaunchKernel", What: what, Code: C.CUDA_ERROR_INVALID_VALUE,
			Note: fmt.Sprintf("%d arguments where the kernel takes %d", len(args), k.parameters)}
	}
	var err error
	if g.Cooperative {
		grid := [3]C.uint{C.uint(gx), C.uint(gy), C.uint(gz)}
		block := [3]C.uint{C.uint(bx), C.uint(by), C.uint(bz)}
		err = s.context.code("cuLaunchCooperativeKernel", what, func() int {
			return int(C.extra_launch_cooperative(k.handle(), &grid[0], &block[0], C.uint(g.Shared), s.handle(),
				(*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(args))), C.int(len(args))))
		})
	} else {
		slots := make([]unsafe.Pointer, len(args))
		for i := range args {
			slots[i] = unsafe.Pointer(&args[i])
		}
		err = s.context.do("cuLaunchKernel", what, func() error {
			return k.function.Launch(gx, gy, gz, bx, by, bz, g.Shared, s.s, slots)
		})
	}
	if err == nil && s.context.sync && !s.capture {
		err = s.Synchronize(what)
	}
	return err
}

// Copy queues a copy of bytes between any two addresses. Memory of the host must
// be pinned or managed.
func (s *Stream) Copy(what string, dst, src Pointer, bytes int64) error {
	if !s.capture {
		s.counts.Copies++
	}
	return s.context.do("cuMemcpyAsync", what, func() error {
		return cu.MemcpyAsync(cu.DevicePtr(dst), cu.DevicePtr(src), bytes, s.s)
	})
}

// Fill queues the setting of n 32-bit words.
func (s *Stream) Fill(what string, dst Pointer, word uint32, n int64) error {
	if !s.capture {
		s.counts.Copies++
	}
	return s.context.do("cuMemsetD32Async", what, func() error {
		return cu.MemsetD32Async(cu.DevicePtr(dst), uint(word), n, s.s)
	})
}

// Release says that a capture that s took part in by Wait is joined: what is queued on s from
// now on is not captured.
func (s *Stream) Release() { s.capture = false }

// Hold makes what is queued on s from now on wait until the host has stored 1 at flag,
// which is in pinned memory. Of the driver's functions this alone may be missing: only
// measurements need it.
func (s *Stream) Hold(what string, flag Pointer) error {
	return s.context.do("cuStreamWaitValue32_v2", what, func() error { return s.s.WaitOnValue32(cu.DevicePtr(flag), 1, 0) })
}

// handle is the CUstream, as this package's cgo sees it.
func (s *Stream) handle() C.CUstream { return C.CUstream(unsafe.Pointer(s.s.C())) }

// Event is a point in a stream's work.
type Event struct {
	context *Context
	e       cu.Event
	capture bool // it is a point in captured work
}

// NewEvent makes an event.
func (c *Context) NewEvent() (*Event, error) {
	e := &Event{context: c}
	err := c.do("cuEventCreate", "making an event", func() (err error) {
		e.e, err = cu.MakeEvent(cu.DefaultEvent)
		return err
	})
	return e, err
}

// Close gives the event back.
func (e *Event) Close() error {
	return e.context.do("cuEventDestroy", "closing an event", func() error { return cu.DestroyEvent(&e.e) })
}

// Record puts the event after what is queued on s.
func (s *Stream) Record(e *Event) error {
	e.capture = s.capture
	return s.context.do("cuEventRecord", "recording an event", func() error { return e.e.Record(s.s) })
}

// Wait makes what is queued on s from now on wait for the event. After one of captured work that
// is captured too, until s is released.
func (s *Stream) Wait(e *Event) error {
	s.capture = s.capture || e.capture
	return s.context.do("cuStreamWaitEvent", "waiting for an event", func() error { return s.s.Wait(e.e, 0) })
}

// Synchronize waits for the event. what says what was waited for.
func (e *Event) Synchronize(what string) error {
	return e.context.do("cuEventSynchronize", what, e.e.Synchronize)
}

// Since returns the time on the device between two events that are over.
func (e *Event) Since(start *Event) (time.Duration, error) {
	var ms float64
	err := e.context.do("cuEventElapsedTime", "timing", func() (err error) {
		ms, err = start.e.Elapsed(e.e)
		return err
	})
	return time.Duration(ms * float64(time.Millisecond)), err
}
