// Pooling. Planes are pooled one by one; positions are in a plane inH×inW. A
// thread computes one element of the result; nothing is scattered, so no two
// threads write one element and sums are in the order of the windows. Where windows of 2×2
// tile the planes, a thread has a window instead, with a fraction of the work.
#include "common.cuh"

struct Pool { int inH, inW, outH, outW, kH, kW, strideH, strideW, padH, padW; };

#define POOL int inH, int inW, int outH, int outW, int kH, int kW, int strideH, int strideW, int padH, int padW
#define POOL_OF {inH, inW, outH, outW, kH, kW, strideH, strideW, padH, padW}
#define ELEMENT                                                   \
  const Pool p = POOL_OF;                                         \
  const int i = blockIdx.x * blockDim.x + threadIdx.x;            \
  if (i >= size) return

// max_pool computes out = the largest element of each window and its position,
// the first on ties; NaN is the largest. size is that of out.
KERNEL max_pool(float *out, int *index, const float *x, int size, POOL) {
  ELEMENT;
  const int q = i % p.outW, r = i / p.outW % p.outH;
  const float *plane = x + i / (p.outW * p.outH) * (p.inH * p.inW);
  const int h0 = r * p.strideH - p.padH, w0 = q * p.strideW - p.padW;
  int best = -1;
  float top = 0;
  for (int h = max(h0, 0); h < min(h0 + p.kH, p.inH); h++)
    for (int w = max(w0, 0); w < min(w0 + p.kW, p.inW); w++) {
      const float v = plane[h * p.inW + w];
      if (best < 0 || v > top || (v != v && top == top)) top = v, best = h * p.inW + w;
    }
  out[i] = top;
  index[i] = best;
}

#define TILE                                                                                      \
  const int i = blockIdx.x * blockDim.x + threadIdx.x;                                            \
  if (i >= size) return;                                                                          \
  const int q = i % outW, r = i / outW % outH, inW = 2 * outW, at = 2 * (r * inW + q), first = i / (outW * outH) * (2 * outH * inW) + at

// max_pool_2 is max_pool for windows that tile planes of 2·outH×2·outW.
KERNEL max_pool_2(float *out, int *index, const float *x, int size, int outH, int outW) {
  TILE;
  const float2 a = *(const float2 *)(x + first), b = *(const float2 *)(x + first + inW);
  const float v[4] = {a.x, a.y, b.x, b.y};
  const int place[4] = {at, at + 1, at + inW, at + inW + 1};
  float top = v[0];
  int best = at;
#pragma unroll
  for (int k = 1; k < 4; k++)
    if (v[k] > top || (v[k] != v[k] && top == top)) top = v[k], best = place[k];
  out[i] = top;
  index[i] = best;
}

// pool_scatter_2 is pool_scatter for such windows; size is that of x.
KERNEL pool_scatter_2(float *out, const float *x, const int *index, const float *mask, int mask_func, int size, int outH, int outW) {
  TILE;
  const float v = mask ? x[i] * slope(mask_func, mask[i]) : x[i];
  const int best = index[i] - at;
  *(float2 *)(out + first) = float2{best == 0 ? v : 0.f, best == 1 ? v : 0.f};
  *(float2 *)(out + first + inW) = float2{best == inW ? v : 0.f, best == inW + 1 ? v : 0.f};
}

#undef TILE

// windows finds the range of windows along one axis that hold place at.
__device__ inline void windows(int at, int k, int stride, int pad, int count, int &from, int &to) {
  from = at + pad < k ? 0 : (at + pad - k) / stride + 1;
  to = min(count, (at + pad) / stride + 1);
}

// pool_scatter computes out[index[w]] += x[w], from zero; x is multiplied by
// f'(·) from y = mask[w] first where mask is not null. size is that of out.
KERNEL pool_scatter(float *out, const float *x, const int *index, const float *mask, int mask_func, int size, POOL) {
  ELEMENT;
  const int at = i % (p.inH * p.inW);
  const int first = i / (p.inH * p.inW) * (p.outH * p.outW);
  int r0, r1, q0, q1;
  windows(at / p.inW, p.kH, p.strideH, p.padH, p.outH, r0, r1);
  windows(at % p.inW, p.kW, p.strideW, p.padW, p.outW, q0, q1);
  float sum = 0;
  for (int r = r0; r < r1; r++)
    for (int q = q0; q < q1; q++) {
      const int w = first + r * p.outW + q;
      if (index[w] == at) sum += mask ? x[w] * slope(mask_func, mask[w]) : x[w];
    }
  out[i] = sum;
}

// pool_gather computes out[w] = x[index[w]]. size is that of out.
KERNEL pool_gather(float *out, const float *x, const int *index, int size, POOL) {
  ELEMENT;
  out[i] = x[i / (p.outH * p.outW) * (p.inH * p.inW) + index[i]];
}

// avg_pool computes the mean of each window, padding counting as zeros. size is
// that of out.
KERNEL avg_pool(float *out, const float *x, int size, POOL) {
  ELEMENT;
  const int q = i % p.outW, r = i / p.outW % p.outH;
  const float *plane = x + i / (p.outW * p.outH) * (p.inH * p.inW);
  const int h0 = r * p.strideH - p.padH, w0 = q * p.strideW - p.padW;
  float sum = 0;
  for (int h = max(h0, 0); h < min(h0 + p.kH, p.inH); h++)
    for (int w = max(w0, 0); w < min(w0 + p.kW, p.inW); w++) sum += plane[h * p.inW + w];
  out[i] = sum / (p.kH * p.kW);
}

// avg_pool_adjoint spreads each element of x over its window. size is that of out.
KERNEL avg_pool_adjoint(float *out, const float *x, int size, POOL) {
  ELEMENT;
  const int at = i % (p.inH * p.inW);
  const int first = i / (p.inH * p.inW) * (p.outH * p.outW);
  int r0, r1, q0, q1;
  windows(at / p.inW, p.kH, p.strideH, p.padH, p.outH, r0, r1);
  windows(at % p.inW, p.kW, p.strideW, p.padW, p.outW, q0, q1);
  float sum = 0;
  for (int r = r0; r < r1; r++)
    for (int q = q0; q < q1; q++) sum += x[first + r * p.outW + q];
  out[i] = sum / (p.kH * p.kW);
}

#undef ELEMENT

#undef POOL
#undef POOL_OF
