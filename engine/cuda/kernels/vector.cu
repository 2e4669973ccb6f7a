// Operations on flat vectors: products for Lanczos and Hutchinson, probes, and
// the optimizer's step. A thread takes elements by fours and asks for AT_ONCE of them before
// it uses any: each is a trip to the second-level cache.
#include "step.cuh"

#define AT_ONCE 4

// FOURS is the place of a thread's first four among those of all blocks along x, STRIDE how far
// it is to its next.
#define FOURS (int)((blockIdx.x * blockDim.x + threadIdx.x) * 4)
#define STRIDE (int)(gridDim.x * blockDim.x * 4)

// vector_sums computes out[k] = Σ xᵢyᵢ for each pair x, y of vectors of size elements, or
// Σ (xᵢ − yᵢ)² where distance is set, in float64. Grid: (blocks, pairs), at most
// vector_pairs; partial has an element for each block. The order of a sum depends on size
// alone: the parts of a pair are added by the last block, as one pair alone would have it.
KERNEL vector_sums(int distance, const float *x0, const float *y0, const float *x1, const float *y1, const float *x2, const float *y2,
                   const float *x3, const float *y3, int size, double *partial, double *out, u32 *arrived) {
  __shared__ double scratch[1][32];
  const int pair = blockIdx.y;
  const float *x = pair == 0 ? x0 : pair == 1 ? x1 : pair == 2 ? x2 : x3;
  const float *y = pair == 0 ? y0 : pair == 1 ? y1 : pair == 2 ? y2 : y3;
  const bool together = aligned(x) && aligned(y);
  double sum = 0;
  for (int i0 = FOURS; i0 < size; i0 += AT_ONCE * STRIDE) {
    Side<4> p[AT_ONCE], q[AT_ONCE];
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) p[j] = four(x, i0 + j * STRIDE, size, together), q[j] = four(y, i0 + j * STRIDE, size, together);
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const double a = p[j].v[k], b = q[j].v[k];
        sum += distance ? (a - b) * (a - b) : a * b;
      }
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) partial[pair * gridDim.x + blockIdx.x] = sum;
  if (!last_block(arrived, gridDim.x * gridDim.y)) return;
  const int p = threadIdx.x >> 5; // a warp for each pair
  if (p >= (int)gridDim.y) return;
  sum = 0;
#pragma unroll 4
  for (int k = threadIdx.x & 31; k < (int)gridDim.x; k += 32) sum += fresh(partial + p * gridDim.x + k);
  sum = warp_sum(sum);
  if ((threadIdx.x & 31) == 0) out[p] = sum;
}

// About is Guess.About of package ritz.
struct About { float lasts, norm; };

// direction computes d = u/‖u‖ where that lasts or ‖y‖² is below least, else, with products by
// beta not rounded, (hy − (yᵀhy/‖y‖²)·y)/‖hy‖, or 0 where ‖hy‖² is below least, given yᵀhy, ‖hy‖² and ‖y‖²
// in sums, the first of which it copies to number.
KERNEL direction(float *d, const float *u, const About *about, const float *y, const float *hy, double least, const double *sums, int size,
                 double *number) {
  const int i = FOURS;
  const bool together = aligned(d) && aligned(u) && aligned(y) && aligned(hy), guessed = about->lasts != 0 || sums[2] < least;
  if (i == 0) *number = sums[0];
  Side<4> v;
  if (guessed) {
    const Side<4> p = four(u, i, size, together);
    const float scale = 1 / about->norm;
#pragma unroll
    for (int k = 0; k < 4; k++) v.v[k] = scale * p.v[k];
  } else {
    const Side<4> p = four(hy, i, size, together), q = four(y, i, size, together);
    const bool none = sums[1] < least;
    const double scale = none ? 0 : 1 / sqrt(sums[1]);
    const float alpha = (float)scale, beta = (float)(-sums[0] / sums[2] * scale);
#pragma unroll
    for (int k = 0; k < 4; k++) v.v[k] = none ? 0.f : product(alpha, p.v[k]) + beta * q.v[k];
  }
  put_four(d, i, size, together, v);
}

