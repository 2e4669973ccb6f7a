// PTX for a C++17 compiler: what translate.go makes of an instruction is a call of a
// function here. op_mul_wide<s32> is mul.wide.s32, and so on; what they compute is in
// the PTX ISA, "Instruction Set".
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runtime.h"

namespace ptx {

using pred = bool;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;
using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using b8 = uint8_t;
using b16 = uint16_t;
using b32 = uint32_t;
using b64 = uint64_t;
using f32 = float;
using f64 = double;

#define INLINE inline __attribute__((always_inline))

template <class To, class From> INLINE To bits(From x) {
	static_assert(sizeof(To) == sizeof(From));
	To y;
	memcpy(&y, &x, sizeof x);
	return y;
}

INLINE f32 F(u32 x) { return bits<f32>(x); }
INLINE f64 D(u64 x) { return bits<f64>(x); }

// as is an operand as an instruction of type T sees it: its bits, the low ones where
// it is wider, with zeros where it is narrower.
template <class T, class R> INLINE T as(R x) {
	if constexpr (std::is_same_v<T, R>) return x;
	else if constexpr (std::is_same_v<R, bool>) return T(x);
	else if constexpr (std::is_same_v<T, bool>) return x != 0;
	else if constexpr (sizeof(T) == sizeof(R)) return bits<T>(x);
	else {
		static_assert(std::is_integral_v<T> && std::is_integral_v<R>, "an operand of another size");
		return static_cast<T>(x);
	}
}

// set writes a result to a register, extended by its sign if it has one.
template <class R, class T> INLINE void set(R &r, T x) {
	if constexpr (std::is_same_v<R, T>) r = x;
	else if constexpr (sizeof(T) == sizeof(R)) r = bits<R>(x);
	else {
		static_assert(std::is_integral_v<T> && std::is_integral_v<R>, "a result of another size");
		r = static_cast<R>(x);
	}
}

// Memory.

// load and store move n values that lie side by side. An address is one of the whole
// space; those of a block's shared memory, which count from its start, are made so
// first.
template <class T, class... R> INLINE void load(bool is_volatile, u64 address, R &...registers) {
	T values[sizeof...(R)];
	emulator::check_read<sizeof values>(address, !is_volatile);
	memcpy(values, reinterpret_cast<const void *>(address), sizeof values);
	const T *next = values;
	(set(registers, *next++), ...);
}

template <class T, class... V> INLINE void store(bool is_volatile, u64 address, V... v) {
	T values[] = {as<T>(v)...};
	emulator::check_write<sizeof values>(address, !is_volatile);
	memcpy(reinterpret_cast<void *>(address), values, sizeof values);
}

// Parameters are memory of their own, which needs no check: translate.go has looked at
// their sizes.
template <class T, class... R> INLINE void load_param(const void *p, R &...registers) {
	T values[sizeof...(R)];
	memcpy(values, p, sizeof values);
	const T *next = values;
	(set(registers, *next++), ...);
}

template <class T, class... V> INLINE void store_param(void *p, V... v) {
	T values[] = {as<T>(v)...};
	memcpy(p, values, sizeof values);
}

// update is an atomic *p = f(*p); it returns the old value.
template <class T, class F> T update(u64 address, F f) {
	using Bits = std::conditional_t<sizeof(T) == 4, u32, u64>;
	static_assert(sizeof(T) == sizeof(Bits), "atomic operations have 4 or 8 bytes");
	Bits *word = reinterpret_cast<Bits *>(address);
	Bits old = emulator::atomic_load(word);
	while (!emulator::compare_and_swap(word, &old, bits<Bits>(T(f(bits<T>(old)))))) {}
	return bits<T>(old);
}

template <class T> T atom_add(u64 p, T v) { return update<T>(p, [=](T x) { return x + v; }); }
template <class T> T atom_max(u64 p, T v) { return update<T>(p, [=](T x) { return x > v ? x : v; }); }
template <class T> T atom_min(u64 p, T v) { return update<T>(p, [=](T x) { return x < v ? x : v; }); }
template <class T> T atom_exch(u64 p, T v) { return update<T>(p, [=](T) { return v; }); }
template <class T> T atom_or(u64 p, T v) { return update<T>(p, [=](T x) { return x | v; }); }
template <class T> T atom_inc(u64 p, T v) { return update<T>(p, [=](T x) { return x >= v ? 0 : x + 1; }); }
template <class T> T atom_cas(u64 p, T expected, T v) { return update<T>(p, [=](T x) { return x == expected ? v : x; }); }

// Integers. Sums and products wrap around.

template <class T> using Unsigned = std::make_unsigned_t<T>;
template <class T> using Wide = std::conditional_t<std::is_signed_v<T>, std::conditional_t<sizeof(T) == 4, s64, s32>, std::conditional_t<sizeof(T) == 4, u64, u32>>;

template <class T> INLINE T op_add(T a, T b) {
	if constexpr (std::is_floating_point_v<T>) return a + b;
	else return T(Unsigned<T>(a) + Unsigned<T>(b));
}
template <class T> INLINE T op_sub(T a, T b) {
	if constexpr (std::is_floating_point_v<T>) return a - b;
	else return T(Unsigned<T>(a) - Unsigned<T>(b));
}
template <class T> INLINE T op_mul(T a, T b) {
	static_assert(std::is_floating_point_v<T>);
	return a * b;
}
template <class T> INLINE T op_mul_lo(T a, T b) { return T(Unsigned<T>(a) * u64(Unsigned<T>(b))); }
template <class T> INLINE Wide<T> op_mul_wide(T a, T b) { return Wide<T>(a) * Wide<T>(b); }
template <class T> INLINE T op_mul_hi(T a, T b) {
	using Twice = std::conditional_t<sizeof(T) == 4, Wide<T>, std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>;
	return T((Twice(a) * Twice(b)) >> (8 * sizeof(T)));
}
template <class T> INLINE T op_mad_lo(T a, T b, T c) { return op_add<T>(op_mul_lo<T>(a, b), c); }
// A quotient by zero is unspecified; its bits are ones here.
template <class T> INLINE T op_div(T a, T b) { return b == 0 ? T(~T(0)) : std::is_signed_v<T> && b == T(-1) ? op_sub<T>(0, a) : T(a / b); }
template <class T> INLINE T op_rem(T a, T b) { return b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b); }
template <class T> INLINE T op_neg(T a) {
	if constexpr (std::is_floating_point_v<T>) return -a;
	else return op_sub<T>(0, a);
}
template <class T> INLINE T op_abs(T a) {
	if constexpr (std::is_floating_point_v<T>) return std::fabs(a);
	else return a < 0 ? op_neg(a) : a;
}
// Of a number and NaN, min and max are the number.
template <class T> INLINE T op_min(T a, T b) {
	if constexpr (std::is_floating_point_v<T>) return std::fmin(a, b);
	else return a < b ? a : b;
}
template <class T> INLINE T op_max(T a, T b) {
	if constexpr (std::is_floating_point_v<T>) return std::fmax(a, b);
	else return a > b ? a : b;
}

