// Convolutions of stride 1 with windows of 3×3 or 5×5, and their gradients at the input,
// straight from shared memory: a number read from there is used for all the windows that
// it lies in, where an unfolded product (conv.cu) fetches it anew for each.
//
//   out[m,p,q] = Σ_{c,r,s} x[c, p + r − padH, q + s − padW]·window[m,c,r,s]
//
// for each of n samples; x is n×C×H×W, out n×M×P×Q. Where there is a second x with its
// windows, of as many channels, their sum is added. Forward the windows are w[m,c,·,·]; for
// the gradient x is dy, padded by K − 1 less what the convolution is, and the windows are
// w[c,m,·,·] turned by half a turn.
#include "batch.cuh"
#include "planes.cuh"

// Direct is the convolution and how it is divided. A block makes 16 channels of a stretch
// of so many quads, four pixels that are neighbours in a row: some of one sample, or all of
// so many samples together. Four channels of a quad are made by as many threads as there
// are parts, each for its share of the channels of x, which are taken a chunk at a time.
struct Direct {
  int n, C, H, W, M, P, Q, padH, padW;
  int total;                      // channels summed over: C, or 2·C with a second x
  int window_m, window_c, turned; // where the windows of m and c begin, and whether they are turned
  int quads, together, parts, chunk;
  int rows, stride; // of x in shared memory: so many rows of a plane, and how far they are apart
  int vector;       // rows of out, and of a mask, start at multiples of 16 bytes
};

#define DIRECT                                                                                                            \
  int samples_, int C, int H, int W, int M, int P, int Q, int padH, int padW, int total, int window_m, int window_c, int turned, int quads, \
      int together, int parts, int chunk, int rows, int stride, int vector
#define DIRECT_OF {samples_, C, H, W, M, P, Q, padH, padW, total, window_m, window_c, turned, quads, together, parts, chunk, rows, stride, vector}

// Room is shared memory: a chunk of x, of at most CHANNELS channels, and the windows of 16
// channels in it, LD apart, and then the sums of the parts.
struct alignas(16) Room {
  static const int X = 6144, CHANNELS = 8, LD = 20, WINDOWS = CHANNELS * 25 * LD;
  float x[X], windows[WINDOWS];
};

// Planar is x as an array, and a second one, whose channels follow, or null; Sampled is that
// of a batch in the data set. Their Element is one of a sample's plane, in all channels; those of
// WIDTH side by side begin at multiples of as many.
struct Planar {
  const float *x, *second;
  int C, H, W;
  struct Element {
    const float *x, *second; // of channel 0; and of channel C, less C planes
    int C, plane;
    template <int WIDTH> __device__ Side<WIDTH> at(int c) const { return side<WIDTH>((c < C ? x : second) + c * plane); }
  };
  __device__ Element element(int sample, int h, int k) const {
    const int place = (sample * C * H + h) * W + k;
    return {x + place, second + place - C * H * W, C, H * W};
  }
  __device__ bool fours() const { return W % 4 == 0 && aligned(x) && aligned(second); }
};
struct Sampled {
  const Batch &batch;
  int H, W;
  struct Element {
    const unsigned char *x;
    const float *table;
    int plane;
    template <int WIDTH> __device__ Side<WIDTH> at(int c) const {
      Side<WIDTH> v;
#pragma unroll
      for (int j = 0; j < WIDTH; j++) v.v[j] = table[c * 256 + x[c * plane + j]];
      return v;
    }
  };
  __device__ Element element(int sample, int h, int k) const {
    return {batch.pixels + (u64)batch.index(sample) * batch.size + h * W + k, batch.table, H * W};
  }
  __device__ bool fours() const { return W % 4 == 0; }
};

// Chunk is what load_planes is to load of x: rows of samples, from channel c0 on.
template <class X> struct Chunk {
  const X &x;
  const Direct &g;
  int sample0, row0, c0;
  struct Element {
    bool there;
    typename X::Element of;
    int c0;
    template <int WIDTH> __device__ Side<WIDTH> at(int c) const { return of.template at<WIDTH>(c0 + c); }
  };
  __device__ Element element(int row, int place) const {
    const int s = sample0 + row / g.rows, h = row0 + row % g.rows - g.padH, k = place - g.padW;
    const bool there = s < g.n && (u32)h < (u32)g.H && (u32)k < (u32)g.W;
    return {there, x.element(there ? s : 0, there ? h : 0, there ? k : 0), c0};
  }
};

