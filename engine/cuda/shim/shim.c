//go:build gpu && linux && amd64

// The driver's functions are trampolines (trampolines_linux_amd64.S) through the
// slots below, which shim_load fills from the driver's library.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

#include "include/cuda.h"
#include "names.h"
#include "shim.h"

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void shim_absent(void);

HIDDEN void *shim_slots[SHIM_COUNT] = {[0 ... SHIM_COUNT - 1] = (void *)shim_absent};

static atomic_int loaded;
static _Atomic(const char *) called; // the absent function called last

// shim_report_absent stands in for function i where there is none.
HIDDEN CUresult shim_report_absent(int i) {
	called = shim_names[i];
	return loaded ? CUDA_ERROR_SHARED_OBJECT_SYMBOL_NOT_FOUND : CUDA_ERROR_NOT_INITIALIZED;
}

// cuInit is called by cu's init, which ends the process unless it returns
// success. The driver's own is called by shim_load.
HIDDEN CUresult cuInit(unsigned int flags) {
	return CUDA_SUCCESS;
}

const char *shim_load(const char *path, int *initialised) {
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) return dlerror();
	CUresult (*init)(unsigned int) = (CUresult (*)(unsigned int))dlsym(library, "cuInit");
	if (!init) return dlerror();
	for (int i = 0; i < SHIM_COUNT; i++) {
		void *f = dlsym(library, shim_names[i]);
		if (f) shim_slots[i] = f;
	}
	loaded = 1;
	*initialised = init(0);
	return NULL;
}

const char *shim_lacks(int i) {
	for (int k = 0; k < SHIM_COUNT; k++) {
		if (shim_slots[k] == (void *)shim_absent && i-- == 0) return shim_names[k];
	}
	return NULL;
}

const char *shim_called_absent(void) {
	return called;
}
