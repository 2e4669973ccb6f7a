//go:build gpu && cgo && linux && amd64

package driver

// #include <stdlib.h>
// #include "extra.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"

	"gorgonia.org/cu"
)

// Module is a set of kernels, loaded.
type Module struct {
	context *Context
	name    string
	module  C.CUmodule
	cu      cu.Module

	parameters map[string]int // of kernels, by name: how many, as the PTX says
}

// Kernel is a function that runs on the device.
type Kernel struct {
	name       string
	context    *Context
	function   cu.Function
	parameters int // how many; −1 where that is not known
}

// Load loads PTX, which the driver compiles for the device, or a cubin. name is
// what errors call it.
func (c *Context) Load(name string, image []byte) (*Module, error) {
	m := &Module{context: c, name: name, parameters: ptxParameters(image)}
	text := C.CBytes(append(image, 0)) // PTX is a C string
	defer C.free(text)
	const size = 8 << 10
	log := (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(log))
	err := c.code("cuModuleLoadDataEx", "loading "+name, func() int { return int(C.extra_load(text, log, size, &m.module)) })
	if e, ok := err.(*Error); ok {
		e.Note = strings.Join(strings.Fields(C.GoString(log)), " ")
	}
	if err != nil {
		return nil, err
	}
	// cu.Module has the handle as its only field.
	m.cu = *(*cu.Module)(unsafe.Pointer(&m.module))
	return m, nil
}

// Kernel returns the kernel of that name.
func (m *Module) Kernel(name string) (Kernel, error) {
	k := Kernel{name: name, context: m.context, parameters: -1}
	if n, ok := m.parameters[name]; ok {
		k.parameters = n
	}
	err := m.context.do("cuModuleGetFunction", fmt.Sprintf("kernel %s of %s", name, m.name), func() (err error) {
		k.function, err = m.cu.Function(name)
		return err
	})
	return k, err
}

// Unload gives the module back. Its kernels must not be used any more.
func (m *Module) Unload() error {
	return m.context.do("cuModuleUnload", "unloading "+m.name, m.cu.Unload)
}

// Name is the kernel's name.
func (k Kernel) Name() string { return k.name }

// SetDynamicShared allows launches with that many bytes of dynamic shared memory;
// without it a block has 48 KiB of shared memory at most.
func (k Kernel) SetDynamicShared(bytes int) error {
	return k.context.code("cuFuncSetAttribute", fmt.Sprintf("kernel %s: %d bytes of shared memory", k.name, bytes), func() int {
		return int(C.extra_set_dynamic_shared(k.handle(), C.int(bytes)))
	})
}

// Attribute returns a property of the compiled kernel, such as cu.NumRegs.
func (k Kernel) Attribute(a cu.FunctionAttribute) (value int, err error) {
	err = k.context.do("cuFuncGetAttribute", "kernel "+k.name, func() (err error) {
		value, err = k.function.Attribute(a)
		return err
	})
	return value, err
}

// ResidentBlocks returns how many blocks of so many threads, each with so many
// bytes of dynamic shared memory, a multiprocessor runs at a time. A cooperative
// launch can have at most that many times the device's multiprocessors.
func (k Kernel) ResidentBlocks(threads, shared int) (blocks int, err error) {
	err = k.context.do("cuOccupancyMaxActiveBlocksPerMultiprocessor", "kernel "+k.name, func() (err error) {
		blocks, err = k.function.MaxActiveBlocksPerMultiProcessor(threads, int64(shared))
		return err
	})
	return blocks, err
}

// handle is the CUfunction, cu.Function's only field.
func (k Kernel) handle() C.uintptr_t { return *(*C.uintptr_t)(unsafe.Pointer(&k.function)) }
