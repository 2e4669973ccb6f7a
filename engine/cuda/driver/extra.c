//go:build gpu && linux && amd64

#include "extra.h"

const char *extra_error_name(int code) {
	const char *name = 0;
	return cuGetErrorName(code, &name) == CUDA_SUCCESS ? name : 0;
}

const char *extra_error_text(int code) {
	const char *text = 0;
	return cuGetErrorString(code, &text) == CUDA_SUCCESS ? text : 0;
}

int extra_alloc_managed(size_t bytes, void **memory) {
	CUdeviceptr pointer = 0;
	int code = cuMemAllocManaged(&pointer, bytes, CU_MEM_ATTACH_GLOBAL);
	*memory = (void *)pointer;
	return code;
}

int extra_alloc_pinned(size_t bytes, void **memory) {
	return cuMemHostAlloc(memory, bytes, CU_MEMHOSTALLOC_PORTABLE);
}

int extra_free_pinned(void *memory) {
	return cuMemFreeHost(memory);
}

int extra_alloc_async(size_t bytes, CUstream stream, CUdeviceptr *memory) {
	return cuMemAllocAsync(memory, bytes, stream);
}

int extra_free_async(CUdeviceptr memory, CUstream stream) {
	return cuMemFreeAsync(memory, stream);
}

int extra_keep_pool(int device, uint64_t bytes) {
	CUmemoryPool pool;
	int code = cuDeviceGetDefaultMemPool(&pool, device);
	return code ? code : cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &bytes);
}

int extra_load(const void *image, char *log, size_t size, CUmodule *module) {
	CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)size};
	return cuModuleLoadDataEx(module, image, 2, options, values);
}

int extra_set_dynamic_shared(uintptr_t function, int bytes) {
	return cuFuncSetAttribute((CUfunction)function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
}

int extra_launch_cooperative(uintptr_t function, const unsigned int *grid, const unsigned int *block, unsigned int shared,
		CUstream stream, uint64_t *arguments, int count) {
	void *parameters[count > 0 ? count : 1];
	for (int i = 0; i < count; i++) parameters[i] = arguments + i;
	return cuLaunchCooperativeKernel((CUfunction)function, grid[0], grid[1], grid[2], block[0], block[1], block[2], shared,
		stream, parameters);
}

int extra_begin_capture(CUstream stream) {
	// Thread-local: other threads may allocate meanwhile.
	return cuStreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
}

int extra_end_capture(CUstream stream, CUgraph *graph) {
	return cuStreamEndCapture(stream, graph);
}

int extra_discard(CUgraph graph) {
	return cuGraphDestroy(graph);
}

int extra_instantiate(CUgraph graph, CUgraphExec *executable, size_t *nodes) {
	int code = cuGraphGetNodes(graph, 0, nodes);
	if (code == CUDA_SUCCESS) code = cuGraphInstantiateWithFlags(executable, graph, 0);
	int destroyed = cuGraphDestroy(graph);
	return code ? code : destroyed;
}

int extra_launch_graph(CUgraphExec executable, CUstream stream) {
	return cuGraphLaunch(executable, stream);
}

int extra_destroy_graph(CUgraphExec executable) {
	return cuGraphExecDestroy(executable);
}
