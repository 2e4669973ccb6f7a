// Convolutions as products of matrices that are never stored (implicit GEMM).
//
//   y[o,p,q] = Σ_{c,r,s} x[c, p·strideH + r·dilH − padH, q·strideW + s·dilW − padW]·w[o,c,r,s]
//
// for each of n samples; x is n×inC×inH×inW, w outC×inC×kH×kW, y n×outC×outH×outW.
// Two tables made once for each geometry replace divisions: taps, one entry for
// each k the product sums over, and pixels, one for each place of a sample.
#include "batch.cuh"

// Tap is one term of a convolution's sum: (c,r,s) forward, (o,r,s) for dx.
struct Tap {
  int offset; // of the term in a sample, from the window's corner (forward), or of channel o's plane
  int h, w;   // r·dilH and s·dilW
  int weight; // of w's element of channel 0; forward, of channel c's row in a Batch's table
};

// Pixel is one place of y: its window's corner in x.
struct Pixel { int offset, h, w; };

struct Geom { int inC, inH, inW, outC, outH, outW, strideH, strideW, padH, padW, taps; };

#define GEOM int inC, int inH, int inW, int outC, int outH, int outW, int strideH, int strideW, int padH, int padW, int taps
#define GEOM_OF {inC, inH, inW, outC, outH, outW, strideH, strideW, padH, padW, taps}

// Stored is x as an array, Sampled x of a batch in the data set: begin returns the place at
// which a sample begins, at the element at a place, under a tap.
struct Stored {
  typedef int Place;
  const float *x;
  int size;
  __device__ int begin(int sample) const { return sample * size; }
  __device__ float at(int i, const Tap &) const { return x[i]; }
};
struct Sampled {
  typedef u64 Place;
  const Batch &batch;
  __device__ u64 begin(int sample) const { return (u64)batch.index(sample) * batch.size; }
  __device__ float at(u64 i, const Tap &t) const { return batch.table[t.weight + batch.pixels[i]]; }
};

// Windows loads B of the forward product, taps × (n·outH·outW): x under tap k of
// the window at the column. The four columns of a thread are always the same.
template <class T, class X> struct Windows {
  static const bool ALONG_K = false;
  const X &x;
  const Tap *taps;
  int inH, inW, h[4], w[4];
  typename X::Place base[4]; // of the window's corner

  __device__ Windows(const X &x, const Tap *taps, const Pixel *pixels, const Geom &g, int n0, int columns)
      : x(x), taps(taps), inH(g.inH), inW(g.inW) {
    const int plane = g.outH * g.outW;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int column = n0 + threadIdx.x % (T::BN / 4) * 4 + j;
      const bool in = column < columns;
      const Pixel p = pixels[in ? column % plane : 0];
      h[j] = in ? p.h : -(1 << 29), w[j] = p.w; // no row is inside for a column outside
      base[j] = in ? x.begin(column / plane) + p.offset : 0;
    }
  }
  __device__ Four load(int, int k, int k1) const {
    Four f = {{0, 0, 0, 0}};
    if (k >= k1) return f;
    const Tap t = taps[k];
#pragma unroll
    for (int j = 0; j < 4; j++)
      if ((u32)(h[j] + t.h) < (u32)inH && (u32)(w[j] + t.w) < (u32)inW) f.v[j] = x.at(base[j] + t.offset, t);
    return f;
  }
};

// put_pixels stores a tile of channels × (samples·pixels), whose first are m0 and n0, in
// out, samples × channels × plane, or adds it there. Neighbouring threads have
// neighbouring pixels, and a thread always the same one.
template <class T>
__device__ void put_pixels(T &tile, const float (&acc)[T::TM][T::TN], float *out, int m0, int channels, int n0, int columns, int plane,
                           int accumulate, const Epilogue &epilogue) {
  static_assert(T::SIZE % T::BN == 0, "whole rows of a tile at a time");
  tile.stage(acc);
  const int across = threadIdx.x % T::BN, column = n0 + across;
  if (column >= columns) return;
  const u64 first = (u64)(column / plane) * channels * plane + column % plane;
#pragma unroll 1
  for (int r = threadIdx.x / T::BN; r < T::BM && m0 + r < channels; r += T::SIZE / T::BN) {
    const u64 at = first + (u64)(m0 + r) * plane;
    const float c = tile.at(r, across);
    out[at] = epilogue.apply(accumulate ? out[at] + c : c, m0 + r, at);
  }
}

