// CUDA C++ for a C++17 compiler, as far as sgflow's kernels use it. It is included
// before the first line of every .cu file.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "runtime.h"

#define SGFLOW_EMULATED 1

// __global__ and __shared__ are for build.go: it finds kernels by the first and
// rewrites declarations with the second.
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __restrict__ __restrict
#define __grid_constant__

#define threadIdx (emulator::self()->thread)
#define blockIdx (emulator::self()->block)
#define blockDim (emulator::self()->block_dim)
#define gridDim (emulator::self()->grid_dim)
constexpr int warpSize = 32;

#define __syncthreads() emulator::sync(__FILE__, __LINE__)
#define __syncthreads_count(p) emulator::count_true(p, __FILE__, __LINE__)
#define __syncthreads_or(p) (emulator::count_true(p, __FILE__, __LINE__) > 0)
#define __syncthreads_and(p) (emulator::count_true(!(p), __FILE__, __LINE__) == 0)
#define sgflow_sync_grid() emulator::sync_grid(__FILE__, __LINE__)

#define __syncwarp(...) emulator::sync_warp("__syncwarp", __FILE__, __LINE__, ##__VA_ARGS__)
#define __activemask() (~0u)
#define __shfl_sync(...) emulator::shuffle("__shfl_sync", __FILE__, __LINE__, emulator::from_lane, __VA_ARGS__)
#define __shfl_up_sync(...) emulator::shuffle("__shfl_up_sync", __FILE__, __LINE__, emulator::from_below, __VA_ARGS__)
#define __shfl_down_sync(...) emulator::shuffle("__shfl_down_sync", __FILE__, __LINE__, emulator::from_above, __VA_ARGS__)
#define __shfl_xor_sync(...) emulator::shuffle("__shfl_xor_sync", __FILE__, __LINE__, emulator::from_xor, __VA_ARGS__)
#define __ballot_sync(m, p) emulator::ballot("__ballot_sync", __FILE__, __LINE__, m, p)
#define __any_sync(m, p) (emulator::ballot("__any_sync", __FILE__, __LINE__, m, p) != 0)
#define __all_sync(m, p) (emulator::ballot("__all_sync", __FILE__, __LINE__, m, !(p)) == 0)

#define __trap() emulator::fail("__trap", __FILE__, __LINE__)
#undef assert
#define assert(x) ((x) ? (void)0 : emulator::fail("assertion failed: " #x, __FILE__, __LINE__))

namespace emulator {

inline unsigned int lane() {
	return self()->index % 32;
}

// The lane that a lane gets its value from, in a segment of width lanes that
// starts at first; itself where there is none.
inline int from_lane(int lane, int first, int width, int delta) {
	return first + ((delta % width) + width) % width;
}
inline int from_below(int lane, int first, int width, int delta) {
	return lane - delta >= first ? lane - delta : lane;
}
inline int from_above(int lane, int first, int width, int delta) {
	return lane + delta < first + width ? lane + delta : lane;
}
inline int from_xor(int lane, int first, int width, int delta) {
	return (lane ^ delta) < first + width ? lane ^ delta : lane;
}

template <class T>
T shuffle(const char *at, const char *file, int line, int (*source)(int, int, int, int), unsigned int mask, T value, int delta,
		int width = 32) {
	static_assert(sizeof(T) <= 8, "shuffles move at most 8 bytes");
	uint64_t bits = 0;
	memcpy(&bits, &value, sizeof value);
	int l = lane();
	bits = shuffle(at, file, line, mask, bits, source(l, l / width * width, width, delta));
	memcpy(&value, &bits, sizeof value);
	return value;
}

// update is an atomic *p = f(*p); it returns the old value.
template <class T, class F> T update(T *p, F f) {
	using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
	static_assert(sizeof(T) == sizeof(Bits), "atomic operations have 4 or 8 bytes");
	Bits *word = reinterpret_cast<Bits *>(p);
	Bits old = atomic_load(word);
	for (;;) {
		T before;
		memcpy(&before, &old, sizeof old);
		T after = f(before);
		Bits desired;
		memcpy(&desired, &after, sizeof after);
		if (compare_and_swap(word, &old, desired)) return before;
	}
}

} // namespace emulator

