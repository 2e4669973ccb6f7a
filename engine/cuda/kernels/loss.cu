// Losses of logits and their derivatives, softmax, and what is classified
// rightly. A warp works on one sample; exponentials and sums are in float64, as
// p − y loses most digits where a sample is learnt well. Loops over classes with long
// arithmetic are not unrolled: few classes are one turn, and copies of exp are large.
#include "losses.cuh"

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
//   grad[i,c] = scale·∂ℓᵢ/∂z_c                   where grad is not null
//
// mean may be null with NO_LOSS, correct and hits always. hits has n elements of scratch
// memory. See end_losses for arrived and step. Grid: a warp for each sample.
KERNEL loss(int kind, const float *z, const float *y, double *p, double *losses, double *hits, float *grad, double *mean, double *correct,
            u32 *arrived, int n, int classes, double scale, int *step) {
  ROW;
  if (i < n) {
    const float *zi = z + (u64)i * classes, *yi = y + (u64)i * classes;
    double *pi = p + (u64)i * classes, sum = 0;
    const double lse = kind == CROSS_ENTROPY ? softmax_row(pi, zi, classes, lane) : 0;
#pragma unroll 1
    for (int c = lane; c < classes; c += 32) {
      const double d = (double)zi[c] - yi[c];
      if (kind == MSE) sum += 0.5 * d * d;
      else if (kind == CROSS_ENTROPY && yi[c] != 0) sum += yi[c] * (lse - zi[c]);
      if (grad) grad[(u64)i * classes + c] = (float)((kind == MSE ? d : pi[c] - yi[c]) * scale);
    }
    sum = warp_sum(sum);
    const bool hit = hits && largest(zi, classes, lane) == largest(yi, classes, lane);
    if (lane == 0) {
      losses[i] = sum;
      if (hits) hits[i] = hit ? 1 : 0;
    }
  }
  end_losses(losses, hits, n, mean, correct, arrived, step);
}

// warp_totals returns the sum of s[lane % 16] over the threads of a warp, in float64. With each
// exchange a thread keeps half of its sums.
__device__ inline double warp_totals(const float (&s)[16], int lane) {
  double v[8];
#pragma unroll
  for (int j = 0; j < 8; j++) {
    const bool upper = lane & 8;
    const float mine = upper ? s[j + 8] : s[j], other = upper ? s[j] : s[j + 8];
    v[j] = (double)mine + __shfl_xor_sync(0xffffffffu, other, 8);
  }
#pragma unroll
  for (int o = 4; o > 0; o >>= 1)
#pragma unroll
    for (int j = 0; j < o; j++) {
      const bool upper = lane & o;
      const double mine = upper ? v[j + o] : v[j], other = upper ? v[j] : v[j + o];
      v[j] = mine + __shfl_xor_sync(0xffffffffu, other, o);
    }
  return v[0] + __shfl_xor_sync(0xffffffffu, v[0], 16);
}

// first_largest returns the lowest lane whose x is the largest of the first count, in every lane.
__device__ inline int first_largest(float x, int count, int lane) {
  const float top = warp_max(lane < count ? x : LOWEST);
  const u32 found = __ballot_sync(0xffffffffu, lane < count && x == top);
  return found ? __ffs(found) - 1 : 0; // NaN is larger than nothing
}

// What follows works on a sample by LOSS_WARPS warps behind a dense layer of at most 32
// classes, of which dense_sums takes DENSE_CLASSES at a time.
#define LOSS_WARPS 8
#define DENSE_CLASSES 16
#define LOSS_BOUNDS __launch_bounds__(32 * LOSS_WARPS)

