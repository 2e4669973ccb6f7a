// The product of two matrices that loaders describe, one tile of it a block:
//
//   acc = Σ_{k0 ≤ k < k1} A[m,k]·B[k,n]
//
// A loader returns four consecutive elements of its matrix along the axis that
// is contiguous in memory, zeros outside: for A along k if ALONG_K is set, else
// along m; for B along n, or along k. So the same loop multiplies stored
// matrices of every orientation and the matrices that a convolution unfolds to,
// which are never stored (implicit GEMM; Chetlur et al. 2014, arXiv:1410.0759).
#pragma once
#include "common.cuh"

struct Four { float v[4]; };

// A loader may be simple: simple_load then asks no more than whether k is before k1, and for rows
// or columns outside, whose elements nobody looks at, returns others once more. Most are not.
template <class L> __device__ inline bool simple(const L &) { return false; }
template <class L> __device__ inline Four simple_load(const L &, int i, int k, int k1) { return {}; }

// Tile is BM×BN elements of the result, made by BM·BN/16 threads of 4×4 elements each, in
// steps of BK along k; where SLICES > 1, as many times the threads, each with a slice of every step, are added up at the end, in order.
// Two steps are in shared memory: one is
// being multiplied while the next comes from device memory by way of registers.
// Loads of several elements from shared memory need its alignment, which the compiler
// gives to nothing smaller than float4 by itself.
template <int BM_, int BN_, int BK_, int SLICES = 1> struct alignas(16) Tile {
  static const int BM = BM_, BN = BN_, BK = BK_, TM = 4, TN = 4;
  static const int EACH = (BM / TM) * (BN / TN);     // threads that make all elements
  static const int SIZE = EACH * SLICES;             // threads of a block
  static const int LDA = BM + 4, LDB = BN + 4;       // rows in shared memory, padded
  static const int FOURS_A = BM * BK / 4 / SIZE, FOURS_B = BN * BK / 4 / SIZE;

  // Threads of a warp are 4×8 to a tile, so that what they load from shared memory at
  // once is 4 and 8 neighbouring groups.
  static const int ACROSS = BN / TN / 8;

  float a[2][BK * LDA], b[2][BK * LDB];

  // place and group are where the v-th four along k of a factor of so many rows lie in a
  // step: two neighbours in a row, then the next row. With rows padded by 4, the stores
  // of a warp's fours fall into different banks.
  template <int WIDTH> static __device__ int place(int v) { return v / 2 % WIDTH; }
  template <int WIDTH> static __device__ int group(int v) { return (v % 2 + v / (2 * WIDTH) * 2) * 4; }

  // load_factor asks for this thread's part of one factor's step at k.
  template <int WIDTH, int FOURS, class L> static __device__ void load_factor(L &l, int k, int k1, Four *f) {
    const int t = threadIdx.x;
#pragma unroll
    for (int i = 0; i < FOURS; i++) {
      const int v = t + i * SIZE;
      const int at = L::ALONG_K ? place<WIDTH>(v) : v % (WIDTH / 4) * 4, kk = k + (L::ALONG_K ? group<WIDTH>(v) : v / (WIDTH / 4));
      f[i] = simple(l) ? simple_load(l, at, kk, k1) : l.load(at, kk, k1);
    }
  }

  template <class A, class B>
  __device__ void load(A &la, B &lb, int k, int k1, Four *fa, Four *fb) const {
    load_factor<BM, FOURS_A>(la, k, k1, fa);
    load_factor<BN, FOURS_B>(lb, k, k1, fb);
  }

  template <bool ALONG_K, int WIDTH, int LD>
  static __device__ void put(float *s, int v, const Four &f) {
#pragma unroll
    for (int j = 0; j < 4; j++) {
      if (ALONG_K) s[(group<WIDTH>(v) + j) * LD + place<WIDTH>(v)] = f.v[j];
      else s[v / (WIDTH / 4) * LD + v % (WIDTH / 4) * 4 + j] = f.v[j];
    }
  }

  template <class A, class B> __device__ void store(int half, const Four *fa, const Four *fb) {
#pragma unroll
    for (int i = 0; i < FOURS_A; i++) put<A::ALONG_K, BM, LDA>(a[half], threadIdx.x + i * SIZE, fa[i]);
#pragma unroll
    for (int i = 0; i < FOURS_B; i++) put<B::ALONG_K, BN, LDB>(b[half], threadIdx.x + i * SIZE, fb[i]);
  }

  // row and column are where this thread's element [i][j] is in the tile.
  static __device__ int row(int i) { return (threadIdx.x % EACH / 32 / ACROSS * 4 + threadIdx.x % 32 / 8) * TM + i; }
  static __device__ int column(int j) { return (threadIdx.x % EACH / 32 % ACROSS * 8 + threadIdx.x % 8) * TN + j; }

  // stage puts the threads' elements into shared memory, where at finds them by row
  // and column, and four those from a column on: what is done to each before it is stored is
  // then a loop with few copies of the code, and neighbours in memory are neighbouring
  // threads'. All threads call it.
  static const int LDC = BN + 4, ROWS = BM;
  __device__ void stage(const float (&acc)[TM][TN]) {
    static_assert(ROWS * LDC <= 2 * BK * (LDA + LDB), "the elements fit where the tile's factors were");
    __syncthreads();
    for (int slice = 0; slice < SLICES; slice++) {
      if (threadIdx.x / EACH == slice)
#pragma unroll
        for (int i = 0; i < TM; i++) {
          float4 &c = four(row(i), column(0)), v = {acc[i][0], acc[i][1], acc[i][2], acc[i][3]};
          if (slice > 0) v = {c.x + v.x, c.y + v.y, c.z + v.z, c.w + v.w};
          c = v;
        }
      __syncthreads();
    }
  }
  __device__ float &at(int row, int column) { return ((float *)this)[row * LDC + column]; }
  __device__ float4 &four(int row, int column) { return *(float4 *)&at(row, column); }

  // multiply adds the product over k0 ≤ k < k1 to acc. All threads call it.
  template <class A, class B>
  __device__ void multiply(float (&acc)[TM][TN], A &la, B &lb, int k0, int k1) {
    Four fa[FOURS_A], fb[FOURS_B];
    const int slice = threadIdx.x / EACH * (BK / SLICES);
    int half = 0;
    __syncthreads();
    load(la, lb, k0, k1, fa, fb);
    store<A, B>(half, fa, fb);
    __syncthreads();
    for (int k = k0; k < k1; k += BK) {
      if (k + BK < k1) load(la, lb, k + BK, k1, fa, fb);
#pragma unroll
      for (int i0 = 0; i0 < BK / SLICES; i0++) {
        const int kk = slice + i0;
        float x[TM], y[TN];
#pragma unroll
        for (int i = 0; i < TM; i++) x[i] = a[half][kk * LDA + row(i)];
#pragma unroll
        for (int j = 0; j < TN; j++) y[j] = b[half][kk * LDB + column(j)];
#pragma unroll
        for (int i = 0; i < TM; i++)
#pragma unroll
          for (int j = 0; j < TN; j++) acc[i][j] = fmaf(x[i], y[j], acc[i][j]);
      }
      half ^= 1;
      if (k + BK < k1) store<A, B>(half, fa, fb);
      __syncthreads();
    }
  }
};

