// Products of stored matrices on tensor cores, with the accuracy of float32.
//
// Tensor cores multiply numbers with 10 bits of mantissa (TF32). A factor is the sum of two of
// those, x = x₀ + x₁, but for its last bit or two, and
//
//   x·y ≈ x₁·y₀ + x₀·y₁ + x₀·y₀
//
// is three of their products, off by some 2⁻²² of x·y. They round sums toward zero, so a warp
// adds up 16 terms there and adds these to the rest by itself, rounding to nearest (Ootomo and
// Yokota 2022, arXiv:2203.03341, who found both).
#pragma once
#include "tile.cuh"

// TENSOR_CORES tells whether there are any for TF32.
#if __CUDA_ARCH__ >= 800
static const bool TENSOR_CORES = true;
#else
static const bool TENSOR_CORES = false;
#endif

// tf32 rounds to the nearest number with 10 bits of mantissa, ties away from zero.
__device__ inline u32 tf32(float x) { return (__float_as_uint(x) + 0x1000u) & 0xffffe000u; }

// mma adds the product of a 16×8 matrix A and an 8×8 matrix B to c, 16×8, all spread
// over the threads of a warp: with g = lane/4 and t = lane%4, a holds A[g,t],
// A[g+8,t], A[g,t+4] and A[g+8,t+4], b B[t,g] and B[t+4,g], c C[g,2t], C[g,2t+1],
// C[g+8,2t] and C[g+8,2t+1] (PTX ISA, "mma.m16n8k8" for .tf32, which looks at 10 bits of
// the factors' mantissas). Where there are no such tensor cores all 23 bits count.
__device__ inline void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  const int lane = threadIdx.x & 31, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    const float upper = __uint_as_float(__shfl_sync(0xffffffffu, a[k / 4 * 2], 4 * g + k % 4));
    const float lower = __uint_as_float(__shfl_sync(0xffffffffu, a[k / 4 * 2 + 1], 4 * g + k % 4));
#pragma unroll
    for (int j = 0; j < 2; j++) {
      const float y = __uint_as_float(__shfl_sync(0xffffffffu, b[k / 4], 4 * (2 * t + j) + k % 4));
      c[j] = fmaf(upper, y, c[j]);
      c[2 + j] = fmaf(lower, y, c[2 + j]);
    }
  }
#endif
}

// split makes a factor the sum of two that tensor cores multiply, or leaves it whole where there
// are none.
__device__ inline void split(float x, u32 &first, u32 &second) {
  first = TENSOR_CORES ? tf32(x) : __float_as_uint(x);
  second = __float_as_uint(x - __uint_as_float(first)) + 0x1000u; // the bits that this rounds are not looked at
}

// WarpTile is BM×BN elements of a result, made by WM×WN·WK warps: of the WM×WN parts that
// these are, each is made by WK warps, which take turns with 16 terms and are added up in order.
// Factors go from where they are stored to the registers that multiply them, four by four
// along the axis that is contiguous there, STAGES times 16 terms ahead of their use; no barrier
// comes before the sums are known. ALONG_A and ALONG_B say whether that axis is k. EXACT is false
// for products in TF32 itself.
//
// Of 16 terms thread t of a row's four has 4t to 4t + 3, those that it loads at once where they
// lie side by side. The instruction multiplies eight at a time: of each thread two, the first
// two, then the others. Fours across k are of four neighbours in each of four rows or columns
// of the instruction's; so the instruction's rows are not those of the tile in order, but place
// knows which.
template <int BM_, int BN_, int WM, int WN, int WK, int STAGES, bool ALONG_A, bool ALONG_B, bool EXACT = true>
struct alignas(16) WarpTile {
  static const int BM = BM_, BN = BN_, BK = 16, SIZE = 32 * WM * WN * WK;
  static const int MT = BM / WM / 16, NT = BN / WN / 8, TM = MT * NT, TN = 4; // products of 16×8 of a warp, and its elements of each
  static const int FOURS_A = 2 * MT, FOURS_B = NT;
  static_assert((ALONG_A || MT == 2) && (ALONG_B || NT == 4), "fours across k are of 32 rows or columns");

