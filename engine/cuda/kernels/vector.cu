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
  __shared__ double scratch[1][32];
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

// reject computes out = (x − (aᵀx/‖a‖²)·a)/‖x‖, given aᵀx, ‖x‖² and ‖a‖² in sums, the first of
// which it copies to number; out = 0 where ‖x‖² is below least, and instead where ‖a‖² is.
// out may be x.
KERNEL reject(float *out, const float *x, const float *a, const float *instead, double least, const double *sums, int size, double *number) {
  begin();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const bool none = sums[1] < least;
  const double scale = none ? 0 : 1 / sqrt(sums[1]);
  const float alpha = (float)scale, beta = (float)(-sums[0] / sums[2] * scale);
  if (i == 0) *number = sums[0];
  if (i < size) out[i] = sums[2] < least ? instead[i] : none ? 0.f : product(alpha, x[i]) + beta * a[i];
}

// Plane is ritz.Plane.
struct Plane {
  double value, other, alpha, beta, rate;
};

#define INFINITE (double)__int_as_float(0x7f800000)

// solve is ritz.Gram's Solve.
__device__ inline Plane solve(double xx, double xy, double yy, double xhx, double xhy, double yhy, double least) {
  Plane p = {yhy / yy, INFINITE, 0, 1 / sqrt(yy), 0};
  if (xx >= least) {
    const double norm = sqrt(xx), dhd = xhx / xx, dy = xy / norm, dhy = xhy / norm, left = yy - dy * dy;
    p.value = dhd, p.alpha = 1 / norm, p.beta = 0;
    if (yy >= least && left > 1e-6 * yy) {
      const double delta = sqrt(left), dhc = (dhy - dy * dhd) / delta, chc = (yhy - 2 * dy * dhy + dy * dy * dhd) / left;
      double c = 1, s = 0, low = dhd, high = chc;
      if (dhc != 0) {
        const double tau = (chc - dhd) / (2 * dhc), t = copysign(1 / (fabs(tau) + sqrt(1 + tau * tau)), tau);
        c = 1 / sqrt(1 + t * t);
        s = t * c;
        low = dhd - t * dhc, high = chc + t * dhc;
      }
      const bool swapped = low > high;
      const double a = swapped ? c : s, b = swapped ? -s : c;
      p.other = swapped ? high : low;
      p.value = dhd + chc - p.other;
      p.alpha = (a - b * dy / delta) / norm;
      p.beta = b / delta;
    }
  }
  const double spread = p.value - fmin(p.other, 0.);
  if (spread * spread >= least) p.rate = 1 / spread;
  return p;
}

// ritz_solve is the projection of a matrix on the span of x and y, whose products with it are
// hx and hy. The plane is stored for ritz_follow, and in host_plane. partial has RITZ_SUMS
// elements for each block.
#define RITZ_SUMS 6
KERNEL ritz_solve(const float *x, const float *hx, const float *y, const float *hy, int size, double least, double *partial, Plane *plane,
                  Plane *host_plane, u32 *arrived) {
  begin();
  __shared__ double scratch[RITZ_SUMS][32];
  double s[RITZ_SUMS] = {}; // ‖x‖², xᵀy, ‖y‖², xᵀHx, xᵀHy, yᵀHy
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
    const double a = x[i], ha = hx[i], b = y[i], hb = hy[i];
    s[0] += a * a, s[1] += a * b, s[2] += b * b, s[3] += a * ha, s[4] += a * hb, s[5] += b * hb;
  }
  block_sums(s, scratch);
  if (threadIdx.x == 0)
#pragma unroll
    for (int j = 0; j < RITZ_SUMS; j++) partial[RITZ_SUMS * blockIdx.x + j] = s[j];
  if (!last_block(arrived, gridDim.x)) return;
#pragma unroll
  for (int j = 0; j < RITZ_SUMS; j++) s[j] = 0;
  for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x)
#pragma unroll
    for (int j = 0; j < RITZ_SUMS; j++) s[j] += fresh(partial + RITZ_SUMS * k + j);
  block_sums(s, scratch);
  if (threadIdx.x) return;
  const Plane p = solve(s[0], s[1], s[2], s[3], s[4], s[5], least);
  *plane = *host_plane = p;
}

// ritz_follow computes, with the plane's numbers and each product by alpha rounded by itself,
//
//   w = alpha·x + beta·y, r = alpha·hx + beta·hy − value·w, out[0] = Σ rᵢ², out[1] = Σ uᵢwᵢ
//
// and stores u = w + rate·r, with sums in the order of vector_sums; partial has two elements
// for each block. u may be x.
KERNEL ritz_follow(float *u, const float *x, const float *hx, const float *y, const float *hy, const Plane *plane, int size,
                   double *partial, double *out, u32 *arrived) {
  begin();
  __shared__ double scratch[2][32];
  const float alpha = (float)plane->alpha, beta = (float)plane->beta, value = (float)plane->value, rate = (float)plane->rate;
  double s[2] = {};
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
    const float old = u[i], w = product(alpha, x[i]) + beta * y[i];
    const float r = product(alpha, hx[i]) + beta * hy[i] - value * w;
    u[i] = w + rate * r;
    s[0] += (double)r * r;
    s[1] += (double)old * w;
  }
  block_sums(s, scratch);
  if (threadIdx.x == 0) partial[2 * blockIdx.x] = s[0], partial[2 * blockIdx.x + 1] = s[1];
  if (!last_block(arrived, gridDim.x)) return;
  s[0] = s[1] = 0;
  for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x) s[0] += fresh(partial + 2 * k), s[1] += fresh(partial + 2 * k + 1);
  block_sums(s, scratch);
  if (threadIdx.x == 0) out[0] = s[0], out[1] = s[1];
}

// part_sums computes for each part of x, elements bounds[k] to bounds[k+1],
//
//   out[2k] = Σ oldᵢxᵢ, out[2k+1] = Σ xᵢ²
//
// and stores old = x; where old is null, out[2k] is 0. Grid: (blocks of a part, parts);
// partial has two elements for each block.
KERNEL part_sums(float *old, const float *x, const int *bounds, double *partial, double *out, u32 *arrived) {
  begin();
  __shared__ double scratch[2][32];
  const int k = blockIdx.y, lane = threadIdx.x & 31;
  double s[2] = {};
  for (int i = bounds[k] + blockIdx.x * blockDim.x + threadIdx.x; i < bounds[k + 1]; i += gridDim.x * blockDim.x) {
    const double v = x[i];
    s[1] += v * v;
    if (old) {
      s[0] += old[i] * v;
      old[i] = x[i];
    }
  }
  block_sums(s, scratch);
  double *mine = partial + 2 * ((u64)k * gridDim.x + blockIdx.x);
  if (threadIdx.x == 0) mine[0] = s[0], mine[1] = s[1];
  if (!last_block(arrived, gridDim.x * gridDim.y)) return;
  for (int part = threadIdx.x >> 5; part < (int)gridDim.y; part += blockDim.x >> 5) {
    const double *parts = partial + 2 * (u64)part * gridDim.x;
    s[0] = s[1] = 0;
    for (int b = lane; b < (int)gridDim.x; b += 32) s[0] += fresh(parts + 2 * b), s[1] += fresh(parts + 2 * b + 1);
    warp_sums(s);
    if (lane == 0) out[2 * part] = s[0], out[2 * part + 1] = s[1];
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
  optimizer.step<1>(i, side<1>(grad + i), optimizer.load<1>(i));
}
