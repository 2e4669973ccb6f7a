//go:build cgo

package main

// #cgo LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stdlib.h>
//
// // NVRTC's functions, as its reference has them; a program is a pointer, a result
// // an int.
// static void *library, *builtins;
// static int (*create)(void **, const char *, const char *, int, const char *const *, const char *const *);
// static int (*compile)(void *, int, const char *const *);
// static int (*size)(void *, size_t *), (*get)(void *, char *);
// static int (*logSize)(void *, size_t *), (*getLog)(void *, char *);
// static int (*binarySize)(void *, size_t *), (*getBinary)(void *, char *);
// static int (*version)(int *, int *);
// static const char *(*errorText)(int);
//
// static const char *load(const char *path, const char *builtinsPath) {
//	builtins = dlopen(builtinsPath, RTLD_NOW | RTLD_GLOBAL);
//	if (!builtins || !(library = dlopen(path, RTLD_NOW))) return dlerror();
//	struct { void *f; const char *name; } table[] = {
//		{&create, "nvrtcCreateProgram"}, {&compile, "nvrtcCompileProgram"}, {&size, "nvrtcGetPTXSize"}, {&get, "nvrtcGetPTX"},
//		{&logSize, "nvrtcGetProgramLogSize"}, {&getLog, "nvrtcGetProgramLog"},
//		{&binarySize, "nvrtcGetCUBINSize"}, {&getBinary, "nvrtcGetCUBIN"},
//		{&version, "nvrtcVersion"}, {&errorText, "nvrtcGetErrorString"},
//	};
//	for (int i = 0; i < sizeof table / sizeof *table; i++)
//		if (!(*(void **)table[i].f = dlsym(library, table[i].name))) return dlerror();
//	return 0;
// }
// static int callVersion(int *major, int *minor) { return version(major, minor); }
// static const char *callErrorText(int code) { return errorText(code); }
// static int callCreate(void **p, const char *source, const char *name) { return create(p, source, name, 0, 0, 0); }
// static int callCompile(void *p, int n, const char *const *options) { return compile(p, n, options); }
// static int callSize(int binary, int log, void *p, size_t *n) { return (log ? logSize : binary ? binarySize : size)(p, n); }
// static int callGet(int binary, int log, void *p, char *to) { return (log ? getLog : binary ? getBinary : get)(p, to); }
import "C"

import (
	"fmt"
	"path/filepath"
	"strings"
	"unsafe"
)

// The version that the images are made with.
const major, minor = 11, 8

type nvrtc struct{}

// openNVRTC loads the library from a folder, or from where the loader finds it.
func openNVRTC(folder string) (nvrtc, error) {
	library, builtins := C.CString(filepath.Join(folder, "libnvrtc.so.11.2")), C.CString(filepath.Join(folder, "libnvrtc-builtins.so.11.8"))
	defer C.free(unsafe.Pointer(library))
	defer C.free(unsafe.Pointer(builtins))
	if reason := C.load(library, builtins); reason != nil {
		return nvrtc{}, fmt.Errorf("NVRTC: %s: set SGFLOW_NVRTC to its folder, or use make generate", C.GoString(reason))
	}
	var a, b C.int
	if err := result(C.callVersion(&a, &b)); err != nil {
		return nvrtc{}, err
	}
	if a != major || b != minor {
		return nvrtc{}, fmt.Errorf("NVRTC %d.%d found, %d.%d wanted", a, b, major, minor)
	}
	return nvrtc{}, nil
}

// compile returns PTX, or machine code where the target begins with sm_, of a source
// that includes files of folder.
func (nvrtc) compile(source, folder, target string) ([]byte, error) {
	var p unsafe.Pointer
	s, n := C.CString(source), C.CString("module.cu")
	defer C.free(unsafe.Pointer(s))
	defer C.free(unsafe.Pointer(n))
	if err := result(C.callCreate(&p, s, n)); err != nil {
		return nil, err
	}
	options := []string{"--gpu-architecture=" + target, "--std=c++17", "--include-path=" + folder}
	list := make([]*C.char, len(options))
	for i, o := range options {
		list[i] = C.CString(o)
		defer C.free(unsafe.Pointer(list[i]))
	}
	compiled := result(C.callCompile(p, C.int(len(list)), &list[0]))
	messages, err := output(p, 0, 1)
	if err != nil {
		return nil, err
	}
	if text := strings.Trim(string(messages), "\x00\n"); compiled != nil || text != "" {
		return nil, fmt.Errorf("%v\n%s", compiled, text) // a warning is an error
	}
	if strings.HasPrefix(target, "sm_") {
		return output(p, 1, 0)
	}
	ptx, err := output(p, 0, 0)
	return []byte(strings.TrimRight(string(ptx), "\x00")), err
}

// output returns PTX, machine code or the log of a program.
func output(p unsafe.Pointer, binary, log C.int) ([]byte, error) {
	var n C.size_t
	if err := result(C.callSize(binary, log, p, &n)); err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, n)
	return b, result(C.callGet(binary, log, p, (*C.char)(unsafe.Pointer(&b[0]))))
}

func result(code C.int) error {
	if code == 0 {
		return nil
	}
	return fmt.Errorf("NVRTC: %s", C.GoString(C.callErrorText(code)))
}