// Plane is ritz.Plane.
struct Plane {
  double value, other, alpha, beta, rate;
};

#define INFINITE (double)__int_as_float(0x7f800000)

// solve is ritz.Gram's Solve of float32.
__device__ inline Plane solve(double xx, double xy, double yy, double xhx, double xhy, double yhy, double least) {
  Plane p = {yhy / yy, INFINITE, 0, 1 / sqrt(yy), 0};
  if (xx >= least) {
    const double norm = sqrt(xx), dhd = xhx / xx, dy = xy / norm, dhy = xhy / norm, left = yy - dy * dy;
    p.value = dhd, p.alpha = 1 / norm, p.beta = 0;
    if (yy >= least && left > 1e-3 * yy) {
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
  __shared__ double scratch[RITZ_SUMS][32];
  double s[RITZ_SUMS] = {}; // ‖x‖², xᵀy, ‖y‖², xᵀHx, xᵀHy, yᵀHy
  const bool together = aligned(x) && aligned(hx) && aligned(y) && aligned(hy);
  for (int i0 = FOURS; i0 < size; i0 += AT_ONCE / 2 * STRIDE) {
    Side<4> v[AT_ONCE / 2][4];
#pragma unroll
    for (int j = 0; j < AT_ONCE / 2; j++) {
      const int i = i0 + j * STRIDE;
      v[j][0] = four(x, i, size, together), v[j][1] = four(hx, i, size, together);
      v[j][2] = four(y, i, size, together), v[j][3] = four(hy, i, size, together);
    }
#pragma unroll
    for (int j = 0; j < AT_ONCE / 2; j++)
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const double a = v[j][0].v[k], ha = v[j][1].v[k], b = v[j][2].v[k], hb = v[j][3].v[k];
        s[0] += a * a, s[1] += a * b, s[2] += b * b, s[3] += a * ha, s[4] += a * hb, s[5] += b * hb;
      }
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
// and stores u = w + rate·r, and what is known of it, with sums in the order of vector_sums; partial
// has two elements for each block.
KERNEL ritz_follow(float *u, About *about, const float *x, const float *hx, const float *y, const float *hy, const Plane *plane,
                   int size, double *partial, double *out, u32 *arrived) {
  __shared__ double scratch[2][32];
  const float alpha = (float)plane->alpha, beta = (float)plane->beta, value = (float)plane->value, rate = (float)plane->rate;
  double s[2] = {};
  const bool together = aligned(u) && aligned(x) && aligned(hx) && aligned(y) && aligned(hy);
  for (int i0 = FOURS; i0 < size; i0 += AT_ONCE / 2 * STRIDE) {
    Side<4> v[AT_ONCE / 2][5];
#pragma unroll
    for (int j = 0; j < AT_ONCE / 2; j++) {
      const int i = i0 + j * STRIDE;
      v[j][0] = four(u, i, size, together), v[j][1] = four(x, i, size, together), v[j][2] = four(hx, i, size, together);
      v[j][3] = four(y, i, size, together), v[j][4] = four(hy, i, size, together);
    }
#pragma unroll
    for (int j = 0; j < AT_ONCE / 2; j++) {
      Side<4> next;
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const float old = v[j][0].v[k], w = product(alpha, v[j][1].v[k]) + beta * v[j][3].v[k];
        const float r = product(alpha, v[j][2].v[k]) + beta * v[j][4].v[k] - value * w;
        next.v[k] = w + rate * r;
        s[0] += (double)r * r;
        s[1] += (double)old * w;
      }
      put_four(u, i0 + j * STRIDE, size, together, next);
    }
  }
  block_sums(s, scratch);
  if (threadIdx.x == 0) partial[2 * blockIdx.x] = s[0], partial[2 * blockIdx.x + 1] = s[1];
  if (!last_block(arrived, gridDim.x)) return;
  s[0] = s[1] = 0;
  for (int k = threadIdx.x; k < (int)gridDim.x; k += blockDim.x) s[0] += fresh(partial + 2 * k), s[1] += fresh(partial + 2 * k + 1);
  block_sums(s, scratch);
  if (threadIdx.x) return;
  out[0] = s[0], out[1] = s[1];
  const double norm = about->norm; // of what u was
  *about = {s[1] * s[1] >= 0.5 * norm * norm ? 1.f : 0.f, (float)sqrt(1 + plane->rate * plane->rate * s[0])};
}

// Stretch is elements from to from + size − 1 of a vector, of which so many blocks from first on
// make a sum.
struct Stretch { int from, size, first, blocks; };

// part_sums computes for each of count stretches of x
//
//   out[2k] = Σ oldᵢxᵢ, out[2k+1] = Σ xᵢ²
//
// and stores old = x; where old is null, out[2k] is 0. partial has two elements for each block.
KERNEL part_sums(float *old, const float *x, const Stretch *stretches, int count, double *partial, double *out, u32 *arrived) {
  __shared__ double scratch[2][32];
  const int block = blockIdx.x, lane = threadIdx.x & 31;
  const Stretch t = stretches[task_of(stretches, count, block)];
  const int size = t.size, stride = t.blocks * blockDim.x * 4;
  const float *p = x + t.from;
  float *q = old ? old + t.from : nullptr;
  const bool together = aligned(p) && aligned(q);
  double s[2] = {};
  for (int i0 = ((block - t.first) * blockDim.x + threadIdx.x) * 4; i0 < size; i0 += AT_ONCE * stride) {
    Side<4> v[AT_ONCE], before[AT_ONCE];
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
      v[j] = four(p, i0 + j * stride, size, together);
      if (q) before[j] = four(q, i0 + j * stride, size, together);
    }
#pragma unroll
    for (int j = 0; j < AT_ONCE; j++) {
#pragma unroll
      for (int k = 0; k < 4; k++) {
        const double e = v[j].v[k];
        s[1] += e * e;
        if (q) s[0] += before[j].v[k] * e;
      }
      if (q) put_four(q, i0 + j * stride, size, together, v[j]);
    }
  }
  block_sums(s, scratch);
  if (threadIdx.x == 0) partial[2 * block] = s[0], partial[2 * block + 1] = s[1];
  if (!last_block(arrived, gridDim.x)) return;
  for (int k = threadIdx.x >> 5; k < count; k += blockDim.x >> 5) {
    const Stretch mine = stretches[k];
    s[0] = s[1] = 0;
#pragma unroll 4
    for (int b = mine.first + lane; b < mine.first + mine.blocks; b += 32) s[0] += fresh(partial + 2 * b), s[1] += fresh(partial + 2 * b + 1);
    warp_sums(s);
    if (lane == 0) out[2 * k] = s[0], out[2 * k + 1] = s[1];
  }
}

// axpy computes y += alpha·x.
KERNEL axpy(float *y, const float *x, float alpha, int size) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < size) y[i] += alpha * x[i];
}

