// How runs begin and end. The launch that begins one gathers the batch from the data set in
// device memory and, where the first layer's tile is a small one, is that layer's too, which
// then reads the samples where they lie. direct.cu has its like.
#include "batch.cuh"
#include "matmul.cuh"

// gather makes a batch. Grid: n.
KERNEL gather(BATCH_PARAMETERS) {
  const Batch batch = BATCH_OF;
  batch.gather(blockIdx.x);
}

// gather_matmul makes a batch and is matmul_nt_small with its samples as A. Grid: the
// blocks of the product, tiles·splits of them, and then n.
KERNEL __launch_bounds__(SmallOf<true, true>::T::SIZE)
    gather_matmul(BATCH_PARAMETERS, float *out, const float *b, int n, int accumulate, int vector_b, const float *bias, int func,
                  const float *mask, int mask_func, int splits, float *partial, u32 *arrived) {
  typedef SmallOf<true, true>::T T;
  __shared__ int rows[T::BM];
  const Batch batch = BATCH_OF;
  const int across = ceil_div(n, T::BN), tiles = across * ceil_div(batch.n, T::BM), block = blockIdx.x;
  if (block >= tiles * splits) {
    batch.gather(block - tiles * splits);
    return;
  }
  __shared__ T sum;
  const int tile = block % tiles, m0 = tile / across * T::BM, n0 = tile % across * T::BN, split = block / tiles;
  const Part part = Part::of<T>(batch.size, splits, split);
  Pixels<T> la(batch, rows, m0);
  Rows<true> lb = {b, n0, n, batch.size, vector_b != 0};
  float acc[T::TM][T::TN];
  clear(acc);
  sum.multiply(acc, la, lb, part.from, part.to);
  finish(sum, acc, out, accumulate, {bias, mask, func, mask_func}, Matrix{m0, batch.n, n0, n}, splits, split,
         partial + (u64)tile * splits * T::BM * T::BN, arrived + tile);
}

// store_results copies what a run has left for the host, to host, where that finds it: the first
// count numbers, and n of each of planes arrays of capacity numbers behind them.
KERNEL store_results(double *host, const double *results, int count, int planes, int capacity, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, k = i - count;
  if (k >= planes * n) return;
  const int at = k < 0 ? i : count + k / n * capacity + k % n;
  host[at] = results[at];
}

// read_clock stores what the device's clock shows, in nanoseconds, less whole multiples of 2⁵²
// of them, which float64 has no room for.
KERNEL read_clock(double *out) {
  u64 t;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
  *out = (double)(t & ((1ull << 52) - 1));
}