// load_four returns four elements, the first count of which are there; vector says that all
// are and that they start at a multiple of 16 bytes.
__device__ inline float4 load_four(const float *p, int count, int vector) {
  if (vector) return *(const float4 *)p;
  return {p[0], count > 1 ? p[1] : 0.f, count > 2 ? p[2] : 0.f, count > 3 ? p[3] : 0.f};
}

// direct makes block `block` of out.
template <int K, class X>
__device__ void direct(int block, const Direct &g, float *out, const X &x, const float *w, const float *second, int accumulate,
                       const Epilogue &e) {
  __shared__ Room room;
  const int across = ceil_div(g.Q, 4), all = across * g.P, stretches = ceil_div(g.together * all, g.quads), groups = ceil_div(g.M, 16);
  const int sample0 = block / (stretches * groups) * g.together, m0 = block / stretches % groups * 16;
  const int quad0 = block % stretches * g.quads, row0 = quad0 / across; // 0 where samples are together
  const int units = 4 * g.quads, part = threadIdx.x / units, unit = threadIdx.x % units;
  const int group = unit / g.quads * 4, local = (quad0 + unit % g.quads) / all, quad = (quad0 + unit % g.quads) % all;
  const int sample = sample0 + local, row = quad / across, column = quad % across * 4;
  const bool inside = local < g.together && sample < g.n;
  const int plane_size = g.together * g.rows * g.stride;
  const bool fours = x.fours() && g.padW % 4 == 0;
  const int windows = 32 / (K * K), lane = threadIdx.x & 31, at = lane % (K * K), place = g.turned ? K * K - 1 - at : at;
  const int lanes = (blockDim.x >> 5) * windows, sharers = max(1, lanes / 16);
  const int mine = lane < windows * K * K ? (threadIdx.x >> 5) * windows + lane / (K * K) : 16 * sharers; // or none
  const int share = sharers > 1 ? mine / 16 : 0;
  float acc[4][4];
  clear(acc);
  for (int c0 = 0; c0 < g.total; c0 += g.chunk) {
    const int count = min(g.chunk, g.total - c0);
    __syncthreads();
    // A warp takes the places of one window, or of as many windows as it has threads for, in all
    // channels of the chunk, or in as many of these as there are warps for. What it takes is asked
    // for before what came first is stored, as each is a trip to the second-level cache.
    float v[Room::CHANNELS];
    const auto ask = [&](int m) {
      const bool there = m0 + m < g.M;
      const float *first = w + (there ? (m0 + m) * g.window_m + place : 0), *then = second + (first - w) - g.C * g.window_c;
#pragma unroll
      for (int j = 0; j < Room::CHANNELS; j++) {
        const int c = share + j * sharers;
        v[j] = there && c < count ? (c0 + c < g.C ? first : then)[(c0 + c) * g.window_c] : 0.f;
      }
    };
    int m = share < sharers ? (sharers > 1 ? mine % 16 : mine) : 16;
    if (m < 16) ask(m);
    const Chunk<X> part_of_x = {x, g, sample0, row0, c0};
    if (fours) load_planes<4>(room.x, plane_size, g.stride, g.together * g.rows, count, part_of_x);
    else load_planes<1>(room.x, plane_size, g.stride, g.together * g.rows, count, part_of_x);
    while (m < 16) {
#pragma unroll
      for (int j = 0; j < Room::CHANNELS; j++) {
        const int c = share + j * sharers;
        if (c < count) room.windows[(c * K * K + at) * Room::LD + m] = v[j];
      }
      m += lanes;
      if (m < 16) ask(m);
    }
    __syncthreads();
    for (int c = part; inside && c < count; c += g.parts) {
      const float *line = room.x + ((c * g.together + local) * g.rows + row - row0) * g.stride + column, *window = room.windows + c * K * K * Room::LD + group;
#pragma unroll
      for (int r = 0; r < K; r++) {
        const float4 a = *(const float4 *)(line + r * g.stride), b = *(const float4 *)(line + r * g.stride + 4);
        const float v[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
        for (int s = 0; s < K; s++) {
          const float4 f = *(const float4 *)(window + (r * K + s) * Room::LD);
#pragma unroll
          for (int j = 0; j < 4; j++) {
            acc[0][j] = fmaf(f.x, v[s + j], acc[0][j]);
            acc[1][j] = fmaf(f.y, v[s + j], acc[1][j]);
            acc[2][j] = fmaf(f.z, v[s + j], acc[2][j]);
            acc[3][j] = fmaf(f.w, v[s + j], acc[3][j]);
          }
        }
      }
    }
  }
  // The parts are added in order. A unit's numbers are its own, wherever they lie.
  float *sums = (float *)&room + unit;
  __syncthreads();
  if (part > 0) {
#pragma unroll
    for (int i = 0; i < 16; i++) sums[((part - 1) * 16 + i) * units] = acc[i / 4][i % 4];
  }
  __syncthreads();
  if (part > 0 || !inside) return;
  for (int k = 1; k < g.parts; k++) {
#pragma unroll
    for (int i = 0; i < 16; i++) acc[i / 4][i % 4] += sums[((k - 1) * 16 + i) * units];
  }
  const int valid = g.Q - column, m1 = m0 + group;
  const u64 first = (((u64)sample * g.M + m1) * g.P + row) * g.Q + column, plane = (u64)g.P * g.Q;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const bool in = m1 + i < g.M;
    float4 before = {0, 0, 0, 0};
    if (accumulate && in) before = load_four(out + first + i * plane, valid, g.vector);
    const float bias = e.bias && in ? e.bias[m1 + i] : 0.f;
    acc[i][0] += before.x + bias, acc[i][1] += before.y + bias, acc[i][2] += before.z + bias, acc[i][3] += before.w + bias;
  }
  if (e.func > RELU) { // one by one, in shared memory: sixteen copies of these functions would be most of the code
#pragma unroll
    for (int i = 0; i < 16; i++) sums[i * units] = acc[i / 4][i % 4];
#pragma unroll 1
    for (int i = 0; i < 16; i++) sums[i * units] = curve(e.func, sums[i * units]);
#pragma unroll
    for (int i = 0; i < 16; i++) acc[i / 4][i % 4] = sums[i * units];
  }
  float factor[4][4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    float4 y = {1, 1, 1, 1};
    const bool masked = e.mask && m1 + i < g.M;
    if (masked) y = load_four(e.mask + first + i * plane, valid, g.vector);
    const int f = masked ? e.mask_func : IDENTITY;
    factor[i][0] = slope(f, y.x), factor[i][1] = slope(f, y.y), factor[i][2] = slope(f, y.z), factor[i][3] = slope(f, y.w);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (m1 + i >= g.M) break;
    float y[4];
#pragma unroll
    for (int j = 0; j < 4; j++) y[j] = (e.func == RELU && acc[i][j] < 0 ? 0.f : acc[i][j]) * factor[i][j];
    float *p = out + first + i * plane;
    if (g.vector) *(float4 *)p = float4{y[0], y[1], y[2], y[3]};
    else
#pragma unroll
      for (int j = 0; j < 4; j++)
        if (j < valid) p[j] = y[j];
  }
}

