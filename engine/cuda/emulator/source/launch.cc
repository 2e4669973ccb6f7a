// Blocks run on a pool of threads, the threads of a block as fibers: one runs until
// it has to wait for others, then the next of its block.

#include "launch.h"

#include <sys/mman.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "block.h"
#include "memory.h"

// emulator_switch saves the registers that calls preserve, stores the stack
// pointer in *from and goes on with the fiber that stopped at to.
extern "C" void emulator_switch(void **from, void *to);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch, @function
emulator_switch:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
.size emulator_switch, . - emulator_switch
)");

namespace emulator {

namespace {

// The numbers of times between barriers, of blocks and of grids.
std::atomic<uint64_t> intervals;
std::atomic<uint32_t> epochs;

// enter is the first function of a fiber.
void enter() {
	Thread *t = self();
	Block *b = t->home;
	b->work->launch->kernel->call(b->work->launch->arguments);
	t->state = State::ended;
	b->work->profile.add(t->tally);
	b->ended++;
	b->ready--;
	b->pass(t);
	abort();
}

} // namespace

void Block::start(Work *w, int s, uint3 index) {
	work = w;
	slot = s;
	const Launch &l = *w->launch;
	threads = l.block.x * l.block.y * l.block.z;
	ready = threads;
	ended = waiting = trues = answer = 0;
	fenced = false;
	interval = ++intervals;
	warps.resize((threads + 31) / 32);
	for (size_t i = 0; i < warps.size(); i++) {
		int lanes = threads - 32 * (int)i;
		warps[i].present = lanes >= 32 ? ~0u : (1u << lanes) - 1;
		warps[i].waiting = 0;
		warps[i].interval = 0;
	}
	reset_shared();
	traced = false;
	if (profiling()) { // four blocks of a launch
		const uint64_t number = index.x + l.grid.x * (index.y + (uint64_t)l.grid.y * index.z), all = (uint64_t)l.grid.x * l.grid.y * l.grid.z;
		traced = number % ((all + 3) / 4) == 0;
		trips.clear();
		turns.clear();
	}
	for (int i = 0; i < threads; i++) {
		Thread *t = thread(i);
		t->thread = {i % l.block.x, i / l.block.x % l.block.y, i / (l.block.x * l.block.y)};
		t->block = index;
		t->block_dim = l.block;
		t->grid_dim = l.grid;
		t->home = this;
		t->index = i;
		t->state = State::ready;
		t->tally = {};
		void **stack = reinterpret_cast<void **>(t);
		*--stack = nullptr; // keeps the stack aligned as at a call
		*--stack = reinterpret_cast<void *>(enter);
		for (int r = 0; r < 6; r++) *--stack = nullptr;
		t->stack_pointer = stack;
	}
}

void Block::pass(Thread *t) {
	if (ready > 0) {
		for (int i = t->index + 1;; i++) {
			if (i == threads) i = 0;
			Thread *next = thread(i);
			if (next == t && next->state == State::ready) return;
			if (next->state != State::ready) continue;
			emulator_switch(&t->stack_pointer, next->stack_pointer);
			return;
		}
	}
	emulator_switch(&t->stack_pointer, work->scheduler);
}

void Block::wait(Thread *t, State state, const char *at, const char *file, int line) {
	t->state = state;
	t->at = at;
	t->file = file;
	t->line = line;
	ready--;
	pass(t);
}

void Block::release(State state) {
	for (int i = 0; i < threads; i++) {
		Thread *t = thread(i);
		if (t->state == state) t->state = State::ready, ready++;
	}
}

void Block::resume() {
	for (int i = 0; i < threads; i++) {
		if (thread(i)->state == State::ready) {
			emulator_switch(&work->scheduler, thread(i)->stack_pointer);
			return;
		}
	}
}

// arrive waits for all threads of the block at one barrier.
static int arrive(bool predicate, const char *at, const char *file, int line) {
	Thread *t = self();
	Block *b = t->home;
	b->trues += predicate;
	if (++b->waiting < b->threads) {
		b->wait(t, State::barrier, at, file, line);
		return b->answer;
	}
	for (int i = 0; i < b->threads; i++) {
		Thread *other = b->thread(i);
		if (other != t && (other->line != line || strcmp(other->file, file)))
			fault(launch_failed, "a barrier that other threads don't reach: " + b->place(other) + " waits at " + waits_at(other) +
				", this one at " + waits_at(at, file, line));
	}
	b->waiting = 0;
	b->answer = b->trues;
	b->trues = 0;
	b->interval = ++intervals;
	b->release(State::barrier);
	return b->answer;
}

void sync(const char *file, int line) {
	arrive(false, "bar.sync", file, line);
}

int count_true(bool predicate, const char *file, int line) {
	return arrive(predicate, "bar.red", file, line);
}

void sync_grid(const char *file, int line) {
	Thread *t = self();
	if (!t->home->work->launch->cooperative) fault(launch_failed, "a grid barrier in a launch that is not cooperative");
	t->home->wait(t, State::grid, "the grid's barrier", file, line);
}

// exchange waits for the lanes in mask and returns what lane from brought; from −1
// stands for the lanes that brought something. The lane that comes last finds the
// results of all, so that those who go on cannot spoil what others have yet to read; and
// it is the one that calls meet, if that is not null, with what all have brought.
static uint64_t exchange(const char *at, const char *file, int line, unsigned int mask, uint64_t value, int from, Meeting meet = nullptr) {
	Thread *t = self();
	Block *b = t->home;
	Warp &w = b->warps[t->index / 32];
	int lane = t->index % 32;
	mask &= w.present;
	if (!(mask >> lane & 1)) fault(launch_failed, waits_at(at, file, line) + ": the calling lane is not in the mask");
	if (from > 31 || (from >= 0 && !(mask >> from & 1)))
		fault(launch_failed, waits_at(at, file, line) + ": lane " + std::to_string(from) + ", which is read, is not in the mask");
	w.values[lane] = value;
	t->mask = mask;
	t->from = from;
	unsigned int others = mask & ~(1u << lane);
	if ((w.waiting & others) != others) {
		w.waiting |= 1u << lane;
		b->wait(t, State::warp, at, file, line);
		return t->result;
	}
	w.waiting &= ~mask;
	w.interval++;
	if (meet) meet(w.values);
	unsigned int some = 0;
	for (unsigned int m = mask; m; m &= m - 1) {
		int i = __builtin_ctz(m);
		if (w.values[i]) some |= 1u << i;
	}
	for (unsigned int m = mask; m; m &= m - 1) {
		Thread *other = b->thread(t->index - lane + __builtin_ctz(m));
		other->result = other->from < 0 ? some : w.values[other->from];
		if (other == t) continue;
		if (other->mask != mask || other->line != line || strcmp(other->file, file))
			fault(launch_failed, "lanes of a warp that don't meet: " + b->place(other) + " waits at " + waits_at(other) +
				", this one at " + waits_at(at, file, line));
		other->state = State::ready;
		b->ready++;
	}
	return t->result;
}

void sync_warp(const char *at, const char *file, int line, unsigned int mask) {
	exchange(at, file, line, mask, 0, -1);
}

uint64_t shuffle(const char *at, const char *file, int line, unsigned int mask, uint64_t value, int from) {
	return exchange(at, file, line, mask, value, from);
}

unsigned int ballot(const char *at, const char *file, int line, unsigned int mask, bool predicate) {
	return exchange(at, file, line, mask, predicate, -1);
}

void meet(const char *at, const char *file, int line, void *value, Meeting f) {
	exchange(at, file, line, ~0u, reinterpret_cast<uint64_t>(value), -1, f);
}

void fault(int error, const std::string &what) {
	Thread *t = self();
	Work *w = t->home->work;
	w->fail(error, "kernel " + std::string(w->launch->kernel->name) + ", " + t->home->place(t) + ": " + what);
	emulator_switch(&t->stack_pointer, w->scheduler);
	abort();
}

void fail(const char *what, const char *file, int line) {
	fault(launch_failed, std::string(what) + " at " + file + ":" + std::to_string(line));
}

void Work::fail(int e, const std::string &text) {
	failed = true;
	if (error) return;
	error = e;
	message = text;
}

// stuck says why no thread of the block can go on.
static std::string stuck(Block &b) {
	const Thread *waits = nullptr, *other = nullptr;
	for (int i = 0; i < b.threads; i++) {
		Thread *t = b.thread(i);
		if (t->state != State::ended && !waits) waits = t;
	}
	for (int i = 0; i < b.threads && !other; i++) {
		Thread *t = b.thread(i);
		if (t->state == State::ended || t->line != waits->line || t->state != waits->state) other = t;
	}
	std::string text = b.place(waits) + " waits at " + waits_at(waits) + " for threads that don't come";
	if (other && other->state == State::ended) text += ": " + b.place(other) + " has ended";
	else if (other) text += ": " + b.place(other) + " waits at " + waits_at(other);
	return text;
}

// run_block runs a block until it is over, or waits for other blocks. It returns
// whether it is over.
static bool run_block(Block &b) {
	b.resume();
	if (b.ended == b.threads && b.traced) add_traffic(b.work->profile, b.trips);
	if (b.work->failed || b.ended == b.threads) return true;
	int grid = 0;
	for (int i = 0; i < b.threads; i++) grid += b.thread(i)->state == State::grid;
	if (grid == b.threads) return false;
	b.work->fail(launch_failed, "kernel " + std::string(b.work->launch->kernel->name) + ": " + stuck(b));
	return true;
}

static uint3 block_index(const dim3 &grid, uint64_t i) {
	return {(unsigned int)(i % grid.x), (unsigned int)(i / grid.x % grid.y), (unsigned int)(i / grid.x / grid.y)};
}

// A Pool runs the blocks of a launch on as many threads as there are processors.
class Pool {
public:
	explicit Pool(int n) {
		sigset_t all, before; // signals are for the program's own threads
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		for (int i = 0; i < n; i++) std::thread([this, i] { work(i); }).detach();
		pthread_sigmask(SIG_SETMASK, &before, nullptr);
		size = n;
	}