// forward_tile makes a tile of y, the part of it that blockIdx.y and the given block name.
template <class X>
__device__ void forward_tile(int block, float *y, const X &x, const float *w, const Tap *tap, const Pixel *pixel, int n, const Geom &g,
                             int accumulate, int vector_w, const Epilogue &epilogue) {
  typedef Wide T;
  __shared__ T tile;
  const int plane = g.outH * g.outW, columns = n * plane;
  const int m0 = blockIdx.y * T::BM, n0 = block * T::BN;
  Rows<true> la = {w, m0, g.outC, g.taps, vector_w != 0};
  Windows<T, X> lb(x, tap, pixel, g, n0, columns);
  float acc[T::TM][T::TN];
  clear(acc);
  tile.multiply(acc, la, lb, 0, g.taps);
  put_pixels(tile, acc, y, m0, g.outC, n0, columns, plane, accumulate, epilogue);
}

// conv_forward computes y. Grid: (⌈n·outH·outW/BN⌉, ⌈outC/BM⌉).
KERNEL __launch_bounds__(Wide::SIZE)
    conv_forward(float *y, const float *x, const float *w, const Tap *tap, const Pixel *pixel, int n, GEOM, int accumulate,
                 int vector_w, const float *bias, int func, const float *mask, int mask_func) {
  const Geom g = GEOM_OF;
  const Stored stored = {x, g.inC * g.inH * g.inW};
  forward_tile(blockIdx.x, y, stored, w, tap, pixel, n, g, accumulate, vector_w, {bias, mask, func, mask_func});
}

// gather_conv makes a batch and is conv_forward with its samples as x: see step.cu. Grid:
// that of conv_forward with n more along x.
KERNEL __launch_bounds__(Wide::SIZE)
    gather_conv(BATCH_PARAMETERS, float *y, const float *w, const Tap *tap, const Pixel *pixel, GEOM, int accumulate, int vector_w,
                const float *bias, int func, const float *mask, int mask_func) {
  const Batch batch = BATCH_OF;
  const Geom g = GEOM_OF;
  const int tiles = gridDim.x - batch.n;
  if ((int)blockIdx.x >= tiles) {
    if (blockIdx.y == 0) batch.gather(blockIdx.x - tiles);
    return;
  }
  const Sampled sampled = {batch};
  forward_tile(blockIdx.x, y, sampled, w, tap, pixel, batch.n, g, accumulate, vector_w, {bias, mask, func, mask_func});
}

// Flipped loads A of the product for dx, inC × (outC·kH·kW): the weights of input
// channel m.
struct Flipped {
  static const bool ALONG_K = true;
  const float *w;
  const Tap *taps;
  int first, count, window; // window is kH·kW

  __device__ Four load(int i, int k, int k1) const {
    Four f;
#pragma unroll
    for (int j = 0; j < 4; j++) f.v[j] = first + i < count && k + j < k1 ? w[taps[k + j].weight + (first + i) * window] : 0.f;
    return f;
  }
};

// Spread loads B of the product for dx, (outC·kH·kW) × (n·inH·inW): dy at the
// window in which tap k lies on the column's place, if there is one.
template <class T> struct Spread {
  static const bool ALONG_K = false;
  const float *dy;
  const Tap *taps;
  int outH, outW, strideH, strideW, h[4], w[4];
  int base[4];

  __device__ Spread(const float *dy, const Tap *taps, const Geom &g, int n0, int columns)
      : dy(dy), taps(taps), outH(g.outH), outW(g.outW), strideH(g.strideH), strideW(g.strideW) {
    const int plane = g.inH * g.inW, sample = g.outC * g.outH * g.outW;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int column = n0 + threadIdx.x % (T::BN / 4) * 4 + j, at = column % plane;
      h[j] = column < columns ? at / g.inW + g.padH : -1;
      w[j] = at % g.inW + g.padW;
      base[j] = column / plane * sample;
    }
  }
  __device__ Four load(int, int k, int k1) const {
    Four f = {{0, 0, 0, 0}};
    if (k >= k1) return f;
    const Tap t = taps[k];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int p = h[j] - t.h, q = w[j] - t.w;
      if (p < 0 || q < 0) continue;
      if (strideH != 1 || strideW != 1) {
        if (p % strideH || q % strideW) continue;
        p /= strideH, q /= strideW;
      }
      if (p < outH && q < outW) f.v[j] = dy[base[j] + t.offset + p * outW + q];
    }
    return f;
  }
};

