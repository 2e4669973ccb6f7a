// The emulated driver: memory, copies, fills.

#include <cstring>

#include "memory.h"
#include "races.h"
#include "state.h"

using namespace emulator;

namespace {

// wait is the first thing of calls that wait for the device's earlier work.
CUresult wait() {
	return blocked() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : drain_legacy();
}

CUresult take(CUdeviceptr *p, size_t bytes, Kind kind) {
	if (blocked()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
	*p = allocate(bytes, kind);
	return *p ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// legal reports whether a copy may touch a range: all of one allocation, or host
// memory the driver knows nothing about.
bool legal(uintptr_t address, size_t bytes, bool pageable) {
	return on_device(address) ? contains(address, bytes) : pageable;
}

CUresult copy(uintptr_t to, uintptr_t from, size_t bytes, bool pageable) {
	if (!legal(to, bytes, pageable) || !legal(from, bytes, pageable)) {
		uintptr_t wrong = legal(to, bytes, pageable) ? from : to;
		return complain(CUDA_ERROR_INVALID_VALUE, "a copy of " + std::to_string(bytes) + " bytes " + (wrong == to ? "to " : "from ") +
			where(wrong) + (on_device(wrong) ? "" : ", and asynchronous: such memory must be pinned or managed"));
	}
	if (std::string race = moved(to, from, bytes); !race.empty()) return spoil(CUDA_ERROR_LAUNCH_FAILED, race);
	guard(false);
	// Bytes that were not written stay so; writing them down would hide a mistake.
	if (on_device(to) && on_device(from)) memmove(shadow(to), shadow(from), bytes);
	else if (on_device(to)) memset(shadow(to), written, bytes);
	memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
	return CUDA_SUCCESS;
}

template <class T> CUresult fill(CUdeviceptr to, T value, size_t n) {
	if (!on_device(to) || !contains(to, n * sizeof(T)) || to % sizeof(T))
		return complain(CUDA_ERROR_INVALID_VALUE, "a fill of " + std::to_string(n * sizeof(T)) + " bytes at " + where(to));
	if (std::string race = moved(to, 0, n * sizeof(T)); !race.empty()) return spoil(CUDA_ERROR_LAUNCH_FAILED, race);
	T *p = reinterpret_cast<T *>(to);
	for (size_t i = 0; i < n; i++) p[i] = value;
	memset(shadow(to), written, n * sizeof(T));
	return CUDA_SUCCESS;
}

CUresult later(CUstream handle, Command c) {
	CUstream s = stream(handle);
	return s ? enqueue(s, std::move(c)) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult copy_later(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) {
	if (!legal(to, bytes, false) || !legal(from, bytes, false)) return copy(to, from, bytes, false);
	return later(s, [=] { return copy(to, from, bytes, false); });
}

template <class T> CUresult fill_later(CUdeviceptr to, T value, size_t n, CUstream s) {
	if (!on_device(to) || !contains(to, n * sizeof(T))) return fill(to, value, n);
	return later(s, [=] { return fill(to, value, n); });
}

CUdeviceptr address(const void *p) {
	return reinterpret_cast<CUdeviceptr>(p);
}

} // namespace

API CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
	ENTER();
	*free = free_memory();
	*total = total_memory();
	return CUDA_SUCCESS;
}

API CUresult cuMemAlloc_v2(CUdeviceptr *p, size_t bytes) {
	ENTER();
	return take(p, bytes, Kind::device);
}

API CUresult cuMemAllocManaged(CUdeviceptr *p, size_t bytes, unsigned int) {
	ENTER();
	return take(p, bytes, Kind::managed);
}

API CUresult cuMemHostAlloc(void **p, size_t bytes, unsigned int) {
	ENTER();
	CUdeviceptr address = 0;
	CUresult code = take(&address, bytes, Kind::pinned);
	*p = reinterpret_cast<void *>(address);
	return code;
}

API CUresult cuMemFree_v2(CUdeviceptr p) {
	ENTER();
	if (blocked()) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (CUresult code = drain_all()) return code;
	if (p == 0 || release(p, false)) return CUDA_SUCCESS;
	return complain(CUDA_ERROR_INVALID_VALUE, "cuMemFree of what cuMemAlloc did not return: " + where(p));
}

API CUresult cuMemFreeHost(void *p) {
	ENTER();
	if (CUresult code = drain_all()) return code;
	return release(address(p), true) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API CUresult cuMemAllocAsync(CUdeviceptr *p, size_t bytes, CUstream s) {
	ENTER();
	if (!stream(s)) return CUDA_ERROR_INVALID_HANDLE;
	return take(p, bytes, Kind::device);
}

API CUresult cuMemFreeAsync(CUdeviceptr p, CUstream s) {
	ENTER();
	return later(s, [p] { return release(p, false) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE; });
}

API CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice) {
	*pool = reinterpret_cast<CUmemoryPool>(0x200);
	return CUDA_SUCCESS;
}

API CUresult cuMemPoolSetAttribute(CUmemoryPool, CUmemPool_attribute, void *) { return CUDA_SUCCESS; }
API CUresult cuMemPoolTrimTo(CUmemoryPool, size_t) { return CUDA_SUCCESS; }
API CUresult cuMemAdvise(CUdeviceptr, size_t, CUmem_advise, CUdevice) { return CUDA_SUCCESS; }

API CUresult cuMemPrefetchAsync(CUdeviceptr p, size_t bytes, CUdevice, CUstream s) {
	ENTER();
	if (!contains(p, bytes)) return CUDA_ERROR_INVALID_VALUE;
	return later(s, [] { return CUDA_SUCCESS; });
}

API CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
	ENTER();
	CUresult code = wait();
	return code ? code : copy(to, address(from), bytes, true);
}

API CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
	ENTER();
	CUresult code = wait();
	return code ? code : copy(address(to), from, bytes, true);
}

API CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
	ENTER();
	CUresult code = wait();
	return code ? code : copy(to, from, bytes, false);
}

API CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
	ENTER();
	CUresult code = wait();
	return code ? code : copy(to, from, bytes, true);
}

API CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) {
	ENTER();
	return copy_later(to, from, bytes, s);
}

API CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream s) {
	ENTER();
	return copy_later(to, address(from), bytes, s);
}

API CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream s) {
	ENTER();
	return copy_later(address(to), from, bytes, s);
}

API CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream s) {
	ENTER();
	return copy_later(to, from, bytes, s);
}

API CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) {
	ENTER();
	CUresult code = wait();
	return code ? code : fill(to, value, n);
}

API CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned int value, size_t n) {
	ENTER();
	CUresult code = wait();
	return code ? code : fill(to, value, n);
}

API CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream s) {
	ENTER();
	return fill_later(to, value, n, s);
}

API CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t n, CUstream s) {
	ENTER();
	return fill_later(to, value, n, s);
}