  static __device__ int group() { return threadIdx.x % 32 / 4; }
  static __device__ int fourth() { return threadIdx.x % 4; }
  static __device__ int warp_row() { return threadIdx.x / 32 % (WM * WN) / WN; }
  static __device__ int warp_column() { return threadIdx.x / 32 % WN; }
  static __device__ int slice() { return threadIdx.x / 32 / (WM * WN); }

  // ask loads the factors of the 16 terms from k on, zeros from k1 on.
  template <bool SIMPLE, class A, class B>
  static __device__ void ask(const A &la, const B &lb, int k, int k1, Four (&a)[FOURS_A], Four (&b)[FOURS_B]) {
    const int m = warp_row() * (BM / WM), n = warp_column() * (BN / WN), first = k + 4 * fourth();
#pragma unroll
    for (int v = 0; v < FOURS_A; v++) {
      const int i = m + (ALONG_A ? 8 * v + group() : 4 * group()), kk = first + (ALONG_A ? 0 : v);
      a[v] = SIMPLE ? simple_load(la, i, kk, k1) : la.load(i, kk, k1);
    }
#pragma unroll
    for (int v = 0; v < FOURS_B; v++) {
      const int i = n + (ALONG_B ? 8 * v + group() : 4 * group()), kk = first + (ALONG_B ? 0 : v);
      b[v] = SIMPLE ? simple_load(lb, i, kk, k1) : lb.load(i, kk, k1);
    }
  }

