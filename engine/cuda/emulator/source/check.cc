// The checks before each memory access of a kernel.

#include <link.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>

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

typedef unsigned __int128 uint128;
template <size_t bytes>
using Word = std::conditional_t<bytes == 1, uint8_t, std::conditional_t<bytes == 2, uint16_t, std::conditional_t<bytes == 4, uint32_t,
	std::conditional_t<bytes == 8, uint64_t, uint128>>>>;

} // namespace

// trace keeps an access of a block that is traced.
[[gnu::noinline]] static void trace(Block *b, int thread, const void *site, uintptr_t address, size_t bytes) {
	Trip t{site, address, 0, (uint32_t)thread, (uint32_t)bytes};
	t.turn = b->turns[{site, thread}]++;
	b->trips.push_back(t);
}

#define TRACE() \
	if (Thread *t = self(); t->home->traced) trace(t->home, t->index, __builtin_return_address(0), a, bytes)

template <size_t bytes> void check_read(uintptr_t a, bool races) {
	if (on_device(a)) {
		TRACE();
		Word<bytes> s;
		memcpy(&s, shadow(a), sizeof s);
		if (s != all<Word<bytes>>(written) || a % bytes) wrong(a, bytes, "read");
		if (races) traced_read(a, bytes);
	} else if (!own_stack(a)) elsewhere(a, bytes, "read");
}

template <size_t bytes> void check_write(uintptr_t a, bool races) {
	if (on_device(a)) {
		TRACE();
		Word<bytes> s, w = all<Word<bytes>>(written);
		memcpy(&s, shadow(a), sizeof s);
		if ((s & all<Word<bytes>>(unwritten)) != all<Word<bytes>>(unwritten) || a % bytes) wrong(a, bytes, "write");
		memcpy(shadow(a), &w, sizeof w);
		if (races) traced_write(a, bytes);
	} else if (!own_stack(a)) elsewhere(a, bytes, "write");
}

#define CHECKS(bytes) \
	template void check_read<bytes>(uintptr_t, bool); \
	template void check_write<bytes>(uintptr_t, bool);
CHECKS(1)
CHECKS(2)
CHECKS(4)
CHECKS(8)
CHECKS(16)

// Atomic operations are checked here and done by the processor.

template <class T> static bool swap(T *p, T *expected, T desired) {
	check_read<sizeof *p>(reinterpret_cast<uintptr_t>(p), false);
	return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool compare_and_swap(uint32_t *p, uint32_t *expected, uint32_t desired) {
	return swap(p, expected, desired);
}

bool compare_and_swap(uint64_t *p, uint64_t *expected, uint64_t desired) {
	return swap(p, expected, desired);
}

uint32_t atomic_load(const uint32_t *p) {
	check_read<sizeof *p>(reinterpret_cast<uintptr_t>(p), false);
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

uint64_t atomic_load(const uint64_t *p) {
	check_read<sizeof *p>(reinterpret_cast<uintptr_t>(p), false);
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

} // namespace emulator
