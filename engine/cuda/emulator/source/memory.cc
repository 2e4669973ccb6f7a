#include "memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "races.h"

namespace emulator {

namespace {

constexpr size_t page = 4096;

struct Allocation {
	size_t bytes, pages; // pages has a page that nobody may touch
	Kind kind;
};

std::mutex mutex;
std::map<uintptr_t, Allocation> allocations;
uintptr_t next = device_base + shared_size + page;
size_t used;

// find returns the allocation with the highest start that is not above address.
std::map<uintptr_t, Allocation>::iterator find(uintptr_t address) {
	auto i = allocations.upper_bound(address);
	return i == allocations.begin() ? allocations.end() : --i;
}

void give_back(uintptr_t start, const Allocation &a) {
	if (a.kind != Kind::pinned) used -= a.bytes;
	memset(shadow(start), absent, a.bytes);
	madvise(reinterpret_cast<void *>(start), a.pages * page, MADV_DONTNEED);
	mprotect(reinterpret_cast<void *>(start), a.pages * page, PROT_NONE);
}

} // namespace

void *reserve_at(uintptr_t address, size_t bytes, int protection) {
	// What is writable is shared (with nobody): private it would count against a limit
	// of data, all of it, though next to nothing of it is ever touched.
	int sharing = protection == PROT_NONE ? MAP_PRIVATE : MAP_SHARED;
	void *range = mmap(reinterpret_cast<void *>(address), bytes, protection, sharing | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (range == MAP_FAILED) {
		fprintf(stderr, "cuda emulator: reserving %zu GiB of addresses at 0x%zx: %s\n", bytes >> 30, (size_t)address, strerror(errno));
		abort();
	}
	return range;
}

void reserve() {
	void *range = reserve_at(device_base, device_size, PROT_NONE);
	reserve_at(shadow_base, device_size, PROT_READ | PROT_WRITE);
	reserve_at(trace_base, device_size / 4 * sizeof(Trace), PROT_READ | PROT_WRITE);
	mprotect(range, shared_size, PROT_READ | PROT_WRITE);
}

size_t total_memory() {
	const char *mib = getenv("SGFLOW_EMULATOR_MEMORY_MIB");
	return (mib ? strtoull(mib, nullptr, 10) : 4096) << 20;
}

size_t free_memory() {
	std::lock_guard<std::mutex> lock(mutex);
	return total_memory() - std::min(used, total_memory());
}

// Addresses are not used again until the range is spent, so that a pointer to
// freed memory stays a pointer to nothing.
uintptr_t allocate(size_t bytes, Kind kind) {
	std::lock_guard<std::mutex> lock(mutex);
	size_t pages = (bytes + page - 1) / page + 1;
	if (kind != Kind::pinned && used + bytes > total_memory()) return 0;
	if (next + pages * page > device_base + device_size) {
		next = device_base + shared_size + page;
		for (const auto &[start, a] : allocations) {
			if (start < next + pages * page) next = start + a.pages * page;
		}
		if (next + pages * page > device_base + device_size) return 0;
	}
	uintptr_t start = next;
	next += pages * page;
	void *memory = reinterpret_cast<void *>(start);
	if (mprotect(memory, (pages - 1) * page, PROT_READ | PROT_WRITE)) return 0;
	allocations[start] = {bytes, pages, kind};
	if (kind != Kind::pinned) used += bytes;
	if (kind == Kind::device && !getenv("SGFLOW_EMULATOR_EMPTY")) memset(memory, 0xcb, bytes);
	memset(shadow(start), kind == Kind::device ? unwritten : written, bytes);
	return start;
}

bool release(uintptr_t address, bool pinned) {
	std::lock_guard<std::mutex> lock(mutex);
	auto i = allocations.find(address);
	if (i == allocations.end() || (i->second.kind == Kind::pinned) != pinned) return false;
	give_back(i->first, i->second);
	allocations.erase(i);
	return true;
}

void release_all() {
	std::lock_guard<std::mutex> lock(mutex);
	for (const auto &[start, a] : allocations) give_back(start, a);
	allocations.clear();
}

void guard(bool closed) {
	static bool is_closed = false;
	std::lock_guard<std::mutex> lock(mutex);
	if (closed == is_closed || (closed && !getenv("SGFLOW_EMULATOR_GUARD"))) return;
	is_closed = closed;
	for (const auto &[start, a] : allocations) {
		if (a.kind == Kind::managed) mprotect(reinterpret_cast<void *>(start), (a.pages - 1) * page, closed ? PROT_NONE : PROT_READ | PROT_WRITE);
	}
}

bool contains(uintptr_t address, size_t bytes) {
	std::lock_guard<std::mutex> lock(mutex);
	auto i = find(address);
	return i != allocations.end() && address - i->first <= i->second.bytes && bytes <= i->second.bytes - (address - i->first);
}

std::string where(uintptr_t address) {
	if (!on_device(address)) return "not the device's memory";
	if (address < device_base + shared_size) return "shared memory";
	std::lock_guard<std::mutex> lock(mutex);
	auto i = find(address);
	if (i == allocations.end()) return "before all allocations";
	size_t offset = address - i->first, bytes = i->second.bytes;
	char text[160];
	if (offset < bytes) snprintf(text, sizeof text, "byte %zu of an allocation of %zu bytes", offset, bytes);
	else snprintf(text, sizeof text, "%zu bytes past the end of an allocation of %zu bytes", offset - bytes, bytes);
	return text;
}

} // namespace emulator