	// run calls f(worker) on as many workers as asked for and waits.
	void run(int workers, void (*f)(int, void *), void *argument) {
		std::unique_lock<std::mutex> lock(mutex);
		task = f;
		this->argument = argument;
		wanted = running = workers;
		round++;
		start.notify_all();
		done.wait(lock, [this] { return running == 0; });
	}

	int size = 0;

private:
	void work(int i) {
		std::unique_lock<std::mutex> lock(mutex);
		for (uint64_t seen = 0;;) {
			start.wait(lock, [&] { return round != seen; });
			seen = round;
			if (i >= wanted) continue;
			auto f = task;
			auto a = argument;
			lock.unlock();
			f(i, a);
			lock.lock();
			if (--running == 0) done.notify_one();
		}
	}

	std::mutex mutex;
	std::condition_variable start, done;
	uint64_t round = 0;
	int wanted = 0, running = 0;
	void (*task)(int, void *) = nullptr;
	void *argument = nullptr;
};

uint32_t last_epoch() { return epochs; }
uint32_t next_epoch() { return ++epochs; }

struct Run {
	const Launch *launch;
	uint32_t epoch = ++epochs;
	std::atomic<uint64_t> next{0};
	std::atomic<bool> failed{false};
	std::vector<Work> works;
};

// run_blocks runs blocks one at a time until none is left.
static void run_blocks(int worker, void *argument) {
	static thread_local Block block;
	Run &r = *static_cast<Run *>(argument);
	Work &w = r.works[worker];
	w.launch = r.launch;
	w.epoch = r.epoch;
	const dim3 &grid = r.launch->grid;
	uint64_t count = (uint64_t)grid.x * grid.y * grid.z;
	while (!r.failed) {
		uint64_t i = r.next++;
		if (i >= count) return;
		block.start(&w, worker, block_index(grid, i));
		if (!run_block(block)) w.fail(launch_failed, "a block waits for the grid in a launch that is not cooperative");
		if (w.failed) r.failed = true;
	}
}

// run_together runs all blocks in turns, from one barrier of the grid to the next.
static void run_together(int worker, void *argument) {
	Run &r = *static_cast<Run *>(argument);
	Work &w = r.works[worker];
	w.launch = r.launch;
	w.epoch = r.epoch;
	const dim3 &grid = r.launch->grid;
	std::vector<Block> blocks(grid.x * grid.y * grid.z);
	for (size_t i = 0; i < blocks.size(); i++) blocks[i].start(&w, i, block_index(grid, i));
	for (;;) {
		size_t over = 0;
		for (Block &b : blocks) {
			over += run_block(b);
			if (w.failed) return;
		}
		if (over == blocks.size()) return;
		if (over > 0) {
			w.fail(launch_failed, "kernel " + std::string(r.launch->kernel->name) + ": a block has ended while others wait at the grid's barrier");
			return;
		}
		w.epoch = ++epochs;
		for (Block &b : blocks) {
			b.interval = ++intervals;
			b.release(State::grid);
		}
	}
}

std::string run(const Launch &launch, int *error) {
	*error = 0;
	if (getenv("SGFLOW_EMULATOR_EMPTY")) return "";
	static Pool &pool = *[] {
		reserve_at(stacks, resident_blocks * 1024 * stack_size, PROT_READ | PROT_WRITE);
		int processors = std::thread::hardware_concurrency();
		return new Pool(processors < 1 ? 1 : processors > 16 ? 16 : processors);
	}();
	uint64_t blocks = (uint64_t)launch.grid.x * launch.grid.y * launch.grid.z;
	int workers = launch.cooperative ? 1 : blocks < (uint64_t)pool.size ? (int)blocks : pool.size;
	Run r;
	r.launch = &launch;
	r.works.resize(workers);
	pool.run(workers, launch.cooperative ? run_together : run_blocks, &r);
	for (Work &w : r.works) {
		if (!w.failed) continue;
		*error = w.error;
		return w.message;
	}
	Profile profile;
	for (Work &w : r.works) profile.add(w.profile);
	profile.launches = 1, profile.blocks = blocks;
	keep_profile(launch.kernel->name, profile);
	return "";
}

} // namespace emulator
