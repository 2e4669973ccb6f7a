// The device's memory: where it is, which of its bytes exist and which were
// written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace emulator {

// All that kernels can address beside their stacks lies in one range, whose first
// part is the blocks' shared memory. Go's race detector and heap are elsewhere.
constexpr uintptr_t device_base = 0x500000000000;
constexpr uintptr_t device_size = uintptr_t(16) << 30;
constexpr uintptr_t shared_each = 256 << 10; // of a resident block
constexpr int resident_blocks = 256;
constexpr uintptr_t shared_size = shared_each * resident_blocks;

// Every byte of the range has a byte that says what it is.
constexpr uintptr_t shadow_base = device_base + device_size;
enum Shadow : uint8_t {
	absent = 0,
	unwritten = 1,
	written = 3,
};
inline uint8_t *shadow(uintptr_t address) {
	return reinterpret_cast<uint8_t *>(address + device_size);
}
inline uint8_t *shadow(const void *p) {
	return shadow(reinterpret_cast<uintptr_t>(p));
}
inline bool on_device(uintptr_t address) {
	return address - device_base < device_size;
}

enum class Kind { device, managed, pinned };

// reserve_at takes an address range, without memory, or ends the process.
void *reserve_at(uintptr_t address, size_t bytes, int protection);

// reserve takes the device's address range; it is called once, before anything else.
void reserve();

// allocate returns memory with 256-byte alignment, or 0 where the device has not
// enough. Device memory is full of garbage at first, other memory zero.
uintptr_t allocate(size_t bytes, Kind kind);

// release returns false where the address is not one that allocate returned.
bool release(uintptr_t address, bool pinned);

// guard closes managed memory to the host, where SGFLOW_EMULATOR_GUARD is set, or opens
// it. Work opens it before it runs.
void guard(bool closed);

// release_all gives everything back.
void release_all();

// free_memory is how many bytes of the device's memory are free.
size_t free_memory();
size_t total_memory();

// contains reports whether the range lies within one allocation.
bool contains(uintptr_t address, size_t bytes);

// where describes an address for an error.
std::string where(uintptr_t address);

} // namespace emulator
