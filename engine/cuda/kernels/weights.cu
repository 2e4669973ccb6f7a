// Gradients of convolutions' weights,
//
//   dw[o,c,r,s] = Σ_{p,q} dy[o,p,q]·x[c, p·strideH + r·dilH − padH, q·strideW + s·dilW − padW]
//
// by groups of samples, and sums over planes; what adds them up is in tasks.cu.
#include "conv.cuh"
#include "planes.cuh"

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
    int at[4];
    bool in[4];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const Pixel p = pixels[min(k + j, k1 - 1)];
      in[j] = k + j < k1 && (u32)(p.h + t.h) < (u32)inH && (u32)(p.w + t.w) < (u32)inW;
      at[j] = p.offset + t.offset;
    }
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (in[j]) f.v[j] = x[at[j]];
    return f;
  }
};

// Division is how a gradient is made from shared memory (direct_weights): a block makes
// those of quads·4 channels of y and so many of x. Of each sample's rows it takes so many at
// a time, rows of dy line apart and those of x x_line, and planes of dy apart; and among its slices
// they go in turns.
struct Division {
  int size; // the edge of the windows, 3 or 5; 0 where it is not made so
  int quads, channels, slices, rows, line, x_line, apart;
};

// WeightTask is gradients of a convolution's weights, groups×parts×outC×taps: over each
// group of samples and each of so many parts of their pixels, or rows of them where they are made from
// shared memory. Its blocks, from first on, are across for each, blocks in all. Where groups are
// single samples, whole, and squares is not null, it also stores the sum of squares of each block's
// part: squares[sample·across + block]. deep says that one tile of that kind holds
// outC×taps.
struct WeightTask {
  float *dw;
  const float *x, *dy;
  const Tap *taps;
  const Pixel *pixels;
  double *squares;
  Geom g;
  int n, group, parts, vector_dy, deep, first, blocks, across;
  Division d;
};

// weight_tile makes block `block` of the task.
template <class T> __device__ void weight_tile(const WeightTask &t, int block, T &tile) {
  __shared__ double scratch[1][32];
  const Geom &g = t.g;
  const int across = ceil_div(g.taps, T::BN), place = block % t.across, z = block / t.across;
  const int plane = g.outH * g.outW, m0 = place / across * T::BM, n0 = place % across * T::BN;
  const int i0 = z / t.parts * t.group, i1 = min(t.n, i0 + t.group);
  const int step = ceil_div(ceil_div(plane, t.parts), T::BK) * T::BK;
  const int p1 = min(plane, (z % t.parts + 1) * step), p0 = min(p1, z % t.parts * step);
  float acc[T::TM][T::TN];
  clear(acc);
  for (int i = i0; i < i1; i++) {
    Rows<true> la = {t.dy + (u64)i * g.outC * plane, m0, g.outC, plane, t.vector_dy != 0};
    Unfolded lb = {t.x + (u64)i * g.inC * g.inH * g.inW, t.taps, t.pixels, n0, g.taps, g.inH, g.inW};
    tile.multiply(acc, la, lb, p0, p1);
  }
  tile.stage(acc);
  float *out = t.dw + (u64)z * g.outC * g.taps;
  double sum = 0;
  for (int e = threadIdx.x; e < T::BM * T::BN; e += T::SIZE) {
    const int o = m0 + e / T::BN, column = n0 + e % T::BN;
    if (o >= g.outC || column >= g.taps) continue;
    const float v = tile.at(e / T::BN, e % T::BN);
    out[(u64)o * g.taps + column] = v;
    sum += (double)v * v;
  }
  if (!t.squares) return;
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) t.squares[block] = sum;
}

// Shelf is room in shared memory for rows of some planes of dy and of x, and then for the
// sums of slices.
struct alignas(16) Shelf {
  static const int SIZE = 7168;
  float at[SIZE];
};

// PlanesOf is planes of H×W which begin at from, the first of their rows being row0 and of those
// element −pad. They can be loaded by fours where fours is true.
struct PlanesOf {
  const float *from;
  int H, W, row0, pad;
  struct Element {
    bool there;
    const float *p;
    int plane;
    template <int WIDTH> __device__ Side<WIDTH> at(int c) const { return side<WIDTH>(p + c * plane); }
  };
  __device__ Element element(int row, int place) const {
    const int h = row0 + row, k = place - pad;
    const bool there = (u32)h < (u32)H && (u32)k < (u32)W;
    return {there, from + (there ? h * W + k : 0), H * W};
  }
  __device__ bool fours() const { return W % 4 == 0 && pad % 4 == 0 && aligned(from); }
};

// load loads rows of count such planes.
__device__ inline void load(float *to, int apart, int line, int rows, int count, const PlanesOf &x) {
  if (x.fours()) load_planes<4>(to, apart, line, rows, count, x);
  else load_planes<1>(to, apart, line, rows, count, x);
}

