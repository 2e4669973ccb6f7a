// Products of stored matrices with fused epilogues: see matmul.cuh. Where tiles are few,
// the sum over k is split among gridDim.z blocks. Grid: (⌈n/BN⌉, ⌈m/BM⌉, splits).
#include "matmul.cuh"

// One kernel for each tile and orientation: nt has B transposed, and so on.
#define MATMUL(name, T, TA, TB)                                                                                            \
  KERNEL __launch_bounds__(T::SIZE, 2)                                                                                      \
      name(float *out, const float *a, const float *b, const float *a2, const float *b2, int m, int n, int k, int k2,      \
           int accumulate, int vector_a, int vector_b, int vector_a2, int vector_b2, const float *bias, int func,          \
           const float *mask, int mask_func, float *partial, u32 *arrived) {                                               \
    begin();                                                                                                               \
    const Product q = {out, a, b, a2, b2, m, n, k, k2, accumulate, vector_a, vector_b, vector_a2, vector_b2, 0};           \
    const Epilogue epilogue = {bias, mask, func, mask_func};                                                               \
    matmul<T, TA, TB>(q, blockIdx.y * T::BM, blockIdx.x * T::BN, blockIdx.y * gridDim.x + blockIdx.x, gridDim.z, blockIdx.z, \
                      epilogue, partial, arrived);                                                                         \
  }

MATMUL(matmul_nn_small, Small, false, false)
MATMUL(matmul_nt_small, Small, false, true)
MATMUL(matmul_tn_small, Small, true, false)
MATMUL(matmul_tt_small, Small, true, true)
MATMUL(matmul_nn_large, Large, false, false)
MATMUL(matmul_nt_large, Large, false, true)
MATMUL(matmul_tn_large, Large, true, false)
MATMUL(matmul_tt_large, Large, true, true)
MATMUL(matmul_nn_tall, Tall, false, false)
MATMUL(matmul_nt_tall, Tall, false, true)
MATMUL(matmul_tn_tall, Tall, true, false)
MATMUL(matmul_tt_tall, Tall, true, true)
MATMUL(matmul_nn_huge, Huge, false, false)
MATMUL(matmul_nt_huge, Huge, false, true)
MATMUL(matmul_tn_huge, Huge, true, false)
MATMUL(matmul_tt_huge, Huge, true, true)
MATMUL(matmul_nn_tensor, Tensor, false, false)
MATMUL(matmul_nt_tensor, Tensor, false, true)
MATMUL(matmul_tn_tensor, Tensor, true, false)
MATMUL(matmul_tt_tensor, Tensor, true, true)

#undef MATMUL
