// What kernels execute, counted.
#pragma once

#include "runtime.h"

namespace emulator {

// Profile sums up the threads of launches.
struct Profile {
	uint64_t launches = 0, blocks = 0, threads = 0;
	Tally sum{}, most{}; // of all threads, and of the one that has executed most

	void add(const Tally &t);
	void add(const Profile &p);
};

// keep_profile adds a launch to those of its kernel; write_profile writes the table of all
// to the file that SGFLOW_EMULATOR_PROFILE names. Without it they do nothing.
void keep_profile(const char *kernel, const Profile &p);
void write_profile();

} // namespace emulator