template <class T> INLINE T op_and(T a, T b) { return a & b; }
template <class T> INLINE T op_or(T a, T b) { return a | b; }
template <class T> INLINE T op_xor(T a, T b) { return a ^ b; }
template <class T> INLINE T op_not(T a) {
	if constexpr (std::is_same_v<T, pred>) return !a;
	else return T(~a);
}
// Shifts are by an u32 and stop at the number of bits.
template <class T> INLINE T op_shl(T a, u32 n) { return n >= 8 * sizeof(T) ? T(0) : T(Unsigned<T>(a) << n); }
template <class T> INLINE T op_shr(T a, u32 n) {
	if (n >= 8 * sizeof(T)) return std::is_signed_v<T> && a < 0 ? T(-1) : T(0);
	return T(a >> n);
}
template <class T> INLINE u32 op_bfind_shiftamt(T a) {
	static_assert(std::is_same_v<T, u32>);
	return a ? __builtin_clz(a) : ~0u;
}
template <class T> INLINE T op_brev(T a) {
	T r = 0;
	for (size_t i = 0; i < 8 * sizeof(T); i++) r |= (a >> i & 1) << (8 * sizeof(T) - 1 - i);
	return r;
}
template <class T> INLINE T op_bfi(T a, T b, u32 position, u32 length) {
	position &= 255, length &= 255;
	if (position >= 8 * sizeof(T) || length == 0) return b;
	T mask = length >= 8 * sizeof(T) ? ~T(0) : (T(1) << length) - 1;
	return (b & ~(mask << position)) | (a & mask) << position;
}
template <class T> INLINE T op_prmt(T a, T b, T selectors) {
	static_assert(std::is_same_v<T, b32>);
	const u64 from = u64(b) << 32 | a;
	u32 result = 0;
	for (int i = 0; i < 4; i++) {
		const u32 selector = selectors >> 4 * i & 15;
		u8 byte = u8(from >> 8 * (selector & 7));
		if (selector & 8) byte = byte & 0x80 ? 0xff : 0;
		result |= u32(byte) << 8 * i;
	}
	return result;
}

