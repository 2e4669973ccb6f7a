// Shared memory of blocks: variables get their place when the first thread reaches
// their declaration, after the dynamic part.

#include <cstring>

#include "block.h"
#include "memory.h"

namespace emulator {

std::string waits_at(const char *at, const char *file, int line) {
	const char *slash = strrchr(file, '/');
	return std::string(at) + " (" + (slash ? slash + 1 : file) + ":" + std::to_string(line) + ")";
}

std::string waits_at(const Thread *t) {
	return waits_at(t->at, t->file, t->line);
}

static std::string coordinates(const uint3 &v) {
	return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}

std::string Block::place(const Thread *t) {
	return "block " + coordinates(t->block) + " thread " + coordinates(t->thread);
}

static uintptr_t base(const Block *b) {
	return device_base + (uintptr_t)b->slot * shared_each;
}

// claim makes the next bytes of the block's shared memory exist, as garbage. A gap
// that does not exist follows.
static void *claim(Block *b, size_t bytes, size_t alignment) {
	if (b->shared_used + bytes > b->work->launch->shared_limit) return nullptr;
	size_t start = (b->shared_end + alignment - 1) / alignment * alignment;
	b->shared_used += bytes;
	b->shared_end = start + bytes + 16;
	void *memory = reinterpret_cast<void *>(base(b) + start);
	memset(memory, 0xcb, bytes);
	memset(shadow(memory), unwritten, bytes);
	return memory;
}

void Block::reset_shared() {
	memset(shadow(base(this)), absent, shared_end);
	shared_used = shared_end = 0;
	variables.clear();
	if (work->launch->dynamic_shared) claim(this, work->launch->dynamic_shared, 16);
}

void *shared(const void *place, size_t bytes, size_t alignment) {
	Block *b = self()->home;
	for (const Variable &v : b->variables) {
		if (v.place == place) return v.memory;
	}
	void *memory = claim(b, bytes, alignment < 16 ? 16 : alignment);
	if (!memory) fault(launch_failed, "more shared memory than the " + std::to_string(b->work->launch->shared_limit) + " bytes allowed");
	b->variables.push_back({place, memory});
	return memory;
}

void *dynamic_shared() {
	return reinterpret_cast<void *>(base(self()->home));
}

} // namespace emulator
