// Products of stored matrices with fused epilogues: see matmul.cuh. Where m·n is small,
// the sum over k is split among gridDim.z blocks. Grid: (⌈n/BN⌉, ⌈m/BM⌉, splits).
#include "matmul.cuh"

// One kernel for each tile and orientation: nt has B transposed, and so on.
#define MATMUL(name, T, TA, TB)                                                                                          \
  KERNEL __launch_bounds__(T::SIZE)                                                                                      \
      name(float *out, const float *a, const float *b, int m, int n, int k, int accumulate, int vector_a, int vector_b,  \
           const float *bias, int func, const float *mask, int mask_func, float *partial, u32 *arrived) {                \
    const Product q = {out, a, b, m, n, k, accumulate, vector_a, vector_b};                                              \
    const Epilogue epilogue = {bias, mask, func, mask_func};                                                             \
    matmul<T, TA, TB>(q, blockIdx.y * T::BM, blockIdx.x * T::BN, gridDim.z, blockIdx.z, epilogue, partial,               \
                      arrived + blockIdx.y * gridDim.x + blockIdx.x);                                                    \
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
