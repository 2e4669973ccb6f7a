// Streams, events and graphs: work that waits to be done.
//
// Nothing runs before the host waits for it, and of several streams only the one
// that is waited for runs, with what it waits for itself. So a host that forgets to
// wait sees old values every time, not once in a while.
#pragma once

#include <cuda.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

// Command does some work and returns a CUresult.
typedef std::function<CUresult()> Command;

// Clock says how much of the captured work of each stream came before.
typedef std::map<CUstream, int> Clock;

// Node is captured work: the number-th of its stream, and what is done before it.
struct Node {
	Command run;
	CUstream stream;
	int number;
	Clock before;
};

struct CUgraph_st {
	std::vector<Node> nodes;
	std::map<CUstream, int> captured; // streams in the capture: how much of theirs
	CUstream origin;
	std::thread::id thread;
	bool invalid = false;
};

struct CUgraphExec_st {
	std::vector<Node> nodes;
};

struct CUstream_st {
	unsigned int flags = 0;
	std::deque<Command> queue;
	std::shared_ptr<CUgraph_st> capture;
	Clock clock; // while capturing
};

struct CUevent_st {
	unsigned int flags = 0;
	CUstream stream = nullptr;
	uint64_t recorded = 0, reached = 0; // how often
	std::chrono::steady_clock::time_point time;
	std::weak_ptr<CUgraph_st> capture; // that it was recorded in
	Clock clock;
};

namespace emulator {

// enqueue adds work to a stream, or to the graph it is captured into.
CUresult enqueue(CUstream s, Command c);

// drain does the work of a stream, drain_all that of all streams.
CUresult drain(CUstream s);
CUresult drain_all();

// drain_legacy does the work that the default stream waits for.
CUresult drain_legacy();

// step does the first thing of a stream's work.
CUresult step(CUstream s);

// reach does the work before an event's latest record.
CUresult reach(CUevent e);

// blocked reports whether a call that would wait must fail because of a capture,
// which it spoils.
bool blocked();

// forget_all drops all work and all streams, events and graphs.
void forget_all();

} // namespace emulator
