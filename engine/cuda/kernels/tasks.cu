// What the instructions of a phase have put off to its end, so that one launch does
// many of them: at small batches a launch costs more than what it does.
#include "matmul.cuh"
#include "sums.cuh"

// RowTask is sums of rows: out[r] = Σ_c x[r,c].
struct RowTask {
  float *out;
  const float *x;
  int rows, cols;
};

// row_tasks does the row sums of the tasks, one warp a row. Grid: (⌈most rows/8⌉,
// tasks).
KERNEL row_tasks(const RowTask *tasks) {
  const RowTask t = tasks[blockIdx.y];
  const int r = WARP, lane = threadIdx.x & 31;
  if (r >= t.rows) return;
  const float *x = t.x + (u64)r * t.cols;
  double sum = 0;
  for (int c = lane; c < t.cols; c += 32) sum += x[c];
  sum = warp_sum(sum);
  if (lane == 0) t.out[r] = (float)sum;
}

// ProductTask is a product with A transposed, the gradient of a dense layer's weight;
// its tiles are blocks from first on.
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

// tasks does products and sums of columns that don't depend on each other, the
// products first. Grid: all their blocks, of Small::SIZE.
KERNEL __launch_bounds__(Small::SIZE) tasks(const ProductTask *products, int product_count, const ColumnTask *columns, int column_count) {
  const int block = blockIdx.x;
  if (product_count > 0 && (column_count == 0 || block < columns[0].first)) {
    int i = 0;
    while (i + 1 < product_count && block >= products[i + 1].first) i++;
    const Product q = products[i].product;
    const int at = block - products[i].first, across = ceil_div(q.n, Small::BN);
    const Epilogue none = {nullptr, nullptr, IDENTITY, IDENTITY};
    matmul<Small, true, false>(q, at / across * Small::BM, at % across * Small::BN, 1, 0, none, nullptr, nullptr);
    return;
  }
  int i = 0;
  while (i + 1 < column_count && block >= columns[i + 1].first) i++;
  const ColumnTask t = columns[i];
  columns_of((block - t.first) * 32, t.out, t.x, t.rows, t.cols, t.accumulate, nullptr, 1, 0);
}
