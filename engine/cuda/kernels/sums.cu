// Sums over rows, over planes and over any axes, and what repeats along them.
#include "common.cuh"

// column_sums computes, for each of cols columns of x (rows×cols),
//
//   out[c] = Σ_r w_r·f(x[r,c])    or adds it
//
// with w_r = weights[r]·scale (1·scale where weights is null) and f(x) = x², where
// square is set, else x. Sums are in float64, eight at a time by row, then in
// order. Grid: ⌈cols/32⌉ blocks of 256.
__device__ inline void column_sums_of(float *out, const float *x, int rows, int cols, int accumulate, const double *weights,
                                      double scale, int square) {
  __shared__ double part[8][33];
  const int tx = threadIdx.x & 31, ty = threadIdx.x >> 5, c = blockIdx.x * 32 + tx;
  double sum = 0;
  if (c < cols)
    for (int r = ty; r < rows; r += 8) {
      double v = x[(u64)r * cols + c];
      if (square) v *= v;
      sum += weights ? weights[r] * v : v;
    }
  part[ty][tx] = sum;
  __syncthreads();
  if (ty || c >= cols) return;
  for (int i = 1; i < 8; i++) sum += part[i][tx];
  sum *= scale;
  out[c] = (float)(accumulate ? (double)out[c] + sum : sum);
}

KERNEL column_sums(float *out, const float *x, int rows, int cols, int accumulate, const double *weights, double scale, int square) {
  column_sums_of(out, x, rows, cols, accumulate, weights, scale, square);
}

// ColumnTask is sums of columns that share a launch with others.
struct ColumnTask {
  float *out;
  const float *x;
  int rows, cols, accumulate, unused;
};

// column_tasks does the column sums of the tasks. Grid: (⌈most cols/32⌉, tasks).
KERNEL column_tasks(const ColumnTask *tasks) {
  const ColumnTask t = tasks[blockIdx.y];
  if ((int)blockIdx.x * 32 < t.cols) column_sums_of(t.out, t.x, t.rows, t.cols, t.accumulate, nullptr, 1, 0);
}

// RowTask is sums of rows that share a launch with others: out[r] = Σ_c x[r,c].
struct RowTask {
  float *out;
  const float *x;
  int rows, cols;
};

// row_tasks does the row sums of the tasks, one warp a row. Grid: (⌈most rows/8⌉,
// tasks).
KERNEL row_tasks(const RowTask *tasks) {
  const RowTask t = tasks[blockIdx.y];
  const int r = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, lane = threadIdx.x & 31;
  if (r >= t.rows) return;
  const float *x = t.x + (u64)r * t.cols;
  double sum = 0;
  for (int c = lane; c < t.cols; c += 32) sum += x[c];
  sum = warp_sum(sum);
  if (lane == 0) t.out[r] = (float)sum;
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
  __shared__ double scratch[32];
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
