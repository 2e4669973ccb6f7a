// Kernels are compiled with -fsanitize=thread, which puts a call before each of
// their memory accesses. The calls lead here, not to the sanitizer's library.

#include <link.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "block.h"
#include "launch.h"
#include "memory.h"
#include "races.h"

namespace emulator {

namespace {

// The part of memory that holds this library: its constants and variables.
struct Image {
	uintptr_t start = 0, end = 0;
};

int find_image(dl_phdr_info *info, size_t, void *result) {
	uintptr_t here = reinterpret_cast<uintptr_t>(&find_image);
	Image image{~uintptr_t(0), 0};
	bool ours = false;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const auto &h = info->dlpi_phdr[i];
		if (h.p_type != PT_LOAD) continue;
		uintptr_t start = info->dlpi_addr + h.p_vaddr, end = start + h.p_memsz;
		ours |= start <= here && here < end;
		if (start < image.start) image.start = start;
		if (end > image.end) image.end = end;
	}
	if (ours) *static_cast<Image *>(result) = image;
	return ours;
}

const Image &image() {
	static const Image i = [] {
		Image i;
		dl_iterate_phdr(find_image, &i);
		return i;
	}();
	return i;
}

std::string hexadecimal(uintptr_t a) {
	char text[24];
	snprintf(text, sizeof text, "0x%zx", (size_t)a);
	return text;
}

// wrong reports an access of the device's memory that must not be.
[[gnu::noinline]] void wrong(uintptr_t address, size_t bytes, const char *verb) {
	std::string what = std::string(verb) + " of " + std::to_string(bytes) + " bytes at " + hexadecimal(address);
	if (bytes <= 16 && (bytes & (bytes - 1)) == 0 && address % bytes) fault(misaligned_address, "misaligned " + what);
	const uint8_t *s = shadow(address);
	for (size_t i = 0; i < bytes; i++) {
		if (s[i] == absent) fault(illegal_address, what + ", " + where(address + i));
		if (s[i] == unwritten && *verb == 'r') fault(illegal_address, what + ", which was never written: " + where(address + i));
	}
}

// elsewhere checks an access outside the device's memory: the thread's own stack
// and this library's data are fine.
[[gnu::noinline]] void elsewhere(uintptr_t address, size_t bytes, const char *verb) {
	if (address - image().start < image().end - image().start) return;
	fault(illegal_address, std::string(verb) + " of " + std::to_string(bytes) + " bytes at " + hexadecimal(address) + ", " + where(address));
}

inline bool own_stack(uintptr_t address) {
	return address - reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) < stack_size;
}

template <class Word> constexpr Word all(uint8_t v) {
	return (Word)(~Word(0) / 255 * v);
}

// read checks a read of a word; a volatile one may see what others write.
template <class Word> inline void read(void *p, bool races = true) {
	uintptr_t a = reinterpret_cast<uintptr_t>(p);
	if (on_device(a)) {
		Word s;
		memcpy(&s, shadow(a), sizeof s);
		if (s != all<Word>(written) || a % sizeof(Word)) wrong(a, sizeof(Word), "read");
		if (races) traced_read(a, sizeof(Word));
	} else if (!own_stack(a)) elsewhere(a, sizeof(Word), "read");
}

template <class Word> inline void write(void *p, bool races = true) {
	uintptr_t a = reinterpret_cast<uintptr_t>(p);
	if (on_device(a)) {
		Word s, w = all<Word>(written);
		memcpy(&s, shadow(a), sizeof s);
		if ((s & all<Word>(unwritten)) != all<Word>(unwritten) || a % sizeof(Word)) wrong(a, sizeof(Word), "write");
		memcpy(shadow(a), &w, sizeof w);
		if (races) traced_write(a, sizeof(Word));
	} else if (!own_stack(a)) elsewhere(a, sizeof(Word), "write");
}

void read_range(void *p, size_t bytes) {
	uintptr_t a = reinterpret_cast<uintptr_t>(p);
	if (!on_device(a)) {
		if (!own_stack(a)) elsewhere(a, bytes, "read");
		return;
	}
	for (size_t i = 0; i < bytes; i++) {
		if (*shadow(a + i) != written) wrong(a, bytes, "read");
	}
}

void write_range(void *p, size_t bytes) {
	uintptr_t a = reinterpret_cast<uintptr_t>(p);
	if (!on_device(a)) {
		if (!own_stack(a)) elsewhere(a, bytes, "write");
		return;
	}
	for (size_t i = 0; i < bytes; i++) {
		if (*shadow(a + i) == absent) wrong(a, bytes, "write");
	}
	memset(shadow(a), written, bytes);
}

typedef unsigned __int128 uint128;

} // namespace

// Atomic operations are checked here and done by the processor.

template <class Word> static bool swap(Word *p, Word *expected, Word desired) {
	read<Word>(p, false);
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool compare_and_swap(uint32_t *p, uint32_t *expected, uint32_t desired) {
	return swap(p, expected, desired);
}

bool compare_and_swap(uint64_t *p, uint64_t *expected, uint64_t desired) {
	return swap(p, expected, desired);
}

uint32_t atomic_load(const uint32_t *p) {
	read<uint32_t>(const_cast<uint32_t *>(p), false);
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

uint64_t atomic_load(const uint64_t *p) {
	read<uint64_t>(const_cast<uint64_t *>(p), false);
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

} // namespace emulator

using namespace emulator;

// The names that the compiler calls.

#define HOOKS(bytes, Word) \
	extern "C" void __tsan_read##bytes(void *p) { read<Word>(p); } \
	extern "C" void __tsan_write##bytes(void *p) { write<Word>(p); } \
	extern "C" void __tsan_volatile_read##bytes(void *p) { read<Word>(p, false); } \
	extern "C" void __tsan_volatile_write##bytes(void *p) { write<Word>(p, false); } \
	extern "C" void __tsan_unaligned_read##bytes(void *p) { read<Word>(p); } \
	extern "C" void __tsan_unaligned_write##bytes(void *p) { write<Word>(p); } \
	extern "C" void __tsan_unaligned_volatile_read##bytes(void *p) { read<Word>(p, false); } \
	extern "C" void __tsan_unaligned_volatile_write##bytes(void *p) { write<Word>(p, false); }

HOOKS(1, uint8_t)
HOOKS(2, uint16_t)
HOOKS(4, uint32_t)
HOOKS(8, uint64_t)
HOOKS(16, uint128)

extern "C" void __tsan_read_range(void *p, size_t bytes) { read_range(p, bytes); }
extern "C" void __tsan_write_range(void *p, size_t bytes) { write_range(p, bytes); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit() {}
