// What the parts of the emulated driver share. One lock guards it: every call of
// the driver holds it.
#pragma once

#include <cuda.h>

#include <mutex>
#include <set>
#include <string>

#include "queue.h"
#include "runtime.h"

namespace emulator {

struct Global {
	std::recursive_mutex mutex;
	bool initialised = false;
	int retained = 0; // how often the primary context is
	CUresult broken = CUDA_SUCCESS;
	std::string message; // of the error in broken
	CUstream_st legacy;  // the default stream
	std::set<CUstream> streams;
	std::set<CUevent> events;
	std::set<CUgraph> graphs;
	std::set<CUgraphExec> executables;
};

Global &global();

// stream returns the stream of a handle, null where there is none.
CUstream stream(CUstream handle);

// ready is an error where the driver can't be called: no context is current on the
// calling thread, or an error has ended it.
CUresult ready();

// ENTER begins a call of the driver.
#define API extern "C" __attribute__((visibility("default")))
#define ENTER() \
	std::lock_guard<std::recursive_mutex> lock(emulator::global().mutex); \
	if (CUresult code = emulator::ready()) return code

// complain prints why a call fails.
CUresult complain(CUresult code, const std::string &why);

// spoil makes an error that ends the context.
CUresult spoil(CUresult code, const std::string &why);

} // namespace emulator
