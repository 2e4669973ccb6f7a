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

// Matrix is the place of an m×n matrix, of which a tile has the elements from m0 and n0 on;
// its columns are the channels.
struct Matrix {
  int m0, m, n0, n;
  __device__ bool inside(int r, int c) const { return m0 + r < m && n0 + c < n; }
  __device__ u64 at(int r, int c) const { return (u64)(m0 + r) * n + n0 + c; }
  __device__ int channel(int, int c) const { return n0 + c; }
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
  put(tile, q.out, q.accumulate, epilogue, Matrix{m0, q.m, n0, q.n});
}

// matmul is product_tile of stored matrices.
template <class T, bool TA, bool TB>
__device__ void matmul(const Product &q, int m0, int n0, int splits, int split, const Epilogue &epilogue, float *partial, u32 *arrived) {
  Rows<!TA> la = {q.a, m0, q.m, TA ? q.m : q.k, q.vector_a != 0};
  Rows<TB> lb = {q.b, n0, q.n, TB ? q.k : q.n, q.vector_b != 0};
  product_tile<T>(q, la, lb, m0, n0, splits, split, epilogue, partial, arrived);
}