template <class T> T atomicAdd(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x + v; });
}
template <class T> T atomicSub(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x - v; });
}
template <class T> T atomicMax(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x > v ? x : v; });
}
template <class T> T atomicMin(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x < v ? x : v; });
}
template <class T> T atomicExch(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T) { return v; });
}
template <class T> T atomicCAS(T *p, std::common_type_t<T> compare, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x == compare ? v : x; });
}
template <class T> T atomicAnd(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x & v; });
}
template <class T> T atomicOr(T *p, std::common_type_t<T> v) {
	return emulator::update(p, [=](T x) { return x | v; });
}
inline unsigned int atomicInc(unsigned int *p, unsigned int limit) {
	return emulator::update(p, [=](unsigned int x) { return x >= limit ? 0 : x + 1; });
}

inline void __threadfence() { emulator::fence(); }
inline void __threadfence_block() {}
inline void __threadfence_system() { emulator::fence(); }
inline void __nanosleep(unsigned int) {}

// Vector types.

#define SGFLOW_VECTOR(type, name, bytes) \
	struct __attribute__((aligned(2 * bytes))) name##2 { \
		type x, y; \
	}; \
	struct name##3 { \
		type x, y, z; \
	}; \
	struct __attribute__((aligned(4 * bytes > 16 ? 16 : 4 * bytes))) name##4 { \
		type x, y, z, w; \
	}; \
	inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
	inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
	inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

#define uint3 sgflow_uint3 // runtime.h has it
SGFLOW_VECTOR(char, char, 1)
SGFLOW_VECTOR(unsigned char, uchar, 1)
SGFLOW_VECTOR(short, short, 2)
SGFLOW_VECTOR(unsigned short, ushort, 2)
SGFLOW_VECTOR(int, int, 4)
SGFLOW_VECTOR(unsigned int, uint, 4)
SGFLOW_VECTOR(float, float, 4)
SGFLOW_VECTOR(long long, longlong, 8)
SGFLOW_VECTOR(unsigned long long, ulonglong, 8)
SGFLOW_VECTOR(double, double, 8)
#undef uint3

// Bits and integers.

template <class To, class From> inline To sgflow_bits(From x) {
	static_assert(sizeof(To) == sizeof(From));
	To y;
	memcpy(&y, &x, sizeof x);
	return y;
}
inline int __float_as_int(float x) { return sgflow_bits<int>(x); }
inline unsigned int __float_as_uint(float x) { return sgflow_bits<unsigned int>(x); }
inline float __int_as_float(int x) { return sgflow_bits<float>(x); }
inline float __uint_as_float(unsigned int x) { return sgflow_bits<float>(x); }
inline long long __double_as_longlong(double x) { return sgflow_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return sgflow_bits<double>(x); }
inline int __popc(unsigned int x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned int __umulhi(unsigned int a, unsigned int b) { return (uint64_t)a * b >> 32; }
inline int __mul24(int a, int b) { return a * b; }
inline unsigned int __funnelshift_l(unsigned int low, unsigned int high, unsigned int n) {
	return (((uint64_t)high << 32 | low) << (n & 31)) >> 32;
}

// Loads and stores with cache hints.

template <class T> inline T __ldg(const T *p) { return *p; }
template <class T> inline T __ldcs(const T *p) { return *p; }
template <class T> inline T __ldcg(const T *p) { return *p; }
template <class T> inline void __stcs(T *p, std::common_type_t<T> v) { *p = v; }
template <class T> inline void __stcg(T *p, std::common_type_t<T> v) { *p = v; }

// Arithmetic. The fast variants are the exact ones here.

inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __saturatef(float x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
inline int __float2int_rn(float x) { return (int)rintf(x); }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned int x) { return (float)x; }
inline double __hiloint2double(int high, int low) { return sgflow_bits<double>((uint64_t)(uint32_t)high << 32 | (uint32_t)low); }

#define SGFLOW_MIN_MAX(a, b, c) \
	inline c min(a x, b y) { return (c)y < (c)x ? (c)y : (c)x; } \
	inline c max(a x, b y) { return (c)x < (c)y ? (c)y : (c)x; }
SGFLOW_MIN_MAX(int, int, int)
SGFLOW_MIN_MAX(unsigned int, unsigned int, unsigned int)
SGFLOW_MIN_MAX(int, unsigned int, unsigned int)
SGFLOW_MIN_MAX(unsigned int, int, unsigned int)
SGFLOW_MIN_MAX(long, long, long)
SGFLOW_MIN_MAX(unsigned long, unsigned long, unsigned long)
SGFLOW_MIN_MAX(long long, long long, long long)
SGFLOW_MIN_MAX(unsigned long long, unsigned long long, unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

using std::isfinite;
using std::isinf;
using std::isnan;
typedef unsigned int uint;
