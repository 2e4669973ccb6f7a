#include "races.h"

#include <algorithm>

#include "launch.h"

namespace emulator {

namespace {

constexpr uint32_t many = 1u << 31; // in the meeting of a read: several threads did, the last this one

// Running is the graph that runs, one of several branches.
struct Running {
	const std::vector<Node> *nodes = nullptr; // null for none
	std::vector<uint32_t> epochs;             // at the beginning of each node so far

	// beside reports whether the launch of that epoch is one whose end the node that runs would
	// not wait for.
	bool beside(uint32_t epoch) const {
		if (!nodes || epoch <= epochs.front()) return false;
		const Node &now = (*nodes)[epochs.size() - 1];
		size_t k = std::lower_bound(epochs.begin(), epochs.end(), epoch) - epochs.begin() - 1;
		const Node &other = (*nodes)[k];
		auto known = now.before.find(other.stream);
		return k + 1 < epochs.size() && (known == now.before.end() || known->second < other.number);
	}
} graph;

// saw keeps in mind that the last reader is another than before.
void saw(Trace *t, uint64_t before, uint32_t epoch) {
	if (graph.nodes && before >> 32 != epoch && graph.beside(before >> 32)) t->beside = before;
}

// Me is the calling thread.
struct Me {
	Block *block;
	Access access;

	Me() {
		Thread *t = self();
		block = t->home;
		const dim3 &grid = t->grid_dim;
		uint32_t number = (t->block.x + grid.x * (t->block.y + grid.y * t->block.z)) * 1024u + t->index;
		access = {(uint64_t)block->work->epoch << 32 | number, (uint32_t)block->interval, (uint32_t)block->warps[t->index / 32].interval & ~many};
	}

	// unordered reports whether no barrier is between an access of this block and this
	// one.
	bool unordered(const Access &other) const {
		return other.interval == access.interval && ((other.who ^ access.who) / 32 || (other.meeting & ~many) == access.meeting);
	}

	// races reports whether the other access may have been at the same time.
	bool races(const Access &other, bool shared) const {
		if (other.who == access.who) return false;
		if (other.who >> 32 != access.who >> 32) return !shared && graph.beside(other.who >> 32);
		return own_block(other) ? unordered(other) : !shared && !block->fenced;
	}
	bool own_block(const Access &other) const { return (other.who ^ access.who) / 1024 == 0; }
	bool own_launch(const Access &other) const { return (other.who ^ access.who) >> 32 == 0; }
};

[[gnu::noinline, noreturn]] void race(const Me &me, uintptr_t address, const char *verb, const Access &other, const char *did) {
	std::string who = me.own_block(other) ? me.block->place(me.block->thread(other.who % 1024)) : me.own_launch(other) ? "another block" : "another launch of the graph";
	std::string between = me.own_launch(other) ? "no barrier between" : "neither waiting for the other";
	fault(launch_failed, std::string("a race: ") + verb + " of " + where(address) + ", which " + who + " " + did + " with " + between);
}

} // namespace

// Blocks run at the same time: of two that race, at least one sees what the other
// left, as the marks are set before those of others are read.

void traced_read(uintptr_t address, size_t bytes) {
	if (bytes < 4) return;
	const Me me;
	for (uintptr_t a = address; a < address + bytes; a += 4) {
		Trace *t = trace(a);
		const bool shared = a < device_base + shared_size;
		const Access before = t->read;
		t->read.interval = me.access.interval;
		t->read.meeting = me.access.meeting;
		if (shared) {
			if (me.unordered(before) && (before.meeting & many || before.who != me.access.who)) t->read.meeting |= many;
			t->read.who = me.access.who;
		} else {
			saw(t, before.who, me.access.who >> 32);
			__atomic_store_n(&t->read.who, me.access.who, __ATOMIC_SEQ_CST);
		}
		if (me.races(t->write, shared)) race(me, a, "read", t->write, "wrote");
	}
}

void traced_write(uintptr_t address, size_t bytes) {
	if (bytes < 4) return;
	const Me me;
	for (uintptr_t a = address; a < address + bytes; a += 4) {
		Trace *t = trace(a);
		const bool shared = a < device_base + shared_size;
		Access before = t->write;
		t->write.interval = me.access.interval;
		t->write.meeting = me.access.meeting;
		before.who = __atomic_exchange_n(&t->write.who, me.access.who, __ATOMIC_SEQ_CST);
		if (me.races(before, shared)) race(me, a, "write", before, "wrote");
		Access read = t->read;
		// Of many readers the last is known. If that is this thread, another did too.
		if (shared && read.meeting & many && me.unordered(read) && read.who == me.access.who) read.who ^= 1;
		if (me.races(read, shared)) race(me, a, "write", read, "read");
		if (read.who = t->beside, !shared && me.races(read, shared)) race(me, a, "write", read, "read");
	}
}

std::string moved(uintptr_t to, uintptr_t from, size_t bytes) {
	if (!graph.nodes) return "";
	const uint32_t epoch = next_epoch();
	const uint64_t who = (uint64_t)epoch << 32;
	auto beside = [](uint64_t other) { return graph.beside(other >> 32); };
	for (size_t i = 0; i + 4 <= bytes; i += 4) {
		if (to && on_device(to + i)) {
			Trace *t = trace(to + i);
			if (beside(t->write.who) || beside(t->read.who) || beside(t->beside))
				return "a race: a copy or fill writes to " + where(to + i) + ", which another launch of the graph uses with neither waiting for the other";
			t->write = {who, 0, 0};
		}
		if (from && on_device(from + i)) {
			Trace *t = trace(from + i);
			if (beside(t->write.who)) return "a race: a copy reads " + where(from + i) + ", which another launch of the graph wrote with neither waiting for the other";
			saw(t, t->read.who, epoch);
			t->read = {who, 0, 0};
		}
	}
	return "";
}

CUresult run_nodes(const std::vector<Node> &nodes) {
	bool branches = false;
	for (const Node &n : nodes) branches |= n.stream != nodes.front().stream;
	CUresult code = CUDA_SUCCESS;
	for (const Node &n : nodes) {
		if (code) break;
		if (branches) graph.nodes = &nodes, graph.epochs.push_back(last_epoch());
		code = n.run();
	}
	graph = {};
	return code;
}

void fence() {
	self()->home->fenced = true;
}

} // namespace emulator
