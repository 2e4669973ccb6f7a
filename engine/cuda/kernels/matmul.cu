// Products of stored matrices with fused epilogues: see matmul.cuh. Where tiles are few,
// the sum over k is split among gridDim.z blocks. Grid: (⌈n/BN⌉, ⌈m/BM⌉, splits).
#include "matmul.cuh"

// One kernel for each tile and orientation: nt has B transposed, and so on.
#define MATMUL(name, Of, TA, TB)                                                                                           \
  KERNEL __launch_bounds__(Of<!TA, TB>::T::SIZE)                                                                           \
      name(float *out, const float *a, const float *b, const float *a2, const float *b2, int m, int n, int k, int k2,      \
           int accumulate, int vector_a, int vector_b, int vector_a2, int vector_b2, const float *bias, int func,          \
           const float *mask, int mask_func, float *partial, u32 *arrived) {                                               \
    typedef Of<!TA, TB>::T T;                                                                                              \
    const Product q = {out, a, b, a2, b2, m, n, k, k2, accumulate, vector_a, vector_b, vector_a2, vector_b2, 0};           \
    const Epilogue epilogue = {bias, mask, func, mask_func};                                                               \
    matmul<T, TA, TB>(q, blockIdx.y * T::BM, blockIdx.x * T::BN, blockIdx.y * gridDim.x + blockIdx.x, gridDim.z, blockIdx.z, \
                      epilogue, partial, arrived);                                                                         \
  }

MATMUL(matmul_nn_small, SmallOf, false, false)
MATMUL(matmul_nt_small, SmallOf, false, true)
MATMUL(matmul_tn_small, SmallOf, true, false)
MATMUL(matmul_tt_small, SmallOf, true, true)
MATMUL(matmul_nn_medium, MediumOf, false, false)
MATMUL(matmul_nt_medium, MediumOf, false, true)
MATMUL(matmul_tn_medium, MediumOf, true, false)
MATMUL(matmul_tt_medium, MediumOf, true, true)
MATMUL(matmul_nn_large, LargeOf, false, false)
MATMUL(matmul_nt_large, LargeOf, false, true)
MATMUL(matmul_tn_large, LargeOf, true, false)
MATMUL(matmul_tt_large, LargeOf, true, true)
MATMUL(matmul_nn_tensor, TensorOf, false, false)
MATMUL(matmul_nt_tensor, TensorOf, false, true)
MATMUL(matmul_tn_tensor, TensorOf, true, false)
MATMUL(matmul_tt_tensor, TensorOf, true, true)

#undef MATMUL
