// The emulated driver: streams, events, capture and graphs.

#include "memory.h"
#include "races.h"
#include "state.h"

using namespace emulator;

// STREAM is the stream of a handle; a call with a wrong one fails.
#define STREAM(s, handle) \
	CUstream s = stream(handle); \
	if (!s) return complain(CUDA_ERROR_INVALID_HANDLE, "a stream that is not one (any more)")
#define EVENT(e) \
	if (!global().events.count(e)) return complain(CUDA_ERROR_INVALID_HANDLE, "an event that is not one (any more)")

// A capture forbids this to all threads and does not survive it.
API CUresult cuCtxSynchronize() {
	ENTER();
	bool any = false;
	for (CUstream s : global().streams) {
		if (s->capture) any = s->capture->invalid = true;
	}
	if (any) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return drain_all();
}

API CUresult cuStreamCreate(CUstream *result, unsigned int flags) {
	ENTER();
	CUstream s = new CUstream_st;
	s->flags = flags;
	global().streams.insert(s);
	*result = s;
	return CUDA_SUCCESS;
}

API CUresult cuStreamDestroy_v2(CUstream handle) {
	ENTER();
	STREAM(s, handle);
	if (s == &global().legacy) return CUDA_ERROR_INVALID_HANDLE;
	CUresult code = drain(s);
	for (CUevent e : global().events) {
		if (e->stream == s) e->stream = nullptr;
	}
	global().streams.erase(s);
	delete s;
	return code;
}

API CUresult cuStreamSynchronize(CUstream handle) {
	ENTER();
	STREAM(s, handle);
	if (s->capture) return s->capture->invalid = true, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	return s == &global().legacy ? drain_legacy() : drain(s);
}

// A query does one thing, so that a host that asks often enough sees the end.
API CUresult cuStreamQuery(CUstream handle) {
	ENTER();
	STREAM(s, handle);
	if (s->capture) return s->capture->invalid = true, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (s->queue.empty()) return CUDA_SUCCESS;
	CUresult code = step(s);
	return code ? code : CUDA_ERROR_NOT_READY;
}

API CUresult cuEventCreate(CUevent *result, unsigned int flags) {
	ENTER();
	CUevent e = new CUevent_st;
	e->flags = flags;
	global().events.insert(e);
	*result = e;
	return CUDA_SUCCESS;
}

API CUresult cuEventDestroy_v2(CUevent e) {
	ENTER();
	EVENT(e);
	CUresult code = reach(e);
	global().events.erase(e);
	delete e;
	return code;
}

API CUresult cuEventRecord(CUevent e, CUstream handle) {
	ENTER();
	EVENT(e);
	STREAM(s, handle);
	if (s->capture) {
		e->capture = s->capture;
		e->clock = s->clock;
		e->clock[s] = s->capture->captured[s];
		return CUDA_SUCCESS;
	}
	e->capture.reset();
	e->stream = s;
	uint64_t count = ++e->recorded;
	return enqueue(s, [e, count] {
		e->reached = count;
		e->time = std::chrono::steady_clock::now();
		return CUDA_SUCCESS;
	});
}

API CUresult cuStreamWaitEvent(CUstream handle, CUevent e, unsigned int) {
	ENTER();
	EVENT(e);
	STREAM(s, handle);
	if (auto capture = e->capture.lock()) {
		if (s->capture && s->capture != capture) return CUDA_ERROR_STREAM_CAPTURE_MERGE;
		s->capture = capture;
		capture->captured[s]; // takes part
		for (auto [other, count] : e->clock) {
			int &known = s->clock[other];
			if (known < count) known = count;
		}
		return CUDA_SUCCESS;
	}
	if (s->capture) return s->capture->invalid = true, CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
	if (!e->stream || e->reached == e->recorded) return CUDA_SUCCESS;
	uint64_t wanted = e->recorded;
	return enqueue(s, [e, wanted] {
		CUresult code = CUDA_SUCCESS;
		while (!code && global().events.count(e) && e->reached < wanted && e->stream && !e->stream->queue.empty()) code = step(e->stream);
		return code;
	});
}

// The host can store nothing while it waits for a stream, so a value that is not there
// by then will never be.
API CUresult cuStreamWaitValue32_v2(CUstream handle, CUdeviceptr at, cuuint32_t value, unsigned int flags) {
	ENTER();
	STREAM(s, handle);
	if (!at || at % 4) return CUDA_ERROR_INVALID_VALUE;
	if (flags) return CUDA_ERROR_NOT_SUPPORTED;
	return enqueue(s, [at, value] {
		return int32_t(*(volatile uint32_t *)at - value) >= 0 ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_TIMEOUT;
	});
}