typedef Tile<32, 64, 16> Wide;    // 128 threads: channels × pixels
typedef Tile<16, 32, 64, 4> Deep; // 128 threads: a few sums, of very many terms

// clear sets the elements of a tile to zero.
template <int M, int N> __device__ inline void clear(float (&acc)[M][N]) {
#pragma unroll
  for (int i = 0; i < M; i++)
#pragma unroll
    for (int j = 0; j < N; j++) acc[i][j] = 0;
}

// Rows loads a stored matrix p of rows×cols elements with rows ld apart, whose
// rows are what is contiguous: elements [r, c … c+3]. With ALONG_K_ the row is the
// tile's m or n and c is k; else the row is k. vector says that all groups of
// four start at multiples of 16 bytes.
template <bool ALONG_K_> struct Rows {
  static const bool ALONG_K = ALONG_K_;
  const float *p; // the tile's first element of k = 0
  int count;      // of the matrix's rows or columns from there on, along m or n
  int ld;
  bool vector;

  __device__ Rows(const float *p, int first, int count, int ld, bool vector)
      : p(p + (ALONG_K ? first * ld : first)), count(count - first), ld(ld), vector(vector) {}

  __device__ Four load(int i, int k, int k1) const {
    Four f;
    const int outer = ALONG_K ? i : k, inner = ALONG_K ? k : i;
    const int outers = ALONG_K ? count : k1, inners = ALONG_K ? k1 : count;
    if (outer < outers && inner + 3 < inners && vector) return quick(i, k);
#pragma unroll
    for (int j = 0; j < 4; j++) f.v[j] = outer < outers && inner + j < inners ? p[outer * ld + inner + j] : 0.f;
    return f;
  }
  __device__ Four quick(int i, int k) const {
    const float4 q = *(const float4 *)(p + (ALONG_K ? i * ld + k : k * ld + i));
    return {{q.x, q.y, q.z, q.w}};
  }
};

