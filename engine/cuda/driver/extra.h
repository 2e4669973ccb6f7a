// The driver calls that package cu lacks, for extra.go. Each returns a CUresult.
#pragma once

#include <cuda.h>

const char *extra_error_name(int code);
const char *extra_error_text(int code);

int extra_alloc_managed(size_t bytes, void **memory);
int extra_alloc_pinned(size_t bytes, void **memory);
int extra_free_pinned(void *memory);
int extra_alloc_async(size_t bytes, CUstream stream, CUdeviceptr *memory);
int extra_free_async(CUdeviceptr memory, CUstream stream);
int extra_keep_pool(int device, uint64_t bytes);

// extra_load reads a module; of the compiler's messages log gets what fits.
int extra_load(const void *image, char *log, size_t size, CUmodule *module);
int extra_set_dynamic_shared(uintptr_t function, int bytes);

// extra_launch_cooperative launches a kernel whose arguments lie one after the other,
// each in 8 bytes, in arguments.
int extra_launch_cooperative(uintptr_t function, const unsigned int *grid, const unsigned int *block, unsigned int shared,
	CUstream stream, uint64_t *arguments, int count);

int extra_begin_capture(CUstream stream);
int extra_end_capture(CUstream stream, CUgraph *graph);
int extra_discard(CUgraph graph);
int extra_instantiate(CUgraph graph, CUgraphExec *executable, size_t *nodes);
int extra_launch_graph(CUgraphExec executable, CUstream stream);
int extra_destroy_graph(CUgraphExec executable);