API CUresult cuEventSynchronize(CUevent e) {
	ENTER();
	EVENT(e);
	if (e->capture.lock()) return CUDA_ERROR_CAPTURED_EVENT;
	return reach(e);
}

API CUresult cuEventQuery(CUevent e) {
	ENTER();
	EVENT(e);
	if (e->capture.lock()) return CUDA_ERROR_CAPTURED_EVENT;
	if (e->reached == e->recorded) return CUDA_SUCCESS;
	CUresult code = e->stream ? step(e->stream) : CUDA_SUCCESS;
	return code ? code : CUDA_ERROR_NOT_READY;
}

API CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
	ENTER();
	EVENT(start);
	EVENT(end);
	if (!start->recorded || !end->recorded || (start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) return CUDA_ERROR_INVALID_HANDLE;
	if (start->reached != start->recorded || end->reached != end->recorded) return CUDA_ERROR_NOT_READY;
	*milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
	return CUDA_SUCCESS;
}

API CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode) {
	ENTER();
	STREAM(s, handle);
	if (s == &global().legacy) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	if (s->capture) return CUDA_ERROR_ILLEGAL_STATE;
	s->capture = std::make_shared<CUgraph_st>();
	s->capture->origin = s;
	s->capture->thread = std::this_thread::get_id();
	s->capture->captured[s];
	s->clock.clear();
	return CUDA_SUCCESS;
}

API CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
	ENTER();
	STREAM(s, handle);
	*status = !s->capture ? CU_STREAM_CAPTURE_STATUS_NONE : s->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED : CU_STREAM_CAPTURE_STATUS_ACTIVE;
	return CUDA_SUCCESS;
}

API CUresult cuStreamEndCapture(CUstream handle, CUgraph *result) {
	ENTER();
	STREAM(s, handle);
	*result = nullptr;
	auto capture = s->capture;
	if (!capture) return CUDA_ERROR_ILLEGAL_STATE;
	if (capture->origin != s) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
	if (capture->thread != std::this_thread::get_id()) return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
	bool joined = true;
	for (auto [other, count] : capture->captured) joined &= other == s || s->clock[other] == count;
	for (CUstream other : global().streams) {
		if (other->capture == capture) other->capture.reset(), other->clock.clear();
	}
	if (capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!joined) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
	CUgraph graph = new CUgraph_st(*capture);
	global().graphs.insert(graph);
	*result = graph;
	return CUDA_SUCCESS;
}

API CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *, size_t *count) {
	ENTER();
	if (!global().graphs.count(graph)) return CUDA_ERROR_INVALID_VALUE;
	*count = graph->nodes.size();
	return CUDA_SUCCESS;
}

API CUresult cuGraphInstantiateWithFlags(CUgraphExec *result, CUgraph graph, unsigned long long) {
	ENTER();
	if (!global().graphs.count(graph)) return CUDA_ERROR_INVALID_VALUE;
	CUgraphExec e = new CUgraphExec_st{graph->nodes};
	global().executables.insert(e);
	*result = e;
	return CUDA_SUCCESS;
}

API CUresult cuGraphDestroy(CUgraph graph) {
	ENTER();
	if (!global().graphs.erase(graph)) return CUDA_ERROR_INVALID_VALUE;
	delete graph;
	return CUDA_SUCCESS;
}

API CUresult cuGraphLaunch(CUgraphExec e, CUstream handle) {
	ENTER();
	STREAM(s, handle);
	if (!global().executables.count(e)) return complain(CUDA_ERROR_INVALID_VALUE, "a graph that is not one (any more)");
	return enqueue(s, [e] {
		if (!global().executables.count(e)) return spoil(CUDA_ERROR_LAUNCH_FAILED, "a graph was destroyed before it ran");
		return run_nodes(e->nodes);
	});
}

API CUresult cuGraphUpload(CUgraphExec, CUstream) {
	ENTER();
	return CUDA_SUCCESS;
}

API CUresult cuGraphExecDestroy(CUgraphExec e) {
	ENTER();
	if (!global().executables.erase(e)) return CUDA_ERROR_INVALID_VALUE;
	delete e;
	return CUDA_SUCCESS;
}
