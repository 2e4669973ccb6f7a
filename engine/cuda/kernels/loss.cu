// Losses of logits and their derivatives, softmax, and what is classified
// rightly. A warp works on one sample; exponentials and sums are in float64, as
// p − y loses most digits where a sample is learnt well. Loops over classes with long
// arithmetic are not unrolled: few classes are one turn, and copies of exp are large.
#include "common.cuh"

enum Loss { CROSS_ENTROPY, MSE, NO_LOSS };

#define LOWEST -__int_as_float(0x7f800000)

#define ROW const int i = WARP, lane = threadIdx.x & 31

// softmax_row stores the softmax of z in p and returns log Σ exp z, in every lane.
// Each lane stores what it reads again itself.
__device__ inline double softmax_row(double *p, const float *z, int classes, int lane) {
  float top = LOWEST;
  for (int c = lane; c < classes; c += 32) top = fmaxf(top, z[c]);
  top = warp_max(top);
  double sum = 0;
#pragma unroll 1
  for (int c = lane; c < classes; c += 32) sum += p[c] = exp((double)z[c] - top);
  sum = warp_sum(sum);
#pragma unroll 1
  for (int c = lane; c < classes; c += 32) p[c] /= sum;
  return top + log(sum);
}

// largest returns the place of the first largest element of x, in every lane.
__device__ inline int largest(const float *x, int classes, int lane) {
  float top = LOWEST;
  for (int c = lane; c < classes; c += 32) top = fmaxf(top, x[c]);
  top = warp_max(top);
  int best = classes;
  for (int c = lane; c < classes && best == classes; c += 32)
    if (x[c] == top) best = c;
  for (int o = 16; o > 0; o >>= 1) best = min(best, __shfl_xor_sync(0xffffffffu, best, o));
  return best == classes ? 0 : best; // NaN is larger than nothing
}

// loss computes, for n samples with logits z and targets y (n×classes),
//
//   losses[i] = ℓᵢ, *mean = (1/n) Σ ℓᵢ, *correct = the number of i with z and y largest at one place
//   p[i,c]    = softmax(zᵢ)_c                   for cross-entropy
//   grad[i,c] = (1/n)·∂ℓᵢ/∂z_c                   where grad is not null
//
// mean may be null with NO_LOSS, correct always. hits has n elements of scratch
// memory. Where x is not null, the logits are made here, by a dense layer of at most
// 32 classes, and where dx is not null, what goes back through it and an activation:
//
//   z[i,c]  = Σ_k x[i,k]·w[c,k] + bias[c]            k < terms; no bias where null
//   dx[i,k] = Σ_c grad[i,c]·w[c,k] · f'(mask[i,k])   f' = 1 where mask is null
//
// *step, where not null, is counted up. Grid: a warp for each sample.
KERNEL loss(int kind, float *z, const float *y, double *p, double *losses, double *hits, float *grad, double *mean, double *correct,
            u32 *arrived, int n, int classes, const float *x, const float *w, const float *bias, int terms, float *dx,
            const float *mask, int mask_func, int *step) {
  begin();
  __shared__ double scratch[32];
  ROW;
  if (i < n) {
    float *zi = z + (u64)i * classes, g = 0;
    const float *yi = y + (u64)i * classes;
    for (int c = 0; x && c < classes; c += 4) {
      float s[4] = {0, 0, 0, 0};
      for (int k = lane; k < terms; k += 32) {
        const float v = x[(u64)i * terms + k];
#pragma unroll
        for (int j = 0; j < 4; j++)
          if (c + j < classes) s[j] = fmaf(v, w[(u64)(c + j) * terms + k], s[j]);
      }
      double total[4] = {s[0], s[1], s[2], s[3]};
      warp_sums(total);
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (lane == c + j && c + j < classes) zi[c + j] = bias ? (float)total[j] + bias[c + j] : (float)total[j];
    }
    double *pi = p + (u64)i * classes, sum = 0;
    const double lse = kind == CROSS_ENTROPY ? softmax_row(pi, zi, classes, lane) : 0;
#pragma unroll 1
    for (int c = lane; c < classes; c += 32) {
      const double d = (double)zi[c] - yi[c];
      if (kind == MSE) sum += 0.5 * d * d;
      else if (kind == CROSS_ENTROPY && yi[c] != 0) sum += yi[c] * (lse - zi[c]);
      if (grad) grad[(u64)i * classes + c] = g = (float)((kind == MSE ? d : pi[c] - yi[c]) / n);
    }
    for (int k0 = 0; dx && k0 < terms; k0 += 32) {
      const int k = k0 + lane;
      float s = 0;
      for (int c = 0; c < classes; c++) {
        const float gc = __shfl_sync(0xffffffffu, g, c);
        if (k < terms) s = fmaf(gc, w[(u64)c * terms + k], s);
      }
      const u64 at = (u64)i * terms + k;
      if (k < terms) dx[at] = mask ? s * slope(mask_func, mask[at]) : s;
    }
    sum = warp_sum(sum);
    const bool hit = correct && largest(zi, classes, lane) == largest(yi, classes, lane);
    if (lane == 0) losses[i] = sum, hits[i] = hit ? 1 : 0;
  }
  if (!last_block(arrived, gridDim.x)) return;
  double total = 0, count = 0;
  for (int k = threadIdx.x; k < n; k += blockDim.x) total += fresh(losses + k), count += fresh(hits + k);
  total = block_sum(total, scratch);
  count = block_sum(count, scratch);
  if (threadIdx.x) return;
  if (mean) *mean = total / n;
  if (correct) *correct = count;
  if (step) ++*step;
}

