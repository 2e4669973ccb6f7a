// A block of threads while it runs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "launch.h"
#include "profile.h"

namespace emulator {

// Work is what a thread of the pool does for a launch.
struct Work {
	const Launch *launch = nullptr;
	void *scheduler = nullptr; // where it goes on when no fiber can
	uint32_t epoch = 0; // the launch, or the time since the last barrier of its grid
	bool failed = false;
	int error = 0;
	std::string message;
	Profile profile; // of the threads that have ended

	void fail(int error, const std::string &text);
};

struct Warp {
	unsigned int present, waiting; // lanes
	uint64_t interval;             // how often lanes met
	uint64_t values[32];
};

// Variable is a shared variable of a block.
struct Variable {
	const void *place;
	void *memory;
};

struct Block {
	Work *work;
	int slot; // of stacks and shared memory
	int threads, ready, ended, waiting;
	bool fenced;        // it has ordered its accesses for other blocks
	int trues, answer;  // of __syncthreads_count
	uint64_t interval;  // between barriers
	std::vector<Warp> warps;
	std::vector<Variable> variables;
	bool traced = false; // its accesses are kept in trips
	std::vector<Trip> trips;
	std::map<std::pair<const void *, int>, uint32_t> turns; // of threads at instructions
	size_t shared_used = 0, shared_end = 0; // bytes asked for; with gaps between variables

	void start(Work *work, int slot, uint3 index);

	// resume runs threads until none is ready.
	void resume();

	// pass goes on with the next thread that is ready; it returns when t's turn
	// comes again. wait is pass for a thread that has to wait.
	void pass(Thread *t);
	void wait(Thread *t, State state, const char *at, const char *file, int line);

	// release makes the threads that wait for that ready.
	void release(State state);

	void reset_shared();

	Thread *thread(int i) { return thread_of_stack((uintptr_t)slot * 1024 + i); }
	std::string place(const Thread *t);
};

// waits_at names what a thread waits at.
std::string waits_at(const char *at, const char *file, int line);
std::string waits_at(const Thread *t);

} // namespace emulator
