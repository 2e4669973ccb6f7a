// What kernels compiled for the CPU need of the emulator; ptx.h has the rest.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

struct uint3 {
	unsigned int x, y, z;
};

struct dim3 {
	unsigned int x, y, z;
	constexpr dim3(unsigned int x = 1, unsigned int y = 1, unsigned int z = 1) : x(x), y(y), z(z) {}
};

namespace emulator {

struct Block;

// Tally is what a thread has executed, in instructions of PTX.
struct Tally {
	uint64_t instructions, loads, barriers; // loads of global memory; barriers of the block
};

// What a thread is doing.
enum class State : uint8_t {
	ready,
	barrier, // waits at bar.sync
	warp,    // waits for lanes of its warp
	grid,    // waits for all blocks
	ended,
};

// Thread is a CUDA thread: a fiber, which lies at the top of its own stack.
struct alignas(64) Thread {
	uint3 thread, block;
	dim3 block_dim, grid_dim;

	void *stack_pointer; // where the fiber stopped
	Block *home;
	int index; // within the block
	State state;
	unsigned int mask; // of lanes waited for
	int from;          // the lane whose value is wanted
	uint64_t result;   // of an exchange
	Tally tally;
	const char *at;      // what it waits at, and where
	const char *file;
	int line;
};

// The stacks of all threads lie side by side from here, each with its Thread at its
// upper end: that is how a thread finds itself. Their size is no power of two, so
// that threads don't compete for the same lines of the cache.
constexpr uintptr_t stacks = 0x520000000000;
constexpr uintptr_t stack_size = (96 << 10) + 7 * 64;

inline Thread *thread_of_stack(uintptr_t number) {
	return reinterpret_cast<Thread *>(stacks + (number + 1) * stack_size) - 1;
}

inline Thread *self() {
	return thread_of_stack((reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - stacks) / stack_size);
}

// nanoseconds is what the device's clock shows.
inline uint64_t nanoseconds() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

// sync waits for all threads of the block, sync_grid for those of all blocks.
void sync(const char *file, int line);
void sync_grid(const char *file, int line);

// count_true is sync; it returns how many threads came with a true predicate.
int count_true(bool predicate, const char *file, int line);

// sync_warp waits for the lanes in mask, to which the caller must belong, as do the
// next two. shuffle returns the value that lane from brought, ballot the lanes that
// came with a true predicate.
void sync_warp(const char *at, const char *file, int line, unsigned int mask = ~0u);
uint64_t shuffle(const char *at, const char *file, int line, unsigned int mask, uint64_t value, int from);
unsigned int ballot(const char *at, const char *file, int line, unsigned int mask, bool predicate);

// meet waits for all lanes of the warp; one of them calls f with what each has brought, its
// address by lane, before any goes on.
typedef void (*Meeting)(const uint64_t *values);
void meet(const char *at, const char *file, int line, void *value, Meeting f);

// shared returns the memory of a shared variable, by the place of its
// declaration; dynamic_shared that of the launch.
void *shared(const void *place, size_t bytes, size_t alignment);
void *dynamic_shared();

// shared_base is where the block's shared memory starts.
inline uintptr_t shared_base() { return reinterpret_cast<uintptr_t>(dynamic_shared()); }

// The checks before an access of 1, 2, 4, 8 or 16 bytes; one that is volatile may race with
// others'.
template <size_t bytes> void check_read(uintptr_t address, bool races);
template <size_t bytes> void check_write(uintptr_t address, bool races);

// Atomic operations are loops of these.
bool compare_and_swap(uint32_t *p, uint32_t *expected, uint32_t desired);
bool compare_and_swap(uint64_t *p, uint64_t *expected, uint64_t desired);
uint32_t atomic_load(const uint32_t *p);
uint64_t atomic_load(const uint64_t *p);

// fence orders the block's accesses for other blocks.
void fence();

// fail ends the kernel with an error, as trap does.
[[noreturn]] void fail(const char *what, const char *file, int line);

// Kernel is an entry of the table of kernels.
struct Kernel {
	const char *name;
	void (*call)(void **arguments);
	const uint16_t *sizes; // of the arguments, in bytes
	int count;
	unsigned int max_threads; // of a block
};

// kernels is the table, which translate.go writes. It ends with a null pointer.
extern const Kernel *const kernels[];

// module_sum is FNV-1a of the module's text.
extern const uint64_t module_sum;

} // namespace emulator
