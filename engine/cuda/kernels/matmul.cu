// Products of stored matrices with fused epilogues.
//
//   out = op(A)·op(B), or added to out; out is m×n, op(A) m×k, op(B) k×n
//
// Where m·n is small, the sum over k is split among gridDim.z blocks, whose
// partial results lie in partial (splits×m×n); the last of them to finish adds
// them in the order of the splits. Grid: (⌈n/BN⌉, ⌈m/BM⌉, splits).
#include "tensor.cuh"

template <class T, bool TA, bool TB>
__device__ void matmul(float *out, const float *a, const float *b, int m, int n, int k, int accumulate, int vector_a, int vector_b,
                       const float *bias, int func, const float *mask, int mask_func, float *partial, u32 *arrived) {
  __shared__ T tile;
  const int m0 = blockIdx.y * T::BM, n0 = blockIdx.x * T::BN, splits = gridDim.z;
  Rows<!TA> la = {a, m0, m, TA ? m : k, vector_a != 0};
  Rows<TB> lb = {b, n0, n, TB ? k : n, vector_b != 0};
  const int step = ceil_div(ceil_div(k, splits), T::BK) * T::BK;
  const int k0 = blockIdx.z * step, k1 = min(k, k0 + step);
  float acc[T::TM][T::TN];
  clear(acc);
  tile.multiply(acc, la, lb, min(k0, k1), k1);

  tile.stage(acc);

  const u64 size = (u64)m * n;
  if (splits > 1) {
#pragma unroll 1
    for (int e = threadIdx.x; e < T::BM * T::BN; e += T::SIZE) {
      const int row = m0 + e / T::BN, column = n0 + e % T::BN;
      if (row < m && column < n) partial[blockIdx.z * size + (u64)row * n + column] = tile.at(e / T::BN, e % T::BN);
    }
    if (!last_block(arrived + blockIdx.y * gridDim.x + blockIdx.x, splits)) return;
  }
  const Epilogue epilogue = {bias, mask, func, mask_func};
#pragma unroll 1
  for (int e = threadIdx.x; e < T::BM * T::BN; e += T::SIZE) {
    const int row = m0 + e / T::BN, column = n0 + e % T::BN;
    if (row >= m || column >= n) continue;
    const u64 at = (u64)row * n + column;
    float c = 0;
    if (splits == 1) c = tile.at(e / T::BN, e % T::BN);
    else for (int s = 0; s < splits; s++) c += fresh(partial + s * size + at);
    if (accumulate) c += out[at];
    out[at] = epilogue.apply(c, column, at);
  }
}

// One kernel for each tile and orientation: nt has B transposed, and so on.
#define MATMUL(name, T, TA, TB)                                                                                          \
  KERNEL __launch_bounds__(T::SIZE)                                                                                      \
      name(float *out, const float *a, const float *b, int m, int n, int k, int accumulate, int vector_a, int vector_b,  \
           const float *bias, int func, const float *mask, int mask_func, float *partial, u32 *arrived) {                \
    matmul<T, TA, TB>(out, a, b, m, n, k, accumulate, vector_a, vector_b, bias, func, mask, mask_func, partial, arrived); \
  }

MATMUL(matmul_nn_small, Small, false, false)
MATMUL(matmul_nt_small, Small, false, true)
MATMUL(matmul_tn_small, Small, true, false)
MATMUL(matmul_tt_small, Small, true, true)
MATMUL(matmul_nn_large, Large, false, false)
MATMUL(matmul_nt_large, Large, false, true)
MATMUL(matmul_tn_large, Large, true, false)
MATMUL(matmul_tt_large, Large, true, true)
MATMUL(matmul_nn_tensor, Tensor, false, false)
MATMUL(matmul_nt_tensor, Tensor, false, true)
MATMUL(matmul_tn_tensor, Tensor, true, false)
MATMUL(matmul_tt_tensor, Tensor, true, true)

#undef MATMUL
