// The product of tile.cuh on tensor cores, in TF32: factors are rounded to 10 bits
// of mantissa (PTX ISA, "mma.sync"; the exponent is float32's), sums are float32.
#pragma once
#include "tile.cuh"

// tf32 rounds to the nearest number with 10 bits of mantissa, ties away from zero.
// What has no tensor cores for TF32 is not asked for these products.
__device__ inline u32 tf32(float x) {
#if __CUDA_ARCH__ >= 800
  u32 r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
#else
  __trap();
  return 0;
#endif
}

// mma adds the product of a 16×8 matrix A and an 8×8 matrix B to c, 16×8, all spread
// over the threads of a warp: with g = lane/4 and t = lane%4, a holds A[g,t],
// A[g+8,t], A[g,t+4] and A[g+8,t+4], b B[t,g] and B[t+4,g], c C[g,2t], C[g,2t+1],
// C[g+8,2t] and C[g+8,2t+1] (PTX ISA, "mma.m16n8k8" for .tf32).
__device__ inline void mma(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// Tensor is 64×64 elements of a result, made by four warps of 32×32 each. Rows in
// shared memory are padded by 8, so that a warp's loads of a fragment fall into
// different banks.
struct Tensor : Tile<64, 64, 16, 8, 4, 8> {
  // origin is the warp's first row and column.
  static __device__ int origin_row() { return threadIdx.x / 64 * 32; }
  static __device__ int origin_column() { return threadIdx.x / 32 % 2 * 32; }

  // multiply adds the product over k0 ≤ k < k1 to acc: c of the warp's 2×4 products
  // of 16×8, in order. All threads call it.
  template <class A, class B>
  __device__ void multiply(float (&acc)[TM][TN], A &la, B &lb, int k0, int k1) {
    Four fa[FOURS_A], fb[FOURS_B];
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, m = origin_row() + g, n = origin_column() + g;
    int half = 0;
    __syncthreads();
    load(la, lb, k0, k1, fa, fb);
    store<A, B>(half, fa, fb);
    __syncthreads();
    for (int k = k0; k < k1; k += BK) {
      if (k + BK < k1) load(la, lb, k + BK, k1, fa, fb);
#pragma unroll
      for (int kk = 0; kk < BK; kk += 8) {
        u32 x[2][4], y[4][2];
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int e = 0; e < 4; e++) x[i][e] = tf32(a[half][(kk + t + e / 2 * 4) * LDA + m + i * 16 + e % 2 * 8]);
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int e = 0; e < 2; e++) y[j][e] = tf32(b[half][(kk + t + e * 4) * LDB + n + j * 8]);
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) mma(acc[i * 4 + j], x[i], y[j]);
      }
      half ^= 1;
      if (k + BK < k1) store<A, B>(half, fa, fb);
      __syncthreads();
    }
  }

  // stage is Tile's for this order of the elements.
  static const int PARTS = 1, ROWS = BM;
  __device__ void stage(const float (&acc)[TM][TN], int) {
    float *s = (float *)this;
    const int m = origin_row() + threadIdx.x % 32 / 4, n = origin_column() + threadIdx.x % 4 * 2;
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
      for (int e = 0; e < 4; e++) s[(m + i / 4 * 16 + e / 2 * 8) * LDC + n + i % 4 * 8 + e % 2] = acc[i][e];
    __syncthreads();
  }
};