// Dense is a sum of N products: x has terms elements, w classes rows of them.
template <int N> struct Dense {
  const float *x[N], *w[N];
  int terms, classes;

  // sums stores in parts[warp][c] what the warp has of Σ_j Σ_k x_j[k]·w_j[c,k]. All threads call it.
  __device__ void sums(double (&parts)[LOSS_WARPS][32]) const {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll 1
    for (int c0 = 0; c0 < classes; c0 += DENSE_CLASSES) {
      float s[DENSE_CLASSES] = {};
      for (int k = threadIdx.x; k < terms; k += 32 * LOSS_WARPS) {
        float v[N];
#pragma unroll
        for (int j = 0; j < N; j++) v[j] = x[j][k];
#pragma unroll
        for (int c = 0; c < DENSE_CLASSES; c++)
          if (c0 + c < classes)
#pragma unroll
            for (int j = 0; j < N; j++) s[c] = fmaf(v[j], w[j][(c0 + c) * terms + k], s[c]);
      }
      const double total = warp_totals(s, lane);
      if (lane < DENSE_CLASSES) parts[warp][c0 + lane] = total;
    }
  }

  // back returns Σ_j Σ_c gradient_j[c]·w_j[c,k].
  __device__ float back(const float (&gradient)[N][32], int k) const {
    float s = 0;
#pragma unroll 1
    for (int c0 = 0; c0 < classes; c0 += DENSE_CLASSES)
#pragma unroll
      for (int c = 0; c < DENSE_CLASSES; c++)
        if (c0 + c < classes)
#pragma unroll
          for (int j = 0; j < N; j++) s = fmaf(gradient[j][c0 + c], w[j][(c0 + c) * terms + k], s);
    return s;
  }
};

// class_total returns the sum over the warps of what Dense's sums has left for a class.
__device__ inline double class_total(const double (&parts)[LOSS_WARPS][32], int c) {
  double total = 0;
#pragma unroll
  for (int k = 0; k < LOSS_WARPS; k++) total += parts[k][c];
  return total;
}

// dense_loss is loss behind a dense layer of at most 32 classes, which it does too, and
// where dx is not null what goes back through that and an activation:
//
//   z[i,c]  = Σ_k x[i,k]·w[c,k] + bias[c]            k < terms; no bias where null
//   dx[i,k] = Σ_c grad[i,c]·w[c,k] · f'(mask[i,k])   f' = 1 where mask is null
//
// All threads work on the products; between them the first warp has a class in each lane,
// and goes on with the loss while the others multiply by what it has found. Grid: n
// blocks of 32·LOSS_WARPS threads.
KERNEL LOSS_BOUNDS
    dense_loss(int kind, float *z, const float *y, double *p, double *losses, double *hits, float *grad, double *mean, double *correct,
               u32 *arrived, int n, int classes, double scale, int *step, const float *x, const float *w, const float *bias, int terms,
               float *dx, const float *mask, int mask_func) {
  __shared__ double parts[LOSS_WARPS][32];
  __shared__ float gradient[1][32];
  const int i = blockIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const bool mine = lane < classes;
  const float target = mine ? y[(u64)i * classes + lane] : 0, shift = bias && mine ? bias[lane] : 0;
  const Dense<1> dense = {{x + (u64)i * terms}, {w}, terms, classes};
  const int first = threadIdx.x - 32; // of the terms that a thread goes back through
  const float early = dx && mask && warp > 0 && first < terms ? mask[(u64)i * terms + first] : 0.f; // it is there when it is needed
  dense.sums(parts);
  __syncthreads();
  double d = 0, sum = 0;
  float logit = 0, top = 0;
  if (warp == 0) {
    double pc = 0;
    if (mine) {
      logit = (float)class_total(parts, lane) + shift;
      z[(u64)i * classes + lane] = logit;
    }
    d = (double)logit - target;
    if (kind == CROSS_ENTROPY) {
      top = warp_max(mine ? logit : LOWEST);
      const double e = mine ? exp((double)logit - top) : 0;
      sum = warp_sum(e);
      pc = e / sum;
      d = pc - target;
      if (mine) p[(u64)i * classes + lane] = pc;
    }
    gradient[0][lane] = (float)(d * scale);
    if (grad && mine) grad[(u64)i * classes + lane] = gradient[0][lane];
  }
  __syncthreads();
  if (warp == 0) {
    double l = 0;
    if (mine) l = kind == MSE ? 0.5 * d * d : target != 0 ? target * (top + log(sum) - logit) : 0;
    l = warp_sum(l);
    const bool hit = hits && first_largest(logit, classes, lane) == first_largest(target, classes, lane);
    if (lane == 0) {
      losses[i] = l;
      if (hits) hits[i] = hit ? 1 : 0;
    }
  } else if (dx) {
    for (int k = first; k < terms; k += 32 * (LOSS_WARPS - 1)) {
      const float s = dense.back(gradient, k);
      const u64 at = (u64)i * terms + k;
      dx[at] = mask ? s * slope(mask_func, k == first ? early : mask[at]) : s;
    }
  }
  end_losses(losses, hits, n, mean, correct, arrived, step);
}

