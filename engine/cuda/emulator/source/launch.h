// Running a kernel.
#pragma once

#include <string>

#include "runtime.h"

namespace emulator {

// Launch is a kernel with its arguments.
struct Launch {
	const Kernel *kernel;
	dim3 grid, block;
	size_t dynamic_shared;
	size_t shared_limit; // static and dynamic, of a block
	bool cooperative;
	void **arguments;
};

// run runs a launch to its end and returns what went wrong, empty if nothing.
// error is the driver's number for it.
std::string run(const Launch &launch, int *error);

// last_epoch is that of the last launch, or of the last barrier of a grid: the epochs of a
// launch are between those before and after it.
uint32_t last_epoch();
uint32_t next_epoch();

// The error numbers of kernels.
constexpr int illegal_address = 700, misaligned_address = 716, launch_failed = 719;

// fault ends the calling thread's launch with an error.
[[noreturn]] void fault(int error, const std::string &what);

} // namespace emulator