// MOST_THREADS is how many threads a block has at most.
#define MOST_THREADS 384

// direct_3 and direct_5 compute out, or add it there, with an epilogue. Grid:
// ⌈n/together⌉·⌈M/16⌉·⌈together·quads of a sample/quads⌉ blocks of 4·quads·parts threads. gather_direct_3 and
// gather_direct_5 do it for the samples of a batch, which they make on the way, see step.cu;
// their grids have n blocks more.
#define DIRECT_KERNELS(K)                                                                                                  \
  KERNEL __launch_bounds__(MOST_THREADS, 2)                                                                                \
      direct_##K(float *out, const float *x, const float *w, const float *x2, const float *w2, DIRECT, int accumulate,    \
                 const float *bias, int func, const float *mask, int mask_func) {                                         \
    const Direct g = DIRECT_OF;                                                                                            \
    const Planar planar = {x, x2, C, H, W};                                                                                \
    direct<K>(blockIdx.x, g, out, planar, w, w2, accumulate, {bias, mask, func, mask_func});                             \
  }                                                                                                                       \
  KERNEL __launch_bounds__(MOST_THREADS, 2)                                                                                \
      gather_direct_##K(BATCH_PARAMETERS, float *out, const float *w, DIRECT, int accumulate, const float *bias, int func, \
                        const float *mask, int mask_func) {                                                               \
    const Batch batch = BATCH_OF;                                                                                          \
    const Direct g = DIRECT_OF;                                                                                            \
    const int blocks = gridDim.x - batch.n;                                                                               \
    if ((int)blockIdx.x >= blocks) {                                                                                      \
      batch.gather(blockIdx.x - blocks);                                                                                  \
      return;                                                                                                             \
    }                                                                                                                     \
    const Sampled sampled = {batch, H, W};                                                                                \
    direct<K>(blockIdx.x, g, out, sampled, w, w, accumulate, {bias, mask, func, mask_func});                              \
  }

DIRECT_KERNELS(3)
DIRECT_KERNELS(5)

#undef DIRECT_KERNELS
#undef DIRECT
#undef DIRECT_OF
