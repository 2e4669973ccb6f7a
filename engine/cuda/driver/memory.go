//go:build gpu && cgo && linux && amd64

package driver

// #include "extra.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"
)

// Pointer is an address in the device's address space.
type Pointer uintptr

// Memory is allocated memory.
type Memory struct {
	Pointer Pointer        // where the device finds it
	Host    unsafe.Pointer // where the host finds it; nil for device memory
	Bytes   int64

	context *Context
	what    string
	kind    kind
}

type kind int

const (
	deviceMemory kind = iota
	managedMemory
	pinnedMemory
)

var kinds = [...]struct{ name, alloc, free string }{
	deviceMemory:  {"device memory", "cuMemAlloc", "cuMemFree"},
	managedMemory: {"managed memory", "cuMemAllocManaged", "cuMemFree"},
	pinnedMemory:  {"pinned host memory", "cuMemHostAlloc", "cuMemFreeHost"},
}

// Alloc allocates device memory, which only the device can use. Its contents are
// undefined. what names it in errors.
func (c *Context) Alloc(what string, bytes int64) (*Memory, error) {
	m := &Memory{Bytes: bytes, context: c, what: what, kind: deviceMemory}
	err := c.do("cuMemAlloc", what, func() error {
		p, err := cu.MemAlloc(max(bytes, 1))
		m.Pointer = Pointer(p)
		return err
	})
	return m.allocated(err)
}

// AllocManaged allocates memory at one address for host and device; the driver
// moves its pages to where they are used. The host must wait for the device's work
// on it before it touches it. It is zero at first.
func (c *Context) AllocManaged(what string, bytes int64) (*Memory, error) {
	return c.allocHost(what, bytes, managedMemory, func(bytes C.size_t, p *unsafe.Pointer) C.int {
		return C.extra_alloc_managed(bytes, p)
	})
}

// AllocPinned allocates host memory that stays in place, which asynchronous
// copies need; the device can use it too, over the bus. It is zero at first.
func (c *Context) AllocPinned(what string, bytes int64) (*Memory, error) {
	return c.allocHost(what, bytes, pinnedMemory, func(bytes C.size_t, p *unsafe.Pointer) C.int {
		return C.extra_alloc_pinned(bytes, p)
	})
}

func (c *Context) allocHost(what string, bytes int64, kind kind, alloc func(C.size_t, *unsafe.Pointer) C.int) (*Memory, error) {
	m := &Memory{Bytes: bytes, context: c, what: what, kind: kind}
	var host unsafe.Pointer
	err := c.code(kinds[kind].alloc, what, func() int { return int(alloc(C.size_t(max(bytes, 1)), &host)) })
	m.Host = host
	m.Pointer = Pointer(uintptr(m.Host))
	if err == nil {
		clear(Slice[byte](m))
	}
	return m.allocated(err)
}

// allocated adds to an error how much memory there is.
func (m *Memory) allocated(err error) (*Memory, error) {
	if err == nil {
		return m, nil
	}
	if OutOfMemory(err) {
		needed := fmt.Sprintf("%d MiB of %s needed", (m.Bytes+1<<20-1)>>20, kinds[m.kind].name)
		if free, total, infoErr := m.context.MemoryInfo(); infoErr == nil {
			needed += fmt.Sprintf(", %d of %d MiB free on cuda:%d", free>>20, total>>20, m.context.device.Index)
		}
		err.(*Error).Note = needed + ": use a smaller batch or another device"
	}
	return nil, err
}

// MemoryInfo returns how many bytes of the device's memory are free, and how many
// it has.
func (c *Context) MemoryInfo() (free, total int64, err error) {
	err = c.do("cuMemGetInfo", "asking for free memory", func() error {
		free, total, err = cu.MemInfo()
		return err
	})
	return free, total, err
}

// Free gives the memory back after the work queued on the device is done. It
// must not be used any more.
func (m *Memory) Free() error {
	if m == nil || m.Pointer == 0 {
		return nil
	}
	err := m.context.do(kinds[m.kind].free, m.what, func() error {
		if m.kind == pinnedMemory {
			return cu.MemFreeHost(m.Host)
		}
		return cu.MemFree(cu.DevicePtr(m.Pointer))
	})
	m.Pointer, m.Host = 0, nil
	return err
}

// Slice is managed or pinned memory as a slice, shared with the device. It is
// valid until Free.
func Slice[T any](m *Memory) []T {
	var t T
	return unsafe.Slice((*T)(m.Host), int(m.Bytes)/int(unsafe.Sizeof(t)))
}

// At returns the address of element i of memory that holds values of type T.
func At[T any](m *Memory, i int) Pointer {
	var t T
	return m.Pointer + Pointer(i)*Pointer(unsafe.Sizeof(t))
}

// Upload copies src to the device and waits for it: the driver's own function
// returns when src may be changed, which can be before the data has arrived, and
// streams do not wait for it. The copy is on the legacy stream, and only that is
// waited for: waiting for the whole device would break a capture of another
// goroutine, whose streams are independent of that one.
func Upload[T any](c *Context, what string, dst Pointer, src []T) error {
	if len(src) == 0 {
		return nil
	}
	return c.do("cuMemcpyHtoD", what, func() error {
		if err := cu.MemcpyHtoD(cu.DevicePtr(dst), unsafe.Pointer(&src[0]), int64(len(src))*int64(unsafe.Sizeof(src[0]))); err != nil {
			return err
		}
		return cu.NoStream.Synchronize()
	})
}

// Download copies from the device to dst and waits for it. Work on other streams
// is not waited for: synchronise the one that writes src first.
func Download[T any](c *Context, what string, dst []T, src Pointer) error {
	if len(dst) == 0 {
		return nil
	}
	return c.do("cuMemcpyDtoH", what, func() error {
		return cu.MemcpyDtoH(unsafe.Pointer(&dst[0]), cu.DevicePtr(src), int64(len(dst))*int64(unsafe.Sizeof(dst[0])))
	})
}
