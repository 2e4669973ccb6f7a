// What the kernels share: elementwise functions by number, sums over a block in
// a fixed order, and Philox.
//
// Conventions. Arrays are row-major and dense; n is the batch size. Sums that
// a result depends on are taken in an order that the sizes alone decide, never
// by atomic addition of floating-point numbers, so two runs give the same bits.
// A thread block has at most 256 threads (384 in direct.cu), an array fewer than 2³¹
// elements. Nothing here needs a header of CUDA's.
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void
#define THREADS 256

// WARP is the number of a thread's warp in a grid along x; warps may be more than
// threads can be counted.
#define WARP (int)(blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5))

// The numbers of program.Func.
enum Func { IDENTITY, RELU, TANH, SIGMOID, GELU, EXP, LOG, SQUARE, SQRT, INVERSE, NEG };

// volatile loads see what other blocks of the same launch have stored before a
// fence: they bypass the first-level cache, which is not coherent.
__device__ inline float fresh(const float *p) { return *(const volatile float *)p; }
__device__ inline double fresh(const double *p) { return *(const volatile double *)p; }
__device__ inline float4 fresh(const float4 *p) {
  float4 v;
  asm volatile("ld.volatile.global.v4.f32 {%0,%1,%2,%3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p));
  return v;
}

// curve is activate for the curved ones. It is called, not inlined: copies of it in
// unrolled loops were nine tenths of the code.
static __device__ __noinline__ float curve(int f, float x) {
  switch (f) {
  case TANH: return tanhf(x);
  case SIGMOID: return x >= 0 ? 1 / (1 + expf(-x)) : expf(x) / (1 + expf(x));
  case GELU: return x * 0.5f * erfcf(-x * 0.70710678118654752f);
  }
  return x;
}

// relu lets NaN through, so that a diverged run is seen to be one.
__device__ inline float relu(float x) { return x < 0 ? 0.f : x; }

// Side is N floats side by side, which are loaded and stored at once.
template <int N> struct alignas(4 * N) Side { float v[N]; };
template <int N> __device__ inline Side<N> side(const float *p) { return *(const Side<N> *)p; }

// aligned reports whether four floats can be had from p at once.
__device__ inline bool aligned(const void *p) { return ((u64)p & 15) == 0; }

// four loads x[i … i+3], zeros from size on; together says that x is aligned and i a multiple
// of 4. put_four stores what is inside.
__device__ inline Side<4> four(const float *x, int i, int size, bool together) {
  if (together && i + 3 < size) return side<4>(x + i);
  Side<4> v;
#pragma unroll
  for (int k = 0; k < 4; k++) v.v[k] = i + k < size ? x[i + k] : 0.f;
  return v;
}
__device__ inline void put_four(float *x, int i, int size, bool together, const Side<4> &v) {
  if (together && i + 3 < size) {
    *(Side<4> *)(x + i) = v;
    return;
  }
#pragma unroll
  for (int k = 0; k < 4; k++)
    if (i + k < size) x[i + k] = v.v[k];
}

// activate returns f(x) for the activations, Func 0 to 4.
__device__ inline float activate(int f, float x) {
  if (f == RELU) return relu(x);
  return f == IDENTITY ? x : curve(f, x);
}

// slope returns f'(x) from y = f(x).
__device__ inline float slope(int f, float y) {
  switch (f) {
  case RELU: return y > 0 ? 1.f : 0.f;
  case TANH: return 1 - y * y;
  case SIGMOID: return y * (1 - y);
  }
  return 1;
}

// phi and density are the distribution and the density of the standard normal.
__device__ inline float phi(float x) { return 0.5f * erfcf(-x * 0.70710678118654752f); }
__device__ inline float density(float x) { return expf(-0.5f * x * x) * 0.39894228040143268f; }

// derivative returns the order-th derivative of f, order 0 to 2, at x; or from
// y = f(x) where fromOutput is set, which only ReLU, tanh and sigmoid allow.
__device__ inline float derivative(int f, int order, bool fromOutput, float x) {
  float y;
  switch (f) {
  case RELU:
    return order == 0 ? relu(x) : order == 1 ? (x > 0 ? 1.f : 0.f) : 0.f;
  case TANH:
    y = fromOutput ? x : tanhf(x);
    return order == 0 ? y : order == 1 ? 1 - y * y : -2 * y * (1 - y * y);
  case SIGMOID:
    y = fromOutput ? x : activate(SIGMOID, x);
    return order == 0 ? y : order == 1 ? y * (1 - y) : y * (1 - y) * (1 - 2 * y);
  case GELU:
    return order == 0 ? x * phi(x) : order == 1 ? phi(x) + x * density(x) : density(x) * (2 - x * x);
  case EXP: return expf(x);
  case LOG: return order == 0 ? logf(x) : order == 1 ? 1 / x : -1 / (x * x);
  case SQUARE: return order == 0 ? x * x : order == 1 ? 2 * x : 2.f;
  case SQRT: y = sqrtf(x); return order == 0 ? y : order == 1 ? 0.5f / y : -0.25f / (x * y);
  case INVERSE: y = 1 / x; return order == 0 ? y : order == 1 ? -y * y : 2 * y * y * y;
  case NEG: return order == 0 ? -x : order == 1 ? -1.f : 0.f;
  }
  return order == 0 ? x : order == 1 ? 1.f : 0.f;
}

// warp_sum returns Σ v over the 32 threads of a warp, in every thread. The order
// is that of a butterfly: the same for every launch.
__device__ inline double warp_sum(double v) {
  for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
  return v;
}
// warp_sums is warp_sum of several values: their steps don't wait for each other.
template <int N> __device__ inline void warp_sums(double (&v)[N]) {
  for (int o = 16; o > 0; o >>= 1)
#pragma unroll
    for (int j = 0; j < N; j++) v[j] += __shfl_xor_sync(0xffffffffu, v[j], o);
}
__device__ inline float warp_max(float v) {
  for (int o = 16; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
  return v;
}

// block_sums makes each value its sum over the block, in every thread. scratch is in shared
// memory and may be used again at once; blockDim.x is a multiple of 32, at most 1024. All
// threads call it.
template <int N> __device__ inline void block_sums(double (&v)[N], double (&scratch)[N][32]) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  warp_sums(v);
  __syncthreads();
#pragma unroll
  for (int j = 0; j < N; j++)
    if (lane == 0) scratch[j][warp] = v[j];
  __syncthreads();
#pragma unroll
  for (int j = 0; j < N; j++) v[j] = 0;
  for (int w = 0; w < warps; w++)
#pragma unroll
    for (int j = 0; j < N; j++) v[j] += scratch[j][w];
}
__device__ inline double block_sum(double v, double (&scratch)[1][32]) {
  double sums[1] = {v};
  block_sums(sums, scratch);
  return sums[0];
}

// last_block returns true, in every thread of it, for the block that is the last
// of count to come here: what the others stored before is then to be had with
// fresh. *arrived is 0 before the launch and after it. The barriers and the fences of one
// thread are as good as fences of all (PTX ISA, "causality order").
__device__ inline bool last_block(u32 *arrived, u32 count) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(arrived, 1u) + 1 == count;
    if (last) *arrived = 0;
    __threadfence();
  }
  __syncthreads();
  return last;
}