// softmax_rows stores the softmax of each row of z in p (rows×classes).
KERNEL softmax_rows(double *p, const float *z, int rows, int classes) {
  begin();
  ROW;
  if (i < rows) softmax_row(p + (u64)i * classes, z + (u64)i * classes, classes, lane);
}

// loss_grad computes out = factor·g·(p − y), or factor·g·(z − y) where p is null; g
// is one number, 1 where null. size is that of out.
KERNEL loss_grad(float *out, const double *p, const float *z, const float *y, const float *g, double factor, int size) {
  begin();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  if (g) factor *= g[0];
  out[i] = (float)(factor * ((p ? p[i] : (double)z[i]) - y[i]));
}

// loss_hess computes out = factor·g·(p∘u − p⟨p,u⟩) row by row, or factor·g·u where p is
// null. out may be u.
KERNEL loss_hess(float *out, const double *p, const float *u, const float *g, double factor, int rows, int classes) {
  begin();
  ROW;
  if (i >= rows) return;
  if (g) factor *= g[0];
  const float *ui = u + (u64)i * classes;
  float *oi = out + (u64)i * classes;
  if (!p) {
    for (int c = lane; c < classes; c += 32) oi[c] = (float)(factor * ui[c]);
    return;
  }
  const double *pi = p + (u64)i * classes;
  double mean = 0;
  for (int c = lane; c < classes; c += 32) mean += pi[c] * ui[c];
  mean = warp_sum(mean);
  for (int c = lane; c < classes; c += 32) oi[c] = (float)(factor * pi[c] * (ui[c] - mean));
}

// softmax computes the softmax of each row of x, or its logarithm.
KERNEL softmax(float *out, const float *x, int rows, int cols, int logarithm) {
  begin();
  ROW;
  if (i >= rows) return;
  const float *xi = x + (u64)i * cols;
  float *oi = out + (u64)i * cols, top = xi[0];
  for (int c = lane; c < cols; c += 32) top = fmaxf(top, xi[c]);
  top = warp_max(top);
  double sum = 0;
#pragma unroll 1
  for (int c = lane; c < cols; c += 32) sum += exp((double)xi[c] - top);
  sum = warp_sum(sum);
  const double lse = top + log(sum);
#pragma unroll 1
  for (int c = lane; c < cols; c += 32) oi[c] = (float)(logarithm ? xi[c] - lse : exp((double)xi[c] - top) / sum);
}

#undef ROW
#undef LOWEST