// direct_weights makes block `block` of a task of stride 1 whose windows are K×K, from shared
// memory. A thread has four channels of y, one of x and one row of the windows: with four numbers
// of each of those channels, side by side, and eight of x it has 16·K multiplications.
template <int K> __device__ void direct_weights(const WeightTask &t, int block, Shelf &shelf) {
  __shared__ double scratch[1][32];
  const Geom &g = t.g;
  const Division &d = t.d;
  const int columns = ceil_div(g.inC, d.channels), place = block % t.across, z = block / t.across;
  const int m0 = place / columns * 4 * d.quads, c0 = place % columns * d.channels;
  const int outs = min(4 * d.quads, g.outC - m0), ins = min(d.channels, g.inC - c0);
  const int i0 = z / t.parts * t.group, i1 = min(t.n, i0 + t.group), part = z % t.parts;
  const int from = part * g.outH / t.parts, end = (part + 1) * g.outH / t.parts;
  const int units = K * d.quads * d.channels, unit = threadIdx.x % units, slice = threadIdx.x / units;
  const int r = unit % K, quad = unit / K % d.quads, c = unit / (K * d.quads);
  const bool active = slice < d.slices && quad < outs && c < ins;
  const int x_apart = (d.rows + K - 1) * d.x_line;
  float *dy = shelf.at, *x = shelf.at + 4 * d.quads * d.apart;
  float acc[4][K] = {};
  // The planes of channels that there are not are zero, so that none is asked about in the loop.
  for (int e = threadIdx.x; e < (4 * d.quads - outs) * d.apart; e += blockDim.x) dy[outs * d.apart + e] = 0;
  for (int i = i0; i < i1; i++)
    for (int p0 = from; p0 < end; p0 += d.rows) {
      const int rows = min(d.rows, end - p0);
      __syncthreads();
      load(dy, d.apart, d.line, rows, outs, {t.dy + ((u64)i * g.outC + m0) * g.outH * g.outW, g.outH, g.outW, p0, 0});
      load(x, x_apart, d.x_line, rows + K - 1, ins, {t.x + ((u64)i * g.inC + c0) * g.inH * g.inW, g.inH, g.inW, p0 - g.padH, g.padW});
      __syncthreads();
      for (int p = slice; active && p < rows; p += d.slices) {
        const float *line = x + c * x_apart + (p + r) * d.x_line, *up = dy + quad * d.apart + p * d.line;
#pragma unroll 2
        for (int q = 0; q < g.outW; q += 4) {
          const float4 a = *(const float4 *)(line + q), b = *(const float4 *)(line + q + 4);
          const float v[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
          for (int j = 0; j < 4; j++) {
            const float4 f = *(const float4 *)(up + j * d.quads * d.apart + q);
#pragma unroll
            for (int s = 0; s < K; s++) acc[j][s] = fmaf(f.x, v[s], fmaf(f.y, v[s + 1], fmaf(f.z, v[s + 2], fmaf(f.w, v[s + 3], acc[j][s]))));
          }
        }
      }
    }
  // The slices are added in order.
  __syncthreads();
  if (slice > 0 && active) {
#pragma unroll
    for (int k = 0; k < 4 * K; k++) shelf.at[((slice - 1) * 4 * K + k) * units + unit] = acc[k / K][k % K];
  }
  __syncthreads();
  double sum = 0;
  if (slice == 0 && active) {
    for (int s = 1; s < d.slices; s++) {
#pragma unroll
      for (int k = 0; k < 4 * K; k++) acc[k / K][k % K] += shelf.at[((s - 1) * 4 * K + k) * units + unit];
    }
    float *out = t.dw + (u64)z * g.outC * g.taps + (u64)m0 * g.taps + (c0 + c) * K * K + r * K;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int m = quad + j * d.quads;
      if (m >= outs) break;
#pragma unroll
      for (int s = 0; s < K; s++) {
        out[(u64)m * g.taps + s] = acc[j][s];
        sum += (double)acc[j][s] * acc[j][s];
      }
    }
  }
  if (!t.squares) return;
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) t.squares[block] = sum;
}

// RowTask is sums of rows: out[r] = Σ_c x[r,c]; they are blocks from first on, a row for
// each warp.
struct RowTask {
  float *out;
  const float *x;
  int rows, cols, first, unused;
};

union Tiles {
  Wide wide;
  Deep deep;
};

// sum_rows is a block's rows of sums.
__device__ inline void sum_rows(const RowTask &t, int block) {
  const int r = block * (Wide::SIZE / 32) + (int)(threadIdx.x >> 5), lane = threadIdx.x & 31;
  if (r >= t.rows) return;
  const float *x = t.x + (u64)r * t.cols;
  double sum = 0;
  for (int c = lane; c < t.cols; c += 32) sum += x[c];
  sum = warp_sum(sum);
  if (lane == 0) t.out[r] = (float)sum;
}

// sample_tasks does gradients of convolutions' weights by groups of samples, all of them from shared
// memory, and then sums of rows, such as those of a sample's planes: what other sums are
// made of afterwards. sample_tiles does those gradients that are products of unfolded matrices; it
// is another kernel, as it needs many more registers. Grid: the blocks of all tasks, of
// Wide::SIZE threads.
#define SAMPLE_TASKS(name, make)                                                                                             \
  KERNEL __launch_bounds__(Wide::SIZE) name(const WeightTask *weights, int weight_count, const RowTask *rows, int row_count) { \
    const int block = blockIdx.x;                                                                                            \
    if (weight_count > 0 && (row_count == 0 || block < rows[0].first)) {                                                     \
      const WeightTask &t = weights[task_of(weights, weight_count, block)];                                                  \
      make(t, block - t.first);                                                                                              \
      return;                                                                                                                \
    }                                                                                                                        \
    const RowTask &t = rows[task_of(rows, row_count, block)];                                                                \
    sum_rows(t, block - t.first);                                                                                            \
  }

__device__ inline void direct_task(const WeightTask &t, int block) {
  __shared__ Shelf shelf;
  if (t.d.size == 3) direct_weights<3>(t, block, shelf);
  else direct_weights<5>(t, block, shelf);
}
__device__ inline void tile_task(const WeightTask &t, int block) {
  __shared__ Tiles tiles;
  if (t.deep) weight_tile(t, block, tiles.deep);
  else weight_tile(t, block, tiles.wide);
}

SAMPLE_TASKS(sample_tasks, direct_task)
SAMPLE_TASKS(sample_tiles, tile_task)

#undef SAMPLE_TASKS
