//go:build gpu && cgo && linux && amd64

package driver

// #include "extra.h"
import "C"

import (
	"errors"
	"fmt"
	"reflect"

	"sgflow/engine/cuda/shim"
)

// Error is a failed driver call.
type Error struct {
	Call string // such as cuLaunchKernel
	What string // what it was for: the instruction, the buffer
	Code int    // CUresult
	Note string // what else is known
}

// Error is one line: what it was for, the call, the driver's name of the error
// and its description.
func (e *Error) Error() string {
	text := fmt.Sprintf("cuda: %s: %s: %s", e.What, e.Call, describe(e.Code))
	if e.Note != "" {
		text += ": " + e.Note
	}
	return text
}

// OutOfMemory reports whether err is the device's lack of memory.
func OutOfMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == C.CUDA_ERROR_OUT_OF_MEMORY
}

// newError makes an Error of an error that package cu returned.
func newError(call, what string, err error) error {
	if err == nil {
		return nil
	}
	// The type of cu's errors is not exported; its kind is int, its value CUresult.
	if v := reflect.ValueOf(err); v.Kind() == reflect.Int {
		return codeError(call, what, int(v.Int()))
	}
	return fmt.Errorf("cuda: %s: %s: %w", what, call, err)
}

// codeError makes an Error of a CUresult; nil of success.
func codeError(call, what string, code int) error {
	if code == C.CUDA_SUCCESS {
		return nil
	}
	e := &Error{Call: call, What: what, Code: code}
	if code == C.CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND {
		if name := shim.CalledAbsent(); name != "" {
			e.Note = "the driver lacks " + name
		}
	}
	return e
}

// describe is the driver's name of an error with its description.
func describe(code int) string {
	name, text := C.extra_error_name(C.int(code)), C.extra_error_text(C.int(code))
	if name == nil {
		return fmt.Sprintf("error %d", code)
	}
	if text == nil {
		return C.GoString(name)
	}
	return fmt.Sprintf("%s (%s)", C.GoString(name), C.GoString(text))
}

// sticky reports whether the error has ended the context: every later call
// returns it again, and memory is lost.
func sticky(code int) bool {
	switch code {
	case C.CUDA_ERROR_ECC_UNCORRECTABLE, C.CUDA_ERROR_NVLINK_UNCORRECTABLE,
		C.CUDA_ERROR_ILLEGAL_ADDRESS, C.CUDA_ERROR_LAUNCH_TIMEOUT, C.CUDA_ERROR_ASSERT,
		C.CUDA_ERROR_HARDWARE_STACK_ERROR, C.CUDA_ERROR_ILLEGAL_INSTRUCTION, C.CUDA_ERROR_MISALIGNED_ADDRESS,
		C.CUDA_ERROR_INVALID_ADDRESS_SPACE, C.CUDA_ERROR_INVALID_PC, C.CUDA_ERROR_LAUNCH_FAILED,
		C.CUDA_ERROR_CONTEXT_IS_DESTROYED, C.CUDA_ERROR_UNKNOWN:
		return true
	}
	return false
}
