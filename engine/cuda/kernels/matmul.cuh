// A tile of a product of stored matrices with its epilogue.
#pragma once
#include "tensor.cuh"

// Product is out = op(A)·op(B), or added to out; out is m×n, op(A) m×k, op(B) k×n.
// vector_a and vector_b say that rows start at multiples of 16 bytes.
struct Product {
  float *out;
  const float *a, *b;
  int m, n, k, accumulate, vector_a, vector_b;
};

// product_tile makes the tile whose first row and column are m0 and n0, from the loaders
// of its factors. Where splits > 1, it sums over part `split` of k only, and puts that in
// partial (splits×m×n); the last of the splits to come, which *arrived tells, adds the
// parts in order.
template <class T, class A, class B>
__device__ void product_tile(const Product &q, A &la, B &lb, int m0, int n0, int splits, int split, const Epilogue &epilogue,
                             float *partial, u32 *arrived) {
  __shared__ T tile;
  const int step = ceil_div(ceil_div(q.k, splits), T::BK) * T::BK;
  const int k0 = split * step, k1 = min(q.k, k0 + step);
  float acc[T::TM][T::TN];
  clear(acc);
  tile.multiply(acc, la, lb, min(k0, k1), k1);

  tile.stage(acc);

  const u64 size = (u64)q.m * q.n;
  if (splits > 1) {
#pragma unroll 1
    for (int e = threadIdx.x; e < T::BM * T::BN; e += T::SIZE) {
      const int row = m0 + e / T::BN, column = n0 + e % T::BN;
      if (row < q.m && column < q.n) partial[split * size + (u64)row * q.n + column] = tile.at(e / T::BN, e % T::BN);
    }
    if (!last_block(arrived, splits)) return;
    // Element by element the parts are added in order; a thread's elements side by side,
    // as each part is a trip to the second-level cache.
    const int each = T::BM * T::BN / T::SIZE;
    float sum[each];
#pragma unroll
    for (int i = 0; i < each; i++) sum[i] = 0;
#pragma unroll 1
    for (int s = 0; s < splits; s++)
#pragma unroll
      for (int i = 0; i < each; i++) {
        const int e = threadIdx.x + i * T::SIZE, row = m0 + e / T::BN, column = n0 + e % T::BN;
        if (row < q.m && column < q.n) sum[i] += fresh(partial + s * size + (u64)row * q.n + column);
      }
#pragma unroll
    for (int i = 0; i < each; i++) {
      const int e = threadIdx.x + i * T::SIZE;
      tile.at(e / T::BN, e % T::BN) = sum[i];
    }
  }
#pragma unroll 1
  for (int e = threadIdx.x; e < T::BM * T::BN; e += T::SIZE) {
    const int row = m0 + e / T::BN, column = n0 + e % T::BN;
    if (row >= q.m || column >= q.n) continue;
    const u64 at = (u64)row * q.n + column;
    float c = tile.at(e / T::BN, e % T::BN);
    if (q.accumulate) c += q.out[at];
    q.out[at] = epilogue.apply(c, column, at);
  }
}

// matmul is product_tile of stored matrices.
template <class T, bool TA, bool TB>
__device__ void matmul(const Product &q, int m0, int n0, int splits, int split, const Epilogue &epilogue, float *partial, u32 *arrived) {
  Rows<!TA> la = {q.a, m0, q.m, TA ? q.m : q.k, q.vector_a != 0};
  Rows<TB> lb = {q.b, n0, q.n, TB ? q.k : q.n, q.vector_b != 0};
  product_tile<T>(q, la, lb, m0, n0, splits, split, epilogue, partial, arrived);
}