  // add adds the product of 16 terms to acc, a row of instructions' results after the other. The
  // products of one result wait for each other; where a row has few results, those of the two
  // eights of terms are apart.
  static const int CHAINS = NT < 4 ? 2 : 1;
  static __device__ void add(float (&acc)[TM][TN], const Four (&a)[FOURS_A], const Four (&b)[FOURS_B]) {
    u32 y[2][NT][2], y1[2][NT][2];
#pragma unroll
    for (int s = 0; s < 2; s++)
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) split(ALONG_B ? b[j].v[2 * s + e] : b[2 * s + e].v[j], y[s][j][e], y1[s][j][e]);
#pragma unroll
    for (int i = 0; i < MT; i++) {
      float sum[CHAINS][NT][TN];
#pragma unroll
      for (int c = 0; c < CHAINS; c++) clear(sum[c]);
#pragma unroll
      for (int s = 0; s < 2; s++) {
        float(&to)[NT][TN] = sum[s % CHAINS];
        u32 x[4], x1[4];
#pragma unroll
        for (int e = 0; e < 4; e++) split(ALONG_A ? a[2 * i + e % 2].v[2 * s + e / 2] : a[2 * s + e / 2].v[2 * i + e % 2], x[e], x1[e]);
        if (EXACT && TENSOR_CORES) {
#pragma unroll
          for (int j = 0; j < NT; j++) mma(to[j], x1, y[s][j]);
#pragma unroll
          for (int j = 0; j < NT; j++) mma(to[j], x, y1[s][j]);
        }
#pragma unroll
        for (int j = 0; j < NT; j++) mma(to[j], x, y[s][j]);
      }
#pragma unroll
      for (int j = 0; j < NT; j++)
#pragma unroll
        for (int e = 0; e < TN; e++) acc[i * NT + j][e] += CHAINS == 1 ? sum[0][j][e] : sum[0][j][e] + sum[CHAINS - 1][j][e];
    }
  }

  // turns adds the warp's share of the terms k0 ≤ k < k1 to acc, AHEAD times 16 of them asked
  // for before they are needed.
  template <bool SIMPLE, int AHEAD, class A, class B>
  static __device__ void turns(float (&acc)[TM][TN], const A &la, const B &lb, int k0, int k1) {
    const int step = BK * WK;
    int k = k0 + BK * slice();
    Four a[AHEAD][FOURS_A], b[AHEAD][FOURS_B];
#pragma unroll
    for (int s = 0; s < AHEAD; s++)
      if (k + s * step < k1) ask<SIMPLE>(la, lb, k + s * step, k1, a[s], b[s]);
#pragma unroll 1
    for (; k < k1; k += AHEAD * step)
#pragma unroll
      for (int s = 0; s < AHEAD; s++) {
        const int now = k + s * step, next = now + AHEAD * step;
        if (now >= k1) break;
        add(acc, a[s], b[s]);
        if (next < k1) ask<SIMPLE>(la, lb, next, k1, a[s], b[s]);
      }
  }

  // multiply adds the product over k0 ≤ k < k1 to acc, where stage finds it. All threads call it.
  template <class A, class B> __device__ void multiply(float (&acc)[TM][TN], const A &la, const B &lb, int k0, int k1) const {
    static_assert(A::ALONG_K == ALONG_A && B::ALONG_K == ALONG_B, "loaders of the tile's orientation");
    if (simple(la) && simple(lb)) turns<true, STAGES>(acc, la, lb, k0, k1);
    else turns<false, 1>(acc, la, lb, k0, k1);
  }

  // stage is Tile's for one of PARTS of the tile, ROWS rows each, those of a row of warps.
  static const int PARTS = WM, ROWS = BM / WM, LDC = BN + 4;
  float c[WK * ROWS * LDC];
  __device__ void stage(const float (&acc)[TM][TN], int part) {
    if (part > 0) __syncthreads(); // the part before is done with
    if (warp_row() == part) {
      float *s = c + slice() * ROWS * LDC + warp_column() * (BN / WN);
#pragma unroll
      for (int i = 0; i < MT; i++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          float *row = s + (ALONG_A ? 16 * i + 8 * h + group() : 4 * group() + 2 * i + h) * LDC;
          if (ALONG_B) {
#pragma unroll
            for (int j = 0; j < NT; j++) *(float2 *)(row + 8 * j + 2 * fourth()) = float2{acc[i * NT + j][2 * h], acc[i * NT + j][2 * h + 1]};
          } else {
#pragma unroll
            for (int e = 0; e < 2; e++) {
              const float(*q)[TN] = acc + i * NT;
              *(float4 *)(row + 8 * fourth() + 4 * e) = float4{q[0][2 * h + e], q[1][2 * h + e], q[NT > 2 ? 2 : 0][2 * h + e], q[NT > 3 ? 3 : 0][2 * h + e]};
            }
          }
        }
    }
    __syncthreads();
    if (WK > 1) {
      for (int e = threadIdx.x * 4; e < ROWS * BN; e += SIZE * 4) {
        float4 *v = &four(e / BN, e % BN), sum = *v;
#pragma unroll
        for (int w = 1; w < WK; w++) {
          const float4 more = v[w * (ROWS * LDC / 4)];
          sum.x += more.x, sum.y += more.y, sum.z += more.z, sum.w += more.w;
        }
        *v = sum;
      }
      __syncthreads();
    }
  }
  __device__ float &at(int row, int column) { return c[row * LDC + column]; }
  __device__ float4 &four(int row, int column) { return *(float4 *)&at(row, column); }
};

// Small tiles, of one warp's size and shared by the terms, are for results of few elements,
// where the way there and back is what takes the time; they differ by orientation, as fours
// across k are of 32 rows or columns.
template <bool ALONG_A, bool ALONG_B> struct SmallOf;
template <> struct SmallOf<true, true> { typedef WarpTile<16, 16, 1, 1, 8, 4, true, true> T; };
template <> struct SmallOf<true, false> { typedef WarpTile<16, 32, 1, 1, 8, 2, true, false> T; };
template <> struct SmallOf<false, true> { typedef WarpTile<32, 16, 1, 1, 8, 2, false, true> T; };
template <> struct SmallOf<false, false> { typedef WarpTile<64, 32, 2, 1, 2, 1, false, false> T; };
template <bool ALONG_A, bool ALONG_B> struct MediumOf { typedef WarpTile<64, 64, 2, 2, 2, 2, ALONG_A, ALONG_B> T; };
template <bool ALONG_A, bool ALONG_B> struct LargeOf { typedef WarpTile<128, 128, 4, 4, 1, 1, ALONG_A, ALONG_B> T; };
template <bool ALONG_A, bool ALONG_B> struct TensorOf { typedef WarpTile<128, 128, 4, 4, 1, 1, ALONG_A, ALONG_B, false> T; };
