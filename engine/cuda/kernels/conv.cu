// Convolutions as products of matrices that are never stored (implicit GEMM); those that
// direct.cu can do are done there.
//
//   y[o,p,q] = Σ_{c,r,s} x[c, p·strideH + r·dilH − padH, q·strideW + s·dilW − padW]·w[o,c,r,s]
//
// for each of n samples; x is n×inC×inH×inW, w outC×inC×kH×kW, y n×outC×outH×outW.
#include "conv.cuh"

#define GEOM int inC, int inH, int inW, int outC, int outH, int outW, int strideH, int strideW, int padH, int padW, int taps
#define GEOM_OF {inC, inH, inW, outC, outH, outW, strideH, strideW, padH, padW, taps}

// Windows loads B of the forward product, taps × (n·outH·outW): x under tap k of
// the window at the column. The four columns of a thread are always the same.
template <class T> struct Windows {
  static const bool ALONG_K = false;
  const float *x;
  const Tap *taps;
  int inH, inW, h[4], w[4];
  int base[4]; // of the window's corner

  __device__ Windows(const float *x, const Tap *taps, const Pixel *pixels, const Geom &g, int n0, int columns)
      : x(x), taps(taps), inH(g.inH), inW(g.inW) {
    const int plane = g.outH * g.outW, sample = g.inC * g.inH * g.inW;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int column = n0 + threadIdx.x % (T::BN / 4) * 4 + j;
      const bool in = column < columns;
      const Pixel p = pixels[in ? column % plane : 0];
      h[j] = in ? p.h : -(1 << 29), w[j] = p.w; // no row is inside for a column outside
      base[j] = in ? column / plane * sample + p.offset : 0;
    }
  }
  __device__ Four load(int, int k, int k1) const {
    Four f = {{0, 0, 0, 0}};
    if (k >= k1) return f;
    const Tap t = taps[k];
#pragma unroll
    for (int j = 0; j < 4; j++)
      if ((u32)(h[j] + t.h) < (u32)inH && (u32)(w[j] + t.w) < (u32)inW) f.v[j] = x[base[j] + t.offset];
    return f;
  }
};

// Planes is the place of channels × (samples·pixels), of which a tile has those from m0 and
// n0 on, in an array samples × channels × plane. All of a thread's elements are of one
// pixel.
template <class T> struct Planes {
  int m0, channels, plane;
  bool column; // that is inside
  int first;   // place of its channel 0

  __device__ Planes(int m0, int channels, int n0, int columns, int plane) : m0(m0), channels(channels), plane(plane) {
    static_assert(T::SIZE % T::BN == 0, "whole rows of a tile at a time");
    const int c = n0 + threadIdx.x % T::BN;
    column = c < columns;
    first = c / plane * channels * plane + c % plane;
  }
  __device__ bool inside(int r, int) const { return column && m0 + r < channels; }
  __device__ bool fours() const { return false; } // a thread has one column
  __device__ int at(int r, int) const { return first + (m0 + r) * plane; }
  __device__ int channel(int r, int) const { return m0 + r; }
};

// conv_forward computes y. Grid: (⌈n·outH·outW/BN⌉, ⌈outC/BM⌉).
KERNEL __launch_bounds__(Wide::SIZE)
    conv_forward(float *y, const float *x, const float *w, const Tap *tap, const Pixel *pixel, int n, GEOM, int accumulate,
                 int vector_w, const float *bias, int func, const float *mask, int mask_func) {
  typedef Wide T;
  __shared__ T tile;
  const Geom g = GEOM_OF;
  const int plane = g.outH * g.outW, columns = n * plane;
  const int m0 = blockIdx.y * T::BM, n0 = blockIdx.x * T::BN;
  Rows<true> la = {w, m0, g.outC, g.taps, vector_w != 0};
  Windows<T> lb(x, tap, pixel, g, n0, columns);
  float acc[T::TM][T::TN];
  clear(acc);
  tile.multiply(acc, la, lb, 0, g.taps);
  tile.stage(acc);
  put(tile, y, accumulate, {bias, mask, func, mask_func}, Planes<T>(m0, g.outC, n0, columns, plane));
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
  tile.stage(acc);
  put(tile, dx, accumulate, {bias, mask, func, mask_func}, Planes<T>(m0, g.inC, n0, columns, plane));
}

#undef GEOM
#undef GEOM_OF
