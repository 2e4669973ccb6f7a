// Sums over rows, over planes and over any axes, and what repeats along them.
#include "sums.cuh"

// column_sums computes out[c] = scale·Σ_r w_r·f(x[r,c]), or adds it; see column_sum. Grid:
// ⌈cols/32⌉ blocks of 256.
KERNEL column_sums(float *out, const float *x, int rows, int cols, int accumulate, const double *weights, double scale, int square) {
  const double sum = scale * column_sum(blockIdx.x * 32, x, rows, cols, weights, square);
  const int c = blockIdx.x * 32 + threadIdx.x;
  if (threadIdx.x < 32 && c < cols) out[c] = (float)(accumulate ? (double)out[c] + sum : sum);
}

// Axes is an array seen with axes that are kept and summed in turn, the first
// kept: sizes[0] kept, sizes[1] summed, sizes[2] kept, ….
struct Axes { int size[8], count; };

// place returns where element k (of the kept axes) and s (of the summed) is.
__device__ inline int place(const Axes &a, int k, int s) {
  int at = 0, stride = 1;
  for (int d = a.count - 1; d >= 0; d--) {
    int &i = d % 2 ? s : k;
    at += i % a.size[d] * stride;
    i /= a.size[d];
    stride *= a.size[d];
  }
  return at;
}

#define AXES int d0, int d1, int d2, int d3, int d4, int d5, int d6, int d7, int count
#define AXES_OF {{d0, d1, d2, d3, d4, d5, d6, d7}, count}

// reduce computes out[k] = factor·Σ_s x[k,s], a block of 256 for each k.
KERNEL reduce(float *out, const float *x, AXES, int summed, double factor) {
  __shared__ double scratch[1][32];
  const Axes a = AXES_OF;
  double sum = 0;
  for (int s = threadIdx.x; s < summed; s += blockDim.x) sum += x[place(a, blockIdx.x, s)];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) out[blockIdx.x] = (float)(sum * factor);
}

// repeat computes out[k,s] = factor·x[k], a thread for each element.
KERNEL repeat(float *out, const float *x, AXES, int kept, int summed, float factor) {
  const Axes a = AXES_OF;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kept * summed) out[place(a, i / summed, i % summed)] = factor * x[i / summed];
}

#undef AXES
#undef AXES_OF