// task_of returns which of count tasks a block is of: the last whose first block is not behind
// it. Four are looked at at once, as each is a trip to the second-level cache.
template <class T> __device__ inline int task_of(const T *tasks, int count, int block) {
  int found = 0;
  for (int i = 1; i < count; i += 4) {
    int first[4];
#pragma unroll
    for (int j = 0; j < 4; j++) first[j] = tasks[min(i + j, count - 1)].first;
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (i + j < count && block >= first[j]) found = i + j;
  }
  return found;
}

// philox is Philox 4×32-10 of Salmon et al., SC 2011, as in engine/rng.
__device__ inline void philox(u32 c[4], u32 k0, u32 k1) {
  for (int round = 0; round < 10; round++) {
    const u64 p0 = (u64)c[0] * 0xD2511F53u, p1 = (u64)c[2] * 0xCD9E8D57u;
    const u32 c1 = c[1], c3 = c[3];
    c[0] = (u32)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (u32)p1;
    c[2] = (u32)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (u32)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// product and sum are rounded by themselves, never fused.
__device__ inline float product(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double product(double a, double b) { return __dmul_rn(a, b); }
__device__ inline float sum(float a, float b) { return __fadd_rn(a, b); }

// ceil_div returns ⌈a/b⌉.
__device__ inline int ceil_div(int a, int b) { return (a + b - 1) / b; }