// pack makes a whole of its parts, the low one first; unpack the reverse.
template <class R, class... V> INLINE void pack(R &whole, V... v) {
	u64 x = 0;
	int at = 0;
	((x |= u64(bits<std::conditional_t<sizeof(V) == 4, u32, std::conditional_t<sizeof(V) == 2, u16, u8>>>(v)) << at, at += 8 * sizeof(V)), ...);
	static_assert((sizeof(V) + ...) == sizeof(R));
	if constexpr (sizeof(R) == 8) whole = bits<R>(x);
	else whole = bits<R>(u32(x));
}
template <class R, class... V> INLINE void unpack(R whole, V &...v) {
	static_assert((sizeof(V) + ...) == sizeof(R));
	const char *from = reinterpret_cast<const char *>(&whole);
	((memcpy(&v, from, sizeof v), from += sizeof v), ...);
}

template <class T> INLINE T op_mov(T a) { return a; }
template <class T> INLINE T op_selp(T a, T b, pred c) { return c ? a : b; }

// Comparisons: those that end in u are true where a factor is NaN.
template <class T> INLINE bool unordered(T a, T b) {
	if constexpr (std::is_floating_point_v<T>) return std::isnan(a) || std::isnan(b);
	else return false;
}
template <class T> INLINE pred op_setp_eq(T a, T b) { return a == b; }
template <class T> INLINE pred op_setp_ne(T a, T b) { return a != b && !unordered(a, b); }
template <class T> INLINE pred op_setp_lt(T a, T b) { return a < b; }
template <class T> INLINE pred op_setp_le(T a, T b) { return a <= b; }
template <class T> INLINE pred op_setp_gt(T a, T b) { return a > b; }
template <class T> INLINE pred op_setp_ge(T a, T b) { return a >= b; }
template <class T> INLINE pred op_setp_equ(T a, T b) { return a == b || unordered(a, b); }
template <class T> INLINE pred op_setp_neu(T a, T b) { return a != b; }
template <class T> INLINE pred op_setp_ltu(T a, T b) { return !(a >= b); }
template <class T> INLINE pred op_setp_leu(T a, T b) { return !(a > b); }
template <class T> INLINE pred op_setp_gtu(T a, T b) { return !(a <= b); }
template <class T> INLINE pred op_setp_geu(T a, T b) { return !(a < b); }
template <class T> INLINE pred op_setp_num(T a, T b) { return !unordered(a, b); }
template <class T> INLINE pred op_setp_nan(T a, T b) { return unordered(a, b); }

// Floating point. The approximations are better here than on a device, but for the
// bits that it leaves out.

template <class T> INLINE T op_add_rn(T a, T b) { return a + b; }
template <class T> INLINE T op_mul_rn(T a, T b) { return a * b; }
template <class T> INLINE T op_div_rn(T a, T b) { return a / b; }
template <class T> INLINE T op_rcp_rn(T a) { return 1 / a; }
template <class T> INLINE T op_sqrt_rn(T a) { return std::sqrt(a); }
template <class T> INLINE T op_fma_rn(T a, T b, T c) { return std::fma(a, b, c); }
// Rounded down.
template <class T> __attribute__((noinline)) T op_fma_rm(volatile T a, volatile T b, volatile T c) {
	const unsigned int before = _mm_getcsr();
	_mm_setcsr((before & ~0x6000u) | 0x2000u);
	volatile T result = std::fma(a, b, c);
	_mm_setcsr(before);
	return result;
}
INLINE f32 flushed(f32 a) { return std::fabs(a) < std::numeric_limits<f32>::min() ? std::copysign(0.f, a) : a; }
template <class T> INLINE T op_ex2_approx_ftz(T a) { return flushed(std::exp2(flushed(a))); }
template <class T> INLINE T op_rcp_approx_ftz(T a) {
	if constexpr (sizeof(T) == 4) return flushed(1 / flushed(a));
	else { // of the upper words
		const u64 upper = ~u64(0) << 32;
		return bits<T>(bits<u64>(1 / bits<T>(bits<u64>(a) & upper)) & upper);
	}
}