// With rows of whole fours, fours are inside or outside whole.
template <bool ALONG_K> __device__ inline bool simple(const Rows<ALONG_K> &l) { return l.vector; }
template <bool ALONG_K> __device__ inline Four simple_load(const Rows<ALONG_K> &l, int i, int k, int k1) {
  if (k >= k1) return {{0, 0, 0, 0}};
  return l.quick(min(i, l.count - (ALONG_K ? 1 : 4)), k);
}

// Epilogue is what is done to an element before it is stored, in the order of
// program.Epilogue; pointers are null where there is no such part.
struct Epilogue {
  const float *bias, *mask;
  int func, mask_func;
};

// put_by is put without functions beyond ReLU, for WIDTH elements side by side at a time, and
// so many times that at once: what they read is asked for before any of it is used, as each
// is a trip to the second-level cache.
template <int WIDTH, int TIMES, class T, class Place>
__device__ inline void put_by(T &tile, float *out, int accumulate, const Epilogue &e, const Place &place) {
  static_assert(TIMES == 1 || T::ROWS * T::BN % (WIDTH * TIMES * T::SIZE) == 0, "whole groups of a thread's elements");
#pragma unroll 1
  for (int i0 = threadIdx.x * WIDTH; i0 < T::ROWS * T::BN; i0 += WIDTH * TIMES * T::SIZE) {
    int at[TIMES];
    bool in[TIMES];
    Side<WIDTH> x[TIMES], before[TIMES], bias[TIMES], mask[TIMES];
#pragma unroll
    for (int j = 0; j < TIMES; j++) {
      const int i = i0 + j * WIDTH * T::SIZE, r = i / T::BN, c = i % T::BN;
      in[j] = place.inside(r, c);
      at[j] = in[j] ? place.at(r, c) : 0;
      x[j] = side<WIDTH>(&tile.at(r, c));
      if (accumulate && in[j]) before[j] = side<WIDTH>(out + at[j]);
      if (e.bias && in[j]) bias[j] = side<WIDTH>(e.bias + place.channel(r, c));
      if (e.mask && in[j]) mask[j] = side<WIDTH>(e.mask + at[j]);
    }
#pragma unroll
    for (int j = 0; j < TIMES; j++) {
#pragma unroll
      for (int w = 0; w < WIDTH; w++) {
        float &v = x[j].v[w];
        if (accumulate) v += before[j].v[w];
        if (e.bias) v += bias[j].v[w];
        if (e.func == RELU) v = relu(v);
        if (e.mask) v *= slope(e.mask_func, mask[j].v[w]);
      }
      if (in[j]) *(Side<WIDTH> *)(out + at[j]) = x[j];
    }
  }
}

// put stores the elements of a staged tile, or part of one, in out, or adds them there, each after the
// epilogue. place tells of the element at row r and column c of what is staged whether it is
// inside, where it goes and its channel; and whether fours lie side by side, with channels
// that do too, inside or outside together.
template <class T, class Place>
__device__ void put(T &tile, float *out, int accumulate, Epilogue e, const Place &place) {
  if (e.func > RELU) { // by themselves: several copies of these functions would be most of the code
#pragma unroll 1
    for (int i = threadIdx.x; i < T::ROWS * T::BN; i += T::SIZE) {
      const int r = i / T::BN, c = i % T::BN;
      if (!place.inside(r, c)) continue;
      float &x = tile.at(r, c);
      if (accumulate) x += out[place.at(r, c)];
      if (e.bias) x += e.bias[place.channel(r, c)];
      x = curve(e.func, x);
    }
    __syncthreads(); // fours are of others' elements
    accumulate = 0, e.bias = nullptr, e.func = IDENTITY;
  }
  const int ones = T::ROWS * T::BN / T::SIZE, fours = ones / 4; // of a thread
  if (place.fours() && aligned(out) && aligned(e.bias) && aligned(e.mask)) put_by<4, (fours < 2 ? 1 : 2)>(tile, out, accumulate, e, place);
  else put_by<1, (ones < 4 ? 1 : 4)>(tile, out, accumulate, e, place);
}
