// What the instructions of a phase have put off to its end, so that one launch does
// many of them: at small batches a launch costs more than what it does.
#include "matmul.cuh"
#include "norms.cuh"
#include "step.cuh"
#include "sums.cuh"

// ProductTask is a product, or two, with A transposed, the gradient of a dense layer's
// weight; its tiles are blocks from first on.
struct ProductTask {
  Product product;
  int first, unused;
};

// ColumnTask is sums of columns; they are blocks from first on.
struct ColumnTask {
  float *out;
  const float *x;
  int rows, cols, accumulate, first;
};

// Finish is what is done with the elements of the gradient as soon as they are known:
// they are stored, and in a training step they move their parameters, and where that is wanted
// their products with those of the step before are summed, as are their squares.
struct Finish {
  const float *grad; // where ḡ begins; null outside of a training step
  Optimizer optimizer;
  float *last; // the gradient of the step before, which the new one replaces; null for none
  bool summed;
  double dot, square;

  // fours reports whether fours of elements, where they begin at multiples of 16 bytes in
  // ḡ, do so in all that is read and written with them.
  __device__ bool fours() const {
    return aligned(grad) && aligned(optimizer.theta) && aligned(optimizer.first) && aligned(optimizer.second) && aligned(last);
  }

  // store does it for the WIDTH elements of value[j], which go to out + at[j], where in[j] is
  // set. What is read is asked for before any of it is used, as each is a trip to the
  // second-level cache.
  template <int WIDTH, int N>
  __device__ void store(float *out, const int (&at)[N], const bool (&in)[N], const Side<WIDTH> (&value)[N]) {
    const int base = grad ? (int)(out - grad) : 0;
    Optimizer::State<WIDTH> state[N];
    Side<WIDTH> before[N];
#pragma unroll
    for (int j = 0; j < N; j++)
      if (grad && in[j]) {
        state[j] = optimizer.load<WIDTH>(base + at[j]);
        if (last) before[j] = side<WIDTH>(last + base + at[j]);
      }
#pragma unroll
    for (int j = 0; j < N; j++)
      if (in[j]) *(Side<WIDTH> *)(out + at[j]) = value[j];
    if (!grad) return;
#pragma unroll
    for (int j = 0; j < N; j++)
      if (in[j]) {
        optimizer.step<WIDTH>(base + at[j], value[j], state[j]);
        if (last) *(Side<WIDTH> *)(last + base + at[j]) = value[j];
        if (!summed) continue;
#pragma unroll
        for (int k = 0; k < WIDTH; k++) {
          const double v = value[j].v[k];
          if (last) dot += before[j].v[k] * v;
          square += v * v;
        }
      }
  }
};

// finish_part stores the staged part of a tile of q, whose first row and column are m0 and n0,
// WIDTH elements side by side at a time and so many times that at once.
template <int WIDTH, int TIMES, class T> __device__ void finish_part(T &tile, const Product &q, int m0, int n0, Finish &finish) {
  static_assert(T::ROWS * T::BN % (WIDTH * TIMES * T::SIZE) == 0, "whole groups of a thread's elements");
#pragma unroll 1
  for (int e0 = threadIdx.x * WIDTH; e0 < T::ROWS * T::BN; e0 += WIDTH * TIMES * T::SIZE) {
    int at[TIMES];
    bool in[TIMES];
    Side<WIDTH> value[TIMES];
#pragma unroll
    for (int j = 0; j < TIMES; j++) {
      const int e = e0 + j * WIDTH * T::SIZE, r = e / T::BN, c = e % T::BN;
      in[j] = m0 + r < q.m && n0 + c < q.n;
      at[j] = (m0 + r) * q.n + n0 + c;
      value[j] = side<WIDTH>(&tile.at(r, c));
      if (!q.accumulate || !in[j]) continue;
      const Side<WIDTH> before = side<WIDTH>(q.out + at[j]);
#pragma unroll
      for (int k = 0; k < WIDTH; k++) value[j].v[k] += before.v[k];
    }
    finish.store(q.out, at, in, value);
  }
}

// tasks does what does not depend on each other: products, sums of columns, and norms of
// samples' gradients, a warp for each sample and task. Grid: the blocks of all products,
// those of all sums, then norm_count·⌈n/4⌉, and where ring is not null one more; all of 128
// threads.
//
// In a training step, for which theta is not null, the products and sums are those of all
// of ḡ, which begins at grad; each element makes the optimizer's step (see Finish). Where
// ring is not null the last block keeps the step's results; if that has sums, these are for each
// block of products and sums of columns Σ lastⱼḡⱼ and Σ ḡⱼ² over its elements.
KERNEL __launch_bounds__(SmallOf<false, false>::T::SIZE)
    tasks(const ProductTask *products, int product_count, const ColumnTask *columns, int column_count, const NormTask *norms,
          int norm_count, const float *grad, float *last, OPTIMIZER_PARAMETERS, ROW_PARAMETERS) {
  typedef SmallOf<false, false>::T T;
  __shared__ T tile;
  __shared__ double scratch[2][32];
  const Row row = ROW_OF;
  const int end = gridDim.x - (ring ? 1 : 0), warps = T::SIZE / 32, norm_blocks = norm_count * ceil_div(n, warps), others = end - norm_blocks;
  if ((int)blockIdx.x == end) {
    row.put_results();
    return;
  }
  if ((int)blockIdx.x >= others) {
    const int block = blockIdx.x - others, i = block / norm_count * warps + (int)(threadIdx.x >> 5);
    if (i >= n) return;
    const NormTask t = norms[block % norm_count];
    const double v = norm(t, i, n, threadIdx.x & 31);
    if (threadIdx.x & 31) return;
    t.norms[i] = v;
    if (ring) *row.place(t.norms, i) = v;
    return;
  }
  Finish finish = {theta ? grad : nullptr, OPTIMIZER_OF, last, sums != 0, 0, 0};
  const int block = blockIdx.x;
  if (product_count > 0 && (column_count == 0 || block < columns[0].first)) {
    const int i = task_of(products, product_count, block);
    const Product q = products[i].product;
    const int place = block - products[i].first, across = ceil_div(q.n, T::BN), m0 = place / across * T::BM, n0 = place % across * T::BN;
    float acc[T::TM][T::TN];
    clear(acc);
    multiply_pair<T, true, false>(tile, acc, q, m0, n0, 1, 0);
    const bool fours = q.n % 4 == 0 && aligned(q.out) && finish.fours();
#pragma unroll 1
    for (int part = 0; part < T::PARTS; part++) {
      tile.stage(acc, part);
      if (fours) finish_part<4, 2>(tile, q, m0 + part * T::ROWS, n0, finish);
      else finish_part<1, 4>(tile, q, m0 + part * T::ROWS, n0, finish);
    }
  } else {
    const ColumnTask t = columns[task_of(columns, column_count, block)];
    const int first = (block - t.first) * 32;
    double sum = column_sum(first, t.x, t.rows, t.cols, nullptr, 0);
    const int at[1] = {first + (int)threadIdx.x};
    const bool in[1] = {threadIdx.x < 32 && at[0] < t.cols};
    if (t.accumulate && in[0]) sum += t.out[at[0]];
    const Side<1> value[1] = {{(float)sum}};
    finish.store(t.out, at, in, value);
  }
  if (!sums) return;
  double both[2] = {finish.dot, finish.square};
  block_sums(both, scratch);
  if (threadIdx.x == 0) *row.sum_at(2 * block) = both[0], *row.sum_at(2 * block + 1) = both[1];
}
