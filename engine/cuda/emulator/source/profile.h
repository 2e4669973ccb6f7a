// What kernels execute, counted.
#pragma once

#include <vector>

#include "runtime.h"

namespace emulator {

// Traffic is what warps ask of a memory, each instruction of a warp being a request, and
// what it costs: sectors of 32 bytes of device memory, or turns of the 32 banks of shared
// memory; best is what as many bytes cost at least.
struct Traffic {
	uint64_t requests, cost, best;
};

// Profile sums up the threads of launches.
struct Profile {
	uint64_t launches = 0, blocks = 0, threads = 0;
	Tally sum{}, most{};         // of all threads, and of the one that has executed most
	Traffic device{}, shared{}; // of a few blocks of each launch

	void add(const Tally &t);
	void add(const Profile &p);
};

// Trip is an access of a thread.
struct Trip {
	const void *site; // the instruction
	uintptr_t address;
	uint32_t turn, thread; // how often the thread has been there
	uint32_t bytes;
};

// add_traffic adds a block's trips, of which it changes the order.
void add_traffic(Profile &p, std::vector<Trip> &trips);

// profiling reports whether SGFLOW_EMULATOR_PROFILE names a file.
bool profiling();

// keep_profile adds a launch to those of its kernel with as many blocks and threads; write_profile writes the table of all
// to that file. Where there is none they do nothing.
void keep_profile(const char *kernel, const Profile &p);
void write_profile();

} // namespace emulator
