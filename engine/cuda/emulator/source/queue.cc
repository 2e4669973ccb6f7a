#include "queue.h"

#include <cstdlib>

#include "memory.h"
#include "state.h"

namespace emulator {

namespace {

// So much work may wait in a stream before the oldest is done anyway.
constexpr size_t longest = 1 << 16;

bool waits_for_legacy(CUstream s) {
	return s != &global().legacy && !(s->flags & CU_STREAM_NON_BLOCKING);
}

} // namespace

CUresult enqueue(CUstream s, Command c) {
	Global &g = global();
	if (s->capture) {
		int number = ++s->capture->captured[s];
		s->capture->nodes.push_back({std::move(c), s, number, s->clock});
		s->clock[s] = number;
		return CUDA_SUCCESS;
	}
	CUresult code = CUDA_SUCCESS;
	if (s == &g.legacy) code = drain_legacy();
	else if (waits_for_legacy(s)) code = drain(&g.legacy);
	if (code) return code;
	s->queue.push_back(std::move(c));
	if (getenv("SGFLOW_EMULATOR_EAGER")) return drain(s);
	code = s->queue.size() > longest ? step(s) : CUDA_SUCCESS;
	guard(true);
	return code;
}

CUresult step(CUstream s) {
	if (global().broken) return global().broken;
	if (s->queue.empty()) return CUDA_SUCCESS;
	Command c = std::move(s->queue.front());
	s->queue.pop_front();
	guard(false);
	return c();
}

CUresult drain(CUstream s) {
	CUresult code = global().broken;
	while (!code && !s->queue.empty()) code = step(s);
	return code;
}

CUresult drain_legacy() {
	CUresult code = CUDA_SUCCESS;
	for (CUstream s : global().streams) {
		if (!code && waits_for_legacy(s)) code = drain(s);
	}
	return code ? code : drain(&global().legacy);
}

CUresult drain_all() {
	CUresult code = CUDA_SUCCESS;
	for (CUstream s : global().streams) {
		if (!code) code = drain(s);
	}
	return code ? code : drain(&global().legacy);
}

CUresult reach(CUevent e) {
	uint64_t wanted = e->recorded;
	CUresult code = global().broken;
	while (!code && e->reached < wanted && e->stream && !e->stream->queue.empty()) code = step(e->stream);
	if (e->stream && !e->stream->queue.empty()) guard(true);
	return code;
}

bool blocked() {
	bool any = false;
	for (CUstream s : global().streams) {
		if (s->capture && s->capture->thread == std::this_thread::get_id()) any = s->capture->invalid = true;
	}
	return any;
}

void forget_all() {
	Global &g = global();
	for (CUstream s : g.streams) delete s;
	for (CUevent e : g.events) delete e;
	for (CUgraph graph : g.graphs) delete graph;
	for (CUgraphExec e : g.executables) delete e;
	g.streams.clear();
	g.events.clear();
	g.graphs.clear();
	g.executables.clear();
	g.legacy.queue.clear();
}

} // namespace emulator
