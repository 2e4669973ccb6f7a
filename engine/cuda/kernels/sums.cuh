// Sums of columns.
#pragma once
#include "common.cuh"

// columns_of computes, for 32 columns of x (rows×cols) from first on,
//
//   out[c] = Σ_r w_r·f(x[r,c])    or adds it
//
// with w_r = weights[r]·scale (1·scale where weights is null) and f(x) = x², where
// square is set, else x. Sums are in float64, as many at a time by row as the block
// has warps, at most 8, then in order. All threads of the block call it.
__device__ inline void columns_of(int first, float *out, const float *x, int rows, int cols, int accumulate, const double *weights,
                                  double scale, int square) {
  __shared__ double part[8][33];
  const int tx = threadIdx.x & 31, ty = threadIdx.x >> 5, warps = blockDim.x >> 5, c = first + tx;
  double sum = 0;
  if (c < cols)
    for (int r = ty; r < rows; r += warps) {
      double v = x[(u64)r * cols + c];
      if (square) v *= v;
      sum += weights ? weights[r] * v : v;
    }
  part[ty][tx] = sum;
  __syncthreads();
  if (ty || c >= cols) return;
  for (int i = 1; i < warps; i++) sum += part[i][tx];
  sum *= scale;
  out[c] = (float)(accumulate ? (double)out[c] + sum : sum);
}