KERNEL __launch_bounds__(Wide::SIZE)
    conv_input(float *dx, const float *dy, const float *w, const Tap *tap, int n, GEOM, int window, int accumulate,
               const float *bias, int func, const float *mask, int mask_func) {
  typedef Wide T;
  __shared__ T tile;
  const Geom g = GEOM_OF;
  const int plane = g.inH * g.inW, columns = n * plane;
  const int m0 = blockIdx.y * T::BM, n0 = blockIdx.x * T::BN;
  Flipped la = {w, tap, m0, g.inC, window};
  Spread<T> lb(dy, tap, g, n0, columns);
  float acc[T::TM][T::TN];
  clear(acc);
  tile.multiply(acc, la, lb, 0, g.taps);
  put_pixels(tile, acc, dx, m0, g.inC, n0, columns, plane, accumulate, {bias, mask, func, mask_func});
}

// Unfolded loads B of the product for dw of one sample, (outH·outW) × taps: x
// under the column's tap of window k.
struct Unfolded {
  static const bool ALONG_K = true;
  const float *x; // of the sample
  const Tap *taps;
  const Pixel *pixels;
  int first, count, inH, inW;

  __device__ Four load(int i, int k, int k1) const {
    Four f = {{0, 0, 0, 0}};
    if (first + i >= count) return f;
    const Tap t = taps[first + i];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (k + j >= k1) break;
      const Pixel p = pixels[k + j];
      if ((u32)(p.h + t.h) < (u32)inH && (u32)(p.w + t.w) < (u32)inW) f.v[j] = x[p.offset + t.offset];
    }
    return f;
  }
};

// conv_weight computes the gradient of the weights over each group of samples and
// each of so many parts of the pixels, groups×parts×outC×taps. Where groups are single
// samples, whole, and squares is not null, it also stores the sum of squares of each
// block's part: squares[sample·blocks + block], blocks = gridDim.x·gridDim.y. Grid:
// (⌈taps/BN⌉, ⌈outC/BM⌉, ⌈n/group⌉·parts).
KERNEL __launch_bounds__(Wide::SIZE)
    conv_weight(float *dw, const float *x, const float *dy, const Tap *tap, const Pixel *pixel, int n, GEOM, int group,
                int parts, int vector_dy, double *squares) {
  typedef Wide T;
  __shared__ T tile;
  __shared__ double scratch[32];
  const Geom g = GEOM_OF;
  const int plane = g.outH * g.outW, m0 = blockIdx.y * T::BM, n0 = blockIdx.x * T::BN;
  const int i0 = blockIdx.z / parts * group, i1 = min(n, i0 + group);
  const int step = ceil_div(ceil_div(plane, parts), T::BK) * T::BK;
  const int p1 = min(plane, (int)(blockIdx.z % parts + 1) * step), p0 = min(p1, (int)(blockIdx.z % parts) * step);
  float acc[T::TM][T::TN];
  clear(acc);
  for (int i = i0; i < i1; i++) {
    Rows<true> la = {dy + (u64)i * g.outC * plane, m0, g.outC, plane, vector_dy != 0};
    Unfolded lb = {x + (u64)i * g.inC * g.inH * g.inW, tap, pixel, n0, g.taps, g.inH, g.inW};
    tile.multiply(acc, la, lb, p0, p1);
  }
  float *out = dw + (u64)blockIdx.z * g.outC * g.taps;
#pragma unroll
  for (int i = 0; i < T::TM; i++)
#pragma unroll
    for (int j = 0; j < T::TN; j++) {
      const int o = m0 + T::row() + i, column = n0 + T::column() + j;
      if (o < g.outC && column < g.taps) out[(u64)o * g.taps + column] = acc[i][j];
    }
  if (!squares) return;
  double sum = 0; // what lies outside is 0
#pragma unroll
  for (int i = 0; i < T::TM; i++)
#pragma unroll
    for (int j = 0; j < T::TN; j++) sum += (double)acc[i][j] * acc[i][j];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) squares[((u64)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] = sum;
}

#undef GEOM
#undef GEOM_OF
