// Operations on flat vectors: products for Lanczos and Hutchinson, probes, and
// the optimizer's step.
#include "step.cuh"

// vector_sums computes out[k] = Σ xᵢyᵢ for each pair x, y of vectors of size elements, or
// Σ (xᵢ − yᵢ)² where distance is set, in float64. Grid: (blocks, pairs), at most
// vector_pairs; partial has an element for each block. The order of a sum depends on size
// alone: the parts of a pair are added by the last block, as one pair alone would have it.
KERNEL vector_sums(int distance, const float *x0, const float *y0, const float *x1, const float *y1, const float *x2, const float *y2,
                   const float *x3, const float *y3, int size, double *partial, double *out, u32 *arrived) {
  begin();
  __shared__ double scratch[32];
  const int pair = blockIdx.y;
  const float *x = pair == 0 ? x0 : pair == 1 ? x1 : pair == 2 ? x2 : x3;
  const float *y = pair == 0 ? y0 : pair == 1 ? y1 : pair == 2 ? y2 : y3;
  double sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
    const double a = x[i], b = y[i];
    sum += distance ? (a - b) * (a - b) : a * b;
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[pair * gridDim.x + blockIdx.x] = sum;
  if (!last_block(arrived, gridDim.x * gridDim.y)) return;
  for (int p = 0; p < (int)gridDim.y; p++) {
    sum = 0;
    for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x) sum += fresh(partial + p * gridDim.x + k);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) out[p] = sum;
  }
}

// combine computes out = x + b·y, with b = −*dot/yy, and *dot copied to number, where dot is
// not null. It stores Σ outᵢ² in norm_sq, in the order of vector_sums; partial has an element
// for each block. out may be x.
KERNEL combine(float *out, const float *x, const float *y, float b, const double *dot, double yy, int size, double *partial,
               double *norm_sq, double *number, u32 *arrived) {
  begin();
  __shared__ double scratch[32];
  if (dot) b = (float)(-*dot / yy);
  double sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
    const float v = x[i] + b * y[i];
    out[i] = v;
    sum += (double)v * v;
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  if (!last_block(arrived, gridDim.x)) return;
  sum = 0;
  for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x) sum += fresh(partial + k);
  sum = block_sum(sum, scratch);
  if (threadIdx.x) return;
  *norm_sq = sum;
  if (dot) *number = *dot;
}

// normalize computes x /= ‖x‖ with ‖x‖² = *norm_sq, which it copies to number; x = 0 where
// that is below least.
KERNEL normalize(float *x, double least, const double *norm_sq, int size, double *number) {
  begin();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float factor = *norm_sq < least ? 0.f : (float)(1 / sqrt(*norm_sq));
  if (i == 0) *number = *norm_sq;
  if (i < size) x[i] *= factor;
}

// residual computes, each product by a rounded by itself,
//
//   w = a·x + b·y, r = a·hx + b·hy − lambda·w, out[0] = Σ rᵢ², out[1] = Σ uᵢwᵢ
//
// with sums in the order of vector_sums; partial has two elements for each block. w may be x
// and r hx, while u is not w.
KERNEL residual(float *w, float *r, const float *x, const float *hx, const float *y, const float *hy, const float *u, float a, float b,
                float lambda, int size, double *partial, double *out, u32 *arrived) {
  begin();
  __shared__ double scratch[32];
  double sum = 0, second = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
    const float old = u[i], v = product(a, x[i]) + b * y[i];
    const float rest = product(a, hx[i]) + b * hy[i] - lambda * v;
    w[i] = v;
    r[i] = rest;
    sum += (double)rest * rest;
    second += (double)old * v;
  }
  sum = block_sum(sum, scratch);
  second = block_sum(second, scratch);
  if (threadIdx.x == 0) partial[2 * blockIdx.x] = sum, partial[2 * blockIdx.x + 1] = second;
  if (!last_block(arrived, gridDim.x)) return;
  sum = second = 0;
  for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x) sum += fresh(partial + 2 * k), second += fresh(partial + 2 * k + 1);
  sum = block_sum(sum, scratch);
  second = block_sum(second, scratch);
  if (threadIdx.x == 0) out[0] = sum, out[1] = second;
}

// part_sums computes for each part of x, elements bounds[k] to bounds[k+1],
//
//   out[2k] = Σ oldᵢxᵢ, out[2k+1] = Σ xᵢ²
//
// and stores old = x; where old is null, out[2k] is 0. Grid: (blocks of a part, parts);
// partial has two elements for each block.
KERNEL part_sums(float *old, const float *x, const int *bounds, double *partial, double *out, u32 *arrived) {
  begin();
  __shared__ double scratch[32];
  const int k = blockIdx.y, lane = threadIdx.x & 31;
  double sum = 0, second = 0;
  for (int i = bounds[k] + blockIdx.x * blockDim.x + threadIdx.x; i < bounds[k + 1]; i += gridDim.x * blockDim.x) {
    const double v = x[i];
    second += v * v;
    if (old) {
      sum += old[i] * v;
      old[i] = x[i];
    }
  }
  sum = block_sum(sum, scratch);
  second = block_sum(second, scratch);
  double *mine = partial + 2 * ((u64)k * gridDim.x + blockIdx.x);
  if (threadIdx.x == 0) mine[0] = sum, mine[1] = second;
  if (!last_block(arrived, gridDim.x * gridDim.y)) return;
  for (int part = threadIdx.x >> 5; part < (int)gridDim.y; part += blockDim.x >> 5) {
    const double *parts = partial + 2 * (u64)part * gridDim.x;
    sum = second = 0;
    for (int b = lane; b < (int)gridDim.x; b += 32) sum += fresh(parts + 2 * b), second += fresh(parts + 2 * b + 1);
    sum = warp_sum(sum);
    second = warp_sum(second);
    if (lane == 0) out[2 * part] = sum, out[2 * part + 1] = second;
  }
}

// axpy computes y += alpha·x.
KERNEL axpy(float *y, const float *x, float alpha, int size) {
  begin();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) y[i] += alpha * x[i];
}

// signs fills x with the elements of a Rademacher probe as engine/rng's Signs
// does; c1 to c3 and the key are those of its stream. A warp makes the 128 signs of
// one block of Philox.
KERNEL signs(float *x, int size, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
  begin();
  const u32 block = WARP, lane = threadIdx.x & 31;
  u32 c[4] = {block, c1, c2, c3};
  philox(c, k0, k1);
#pragma unroll
  for (int j = 0; j < 4; j++) {
    const u64 i = (u64)block * 128 + j * 32 + lane;
    if (i < (u64)size) x[i] = c[j] >> lane & 1 ? -1.f : 1.f;
  }
}

// update makes one step of the optimizer. In a step that stays on the device whose
// gradients have not made it themselves (see tasks.cu) ring is not null, and its results
// are kept: with sums numbers from totals.
KERNEL update(const float *grad, int size, OPTIMIZER_PARAMETERS, ROW_PARAMETERS, const double *totals) {
  begin();
  if (ring && blockIdx.x == 0) {
    const Row row = ROW_OF;
    row.put_results();
    row.put_arrays();
    for (int k = threadIdx.x; k < sums; k += blockDim.x) *row.sum_at(k) = totals[k];
  }
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const Optimizer optimizer = OPTIMIZER_OF;
  optimizer.step(i, grad[i], optimizer.load(i));
}