// signs fills x with the elements of a Rademacher probe as engine/rng's Signs
// does; c1 to c3 and the key are those of its stream, to whose number, c2 and c3, that of the
// step is added where there is one. A warp makes the 128 signs of one block of Philox.
KERNEL signs(float *x, int size, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1, const double *numbers, const int *step) {
  const u32 block = WARP, lane = threadIdx.x & 31;
  const u64 stream = ((u64)c3 << 32 | c2) + (numbers ? (u64)NUMBER(3) : 0);
  u32 c[4] = {block, c1, (u32)stream, (u32)(stream >> 32)};
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
  if (ring && blockIdx.x == 0) {
    const Row row = ROW_OF;
    row.put_results();
    row.put_arrays();
    for (int k = threadIdx.x; k < sums; k += blockDim.x) *row.sum_at(k) = totals[k];
  }
  const int i = FOURS;
  const Optimizer optimizer = OPTIMIZER_OF;
  if (i + 3 < size && aligned(grad) && aligned(theta) && aligned(first) && aligned(second))
    return optimizer.step<4>(i, side<4>(grad + i), optimizer.load<4>(i));
  for (int k = i; k < min(i + 4, size); k++) optimizer.step<1>(k, side<1>(grad + k), optimizer.load<1>(k));
}

#undef FOURS
#undef STRIDE
#undef AT_ONCE
