// The emulated driver: initialisation, devices, the primary context, errors.

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "memory.h"
#include "profile.h"
#include "state.h"

namespace emulator {

Global &global() {
	static Global &g = *new Global;
	return g;
}

CUstream stream(CUstream handle) {
	Global &g = global();
	if (reinterpret_cast<uintptr_t>(handle) <= 2) return &g.legacy;
	return g.streams.count(handle) ? handle : nullptr;
}

CUresult complain(CUresult code, const std::string &why) {
	fprintf(stderr, "cuda emulator: %s\n", why.c_str());
	return code;
}

CUresult spoil(CUresult code, const std::string &why) {
	Global &g = global();
	if (!g.broken) g.broken = code, g.message = why;
	return complain(code, why);
}

namespace {

// capability is major·10 + minor.
int capability() {
	const char *text = getenv("SGFLOW_EMULATOR_CAPABILITY");
	return text ? atoi(text) : 80;
}

constexpr int driver_version = 12040;

int multiprocessors() {
	const char *text = getenv("SGFLOW_EMULATOR_MULTIPROCESSORS");
	return text ? atoi(text) : 4;
}

int device_count() {
	const char *text = getenv("SGFLOW_EMULATOR_DEVICES");
	return text ? atoi(text) : 1;
}

struct ErrorText {
	CUresult code;
	const char *name, *text;
};

const ErrorText errors[] = {
	{CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
	{CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
	{CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
	{CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
	{CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
	{CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
	{CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
	{CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
	{CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
	{CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
	{CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
	{CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
	{CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
	{CUDA_ERROR_ASSERT, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
	{CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
	{CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
	{CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "too many blocks in cooperative launch"},
	{CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
	{CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
	{CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
	{CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
	{CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
	{CUDA_ERROR_CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
};

const ErrorText *find_error(CUresult code) {
	for (const ErrorText &e : errors) {
		if (e.code == code) return &e;
	}
	return nullptr;
}

} // namespace

} // namespace emulator

using namespace emulator;
typedef std::lock_guard<std::recursive_mutex> Lock;

API CUresult cuInit(unsigned int) {
	Global &g = global();
	Lock lock(g.mutex);
	const char *code = getenv("SGFLOW_EMULATOR_INIT");
	if (code && atoi(code)) return (CUresult)atoi(code);
	if (device_count() == 0) return CUDA_ERROR_NO_DEVICE;
	if (!g.initialised) reserve();
	g.initialised = true;
	return CUDA_SUCCESS;
}

API CUresult cuDriverGetVersion(int *version) {
	*version = driver_version;
	return CUDA_SUCCESS;
}

API CUresult cuGetErrorName(CUresult code, const char **text) {
	const ErrorText *e = find_error(code);
	*text = e ? e->name : nullptr;
	return e ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

// The description of an error that a kernel made is what the kernel did.
API CUresult cuGetErrorString(CUresult code, const char **text) {
	Global &g = global();
	Lock lock(g.mutex);
	const ErrorText *e = find_error(code);
	*text = code && code == g.broken ? g.message.c_str() : e ? e->text : nullptr;
	return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuDeviceGetCount(int *count) {
	if (!global().initialised) return CUDA_ERROR_NOT_INITIALIZED;
	*count = device_count();
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGet(CUdevice *device, int ordinal) {
	if (!global().initialised) return CUDA_ERROR_NOT_INITIALIZED;
	if (ordinal < 0 || ordinal >= device_count()) return CUDA_ERROR_INVALID_DEVICE;
	*device = ordinal;
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGetName(char *name, int size, CUdevice) {
	snprintf(name, size, "sgflow CUDA emulator");
	return CUDA_SUCCESS;
}

API CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
	*bytes = total_memory();
	return CUDA_SUCCESS;
}

API CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
	int c = capability();
	switch ((int)attribute) {
	case 1: *value = 1024; break;                                                                    // threads of a block
	case 8: *value = 48 << 10; break;                                                                // shared memory of a block
	case 10: *value = 32; break;                                                                     // lanes of a warp
	case 12: *value = 64 << 10; break;                                                               // registers of a block
	case 16: *value = multiprocessors(); break;
	case 39: *value = c == 75 ? 1024 : 2048; break;                                                  // threads of a multiprocessor
	case 41: case 83: case 88: case 89: case 95: case 115: *value = 1; break; // unified addresses, managed memory, access to pageable memory and concurrently, cooperative launches, pools
	case 75: *value = c / 10; break;
	case 76: *value = c % 10; break;
	case 81: *value = (c == 75 ? 64 : c < 90 ? 164 : 228) << 10; break; // shared memory of a multiprocessor
	case 97: *value = (c == 75 ? 64 : c < 90 ? 163 : 227) << 10; break; // of a block that asks for it
	default: *value = 0;
	}
	return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
	Global &g = global();
	Lock lock(g.mutex);
	if (!g.initialised) return CUDA_ERROR_NOT_INITIALIZED;
	if (device < 0 || device >= device_count()) return CUDA_ERROR_INVALID_DEVICE;
	g.retained++;
	*context = reinterpret_cast<CUcontext>(0x100);
	return CUDA_SUCCESS;
}

API CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
	Global &g = global();
	Lock lock(g.mutex);
	if (g.retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
	if (--g.retained) return CUDA_SUCCESS;
	write_profile();
	forget_all();
	release_all();
	g.broken = CUDA_SUCCESS;
	return CUDA_SUCCESS;
}

static thread_local CUcontext current;

API CUresult cuCtxSetCurrent(CUcontext context) {
	current = context;
	return CUDA_SUCCESS;
}

API CUresult cuCtxGetCurrent(CUcontext *context) {
	*context = current;
	return CUDA_SUCCESS;
}

namespace emulator {

CUresult ready() {
	Global &g = global();
	if (!g.initialised) return CUDA_ERROR_NOT_INITIALIZED;
	if (!current || !g.retained) return CUDA_ERROR_INVALID_CONTEXT;
	return g.broken;
}

} // namespace emulator