// softmax_rows stores the softmax of each row of z in p (rows×classes).
KERNEL softmax_rows(double *p, const float *z, int rows, int classes) {
  ROW;
  if (i < rows) softmax_row(p + (u64)i * classes, z + (u64)i * classes, classes, lane);
}

// loss_grad computes out = factor·g·(p − y), or factor·g·(z − y) where p is null; g
// is one number, 1 where null. size is that of out.
KERNEL loss_grad(float *out, const double *p, const float *z, const float *y, const float *g, double factor, int size) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  if (g) factor *= g[0];
  out[i] = (float)(factor * ((p ? p[i] : (double)z[i]) - y[i]));
}

// loss_hess computes out = factor·g·(p∘u − p⟨p,u⟩) row by row, or factor·g·u where p is
// null. out may be u.
KERNEL loss_hess(float *out, const double *p, const float *u, const float *g, double factor, int rows, int classes) {
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

// dense_hess is loss_hess behind the derivative of a dense layer of at most 32 classes, which it
// does too, and where dx is not null what goes back through that and an activation:
//
//   u[i,c]   = Σ_k (x[i,k]·v[c,k] + rx[i,k]·w[c,k]) + bias[c]                k < terms; no rx, no bias where null
//   dx[i,k]  = Σ_c (grad[i,c]·v[c,k] + out[i,c]·w[c,k]) · f'(mask[i,k])     f' = 1 where mask is null
//
// Where dx is not null, neither is rx. Grid: n blocks of 32·LOSS_WARPS threads.
KERNEL LOSS_BOUNDS
    dense_hess(float *out, const double *p, const float *g, double factor, int classes, const float *x, const float *v, const float *rx,
               const float *w, const float *bias, int terms, float *dx, const float *grad, const float *mask, int mask_func) {
  __shared__ double parts[LOSS_WARPS][32];
  __shared__ float gradient[2][32];
  const int i = blockIdx.x, lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const u64 row = (u64)i * terms, at = (u64)i * classes + lane;
  const bool mine = lane < classes;
  const double pc = p && mine ? p[at] : 0;
  const float shift = bias && mine ? bias[lane] : 0, before = dx && mine ? grad[at] : 0;
  if (g) factor *= g[0];
  const Dense<1> one = {{x + row}, {v}, terms, classes};
  const Dense<2> both = {{x + row, rx + row}, {v, w}, terms, classes};
  const int first = threadIdx.x;
  const float early = dx && mask && first < terms ? mask[row + first] : 0.f; // it is there when it is needed
  if (rx) both.sums(parts);
  else one.sums(parts);
  __syncthreads();
  if (warp == 0) {
    const float u = mine ? (float)class_total(parts, lane) + shift : 0;
    const double h = p ? pc * (u - warp_sum(pc * u)) : u;
    gradient[0][lane] = before;
    gradient[1][lane] = (float)(factor * h);
    if (mine) out[at] = gradient[1][lane];
  }
  if (!dx) return;
  __syncthreads();
  for (int k = first; k < terms; k += 32 * LOSS_WARPS) {
    const float s = both.back(gradient, k);
    dx[row + k] = mask ? s * slope(mask_func, k == first ? early : mask[row + k]) : s;
  }
}

// softmax computes the softmax of each row of x, or its logarithm.
KERNEL softmax(float *out, const float *x, int rows, int cols, int logarithm) {
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
