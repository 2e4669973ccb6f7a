// Sums of columns.
#pragma once
#include "common.cuh"

// column_sum returns, for column first + lane of x (rows×cols), lane being the thread's
// in its warp,
//
//   Σ_r w_r·f(x[r,c])
//
// with w_r = weights[r] (1 where weights is null) and f(x) = x², where square is set, else
// x; in the threads of the block's first warp alone, which keep it. Sums are in float64,
// as many at a time by row as the block has warps, at most 8, then in order. All threads
// of the block call it.
__device__ inline double column_sum(int first, const float *x, int rows, int cols, const double *weights, int square) {
  const int AT_ONCE = 8; // rows of a thread that are asked for before any is added
  __shared__ double part[8][33];
  const int tx = threadIdx.x & 31, ty = threadIdx.x >> 5, warps = blockDim.x >> 5, c = first + tx;
  double sum = 0;
  if (c < cols)
    for (int r0 = ty; r0 < rows; r0 += AT_ONCE * warps) {
      float v[AT_ONCE];
#pragma unroll
      for (int j = 0; j < AT_ONCE; j++) v[j] = r0 + j * warps < rows ? x[(u64)(r0 + j * warps) * cols + c] : 0.f;
#pragma unroll
      for (int j = 0; j < AT_ONCE; j++) {
        double e = v[j];
        if (square) e *= e;
        if (weights && r0 + j * warps < rows) e *= weights[r0 + j * warps];
        sum += e;
      }
    }
  part[ty][tx] = sum;
  __syncthreads();
  if (ty) return 0;
  for (int i = 1; i < warps; i++) sum += part[i][tx];
  return sum;
}
