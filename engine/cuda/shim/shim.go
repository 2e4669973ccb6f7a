//go:build gpu && linux && amd64

package shim

// #cgo LDFLAGS: -L${SRCDIR}/stub -Wl,--as-needed -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sync"
	"unsafe"
)

// Load opens the driver's library and initialises the driver, the first time it
// is called. It may be called concurrently.
var Load = sync.OnceValue(load)

func load() Status {
	s := Status{Library: DefaultLibrary}
	if path := os.Getenv(LibraryVariable); path != "" {
		s.Library = path
	}
	path := C.CString(s.Library)
	defer C.free(unsafe.Pointer(path))
	var initialised C.int
	if reason := C.shim_load(path, &initialised); reason != nil {
		s.Err = fmt.Errorf("no NVIDIA driver: %s", C.GoString(reason))
		return s
	}
	s.Init = int(initialised)
	for i := C.int(0); ; i++ {
		name := C.shim_lacks(i)
		if name == nil {
			return s
		}
		s.Lacks = append(s.Lacks, C.GoString(name))
	}
}

// CalledAbsent names the function that was called last of those the driver
// lacks; empty if none was. Such a call returns an error and does nothing else.
func CalledAbsent() string { return C.GoString(C.shim_called_absent()) }
