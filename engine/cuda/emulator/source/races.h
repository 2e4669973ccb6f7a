// Who touched a word of memory last: enough to see that two threads do without a
// barrier between them, or two launches of a graph that don't wait for each other.
#pragma once

#include "block.h"
#include "memory.h"
#include "queue.h"

namespace emulator {

// Access says who and when: the thread's number in the grid and the epoch (a launch,
// or a time between barriers of the grid) as one word, and within a block the
// interval between barriers and between meetings of the warp.
struct Access {
	uint64_t who; // epoch·2³² + thread
	uint32_t interval, meeting;
};

// Trace is of four bytes of the device's range.
struct Trace {
	Access write, read;
	uint64_t beside; // a reader before the last, of another branch of the graph
};

constexpr uintptr_t trace_base = shadow_base + device_size;
inline Trace *trace(uintptr_t address) {
	return reinterpret_cast<Trace *>(trace_base + (address - device_base) / 4 * sizeof(Trace));
}

// traced_read and traced_write end the launch with an error if the access is a race
// with one before it; they keep it in mind otherwise. Accesses of less than a word
// are not looked at, nor what a block shares with others after a fence: it may have
// waited for them by atomic operations.
void traced_read(uintptr_t address, size_t bytes);
void traced_write(uintptr_t address, size_t bytes);

// moved is traced_read and traced_write of a copy or, with nothing to read from, a fill. It
// returns what is wrong, empty if nothing.
std::string moved(uintptr_t to, uintptr_t from, size_t bytes);

// run_nodes runs the work of a graph, one node after the other. While it does, what a launch
// touches must not race with what one beside it has: one whose end it would not wait for.
CUresult run_nodes(const std::vector<Node> &nodes);

} // namespace emulator