// Conversions, to T from S.
template <class T, class S> INLINE T op_cvt(S a) { return T(a); }
template <class T, class S> INLINE T op_cvt_rn(S a) { return T(a); }
template <class T, class S> INLINE T op_cvt_rzi(S a) {
	if constexpr (std::is_floating_point_v<T>) return std::trunc(a);
	else {
		if (std::isnan(a)) return 0;
		if (a <= S(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
		if (a >= S(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
		return T(a);
	}
}
template <class T, class S> INLINE T op_cvt_sat(S a) { return a > 0 ? a < 1 ? T(a) : T(1) : T(0); }
// tf32 is float32 with 10 bits of mantissa; ties go away from zero.
INLINE u32 tf32_rna(f32 a) {
	u32 x = bits<u32>(a);
	if ((x & 0x7f800000u) != 0x7f800000u) x += 0x1000u;
	return x & ~0x1fffu;
}

// Warps.

// shfl is shfl.sync.b32: how names the lane that a lane reads, by mode, b and c.
enum class Shuffle { up, down, bfly, idx };
template <class R> INLINE void shfl(const char *file, int line, Shuffle how, R &d, bool &found, u32 a, u32 b, u32 c, u32 mask) {
	const int lane = emulator::self()->index % 32, segment = c >> 8 & 31, clamp = c & 31, n = b & 31;
	const int last = (lane & segment) | (clamp & ~segment), first = lane & segment;
	int from = 0;
	switch (how) {
	case Shuffle::up: from = lane - n, found = from >= last; break;
	case Shuffle::down: from = lane + n, found = from <= last; break;
	case Shuffle::bfly: from = lane ^ n, found = from <= last; break;
	case Shuffle::idx: from = first | (n & ~segment), found = from <= last; break;
	}
	set(d, u32(emulator::shuffle("shfl.sync", file, line, mask, a, found ? from : lane)));
}

// Fragments are a lane's elements of A, B and C: with g = lane/4 and t = lane%4 A[g,t], A[g+8,t],
// A[g,t+4] and A[g+8,t+4]; B[t,g] and B[t+4,g]; C[g,2t], C[g,2t+1], C[g+8,2t] and C[g+8,2t+1].
struct Fragments {
	u32 a[4], b[2];
	f32 c[4];
};
inline void multiply_fragments(const u64 *lanes) {
	auto lane = [&](int k) { return reinterpret_cast<Fragments *>(lanes[k]); };
	auto factor = [](u32 x) { return bits<f32>(x & ~0x1fffu); };
	f32 a[16][8], b[8][8];
	for (int g = 0; g < 8; g++)
		for (int t = 0; t < 4; t++) {
			const Fragments &f = *lane(4 * g + t);
			a[g][t] = factor(f.a[0]), a[g + 8][t] = factor(f.a[1]), a[g][t + 4] = factor(f.a[2]), a[g + 8][t + 4] = factor(f.a[3]);
			b[t][g] = factor(f.b[0]), b[t + 4][g] = factor(f.b[1]);
		}
	for (int g = 0; g < 8; g++)
		for (int t = 0; t < 4; t++)
			for (int e = 0; e < 4; e++) {
				f32 &c = lane(4 * g + t)->c[e];
				for (int k = 0; k < 8; k++) c = std::fma(a[g + e / 2 * 8][k], b[k][2 * t + e % 2], c);
			}
}
// mma is mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32: D = A·B + C.
INLINE void mma(const char *file, int line, f32 &d0, f32 &d1, f32 &d2, f32 &d3, u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1,
		f32 c0, f32 c1, f32 c2, f32 c3) {
	Fragments f = {{a0, a1, a2, a3}, {b0, b1}, {c0, c1, c2, c3}};
	emulator::meet("mma.sync", file, line, &f, multiply_fragments);
	d0 = f.c[0], d1 = f.c[1], d2 = f.c[2], d3 = f.c[3];
}

// Shared memory: addresses count from the start of the block's.

INLINE u64 shared_address(const void *place, size_t bytes, size_t alignment) {
	return reinterpret_cast<u64>(emulator::shared(place, bytes, alignment)) - emulator::shared_base();
}

} // namespace ptx
