// Squared norms of gradients of single samples from their factors, gᵢ = n·aᵢ⊗bᵢ
// (Goodfellow 2015, arXiv:1510.01799).
#pragma once
#include "common.cuh"

// row_dot returns ⟨a,b⟩ of two rows of one warp, in every lane.
__device__ inline double row_dot(const float *a, const float *b, int cols, int lane) {
  double sum = 0;
  for (int c = lane; c < cols; c += 32) sum += (double)a[c] * b[c];
  return warp_sum(sum);
}

// NormTask is one of the instructions that norms are made of:
// norms[i] = n²·‖aᵢ‖²·‖bᵢ‖², or n²·Σ squares[i,·], or that is added.
struct NormTask {
  double *norms;
  const double *squares; // of a convolution's gradients by sample and part, else null
  const float *a, *b;    // rows; b is null for a bias
  int cols_a, cols_b, parts, add;
};

// norm returns norms[i] of the task, in every lane of the warp that calls it.
__device__ inline double norm(const NormTask &t, int i, int n, int lane) {
  double sum = 0;
  if (t.squares) {
    for (int k = lane; k < t.parts; k += 32) sum += t.squares[(u64)i * t.parts + k];
    sum = warp_sum(sum);
  } else {
    const float *a = t.a + (u64)i * t.cols_a, *b = t.b + (u64)i * t.cols_b;
    sum = row_dot(a, a, t.cols_a, lane);
    if (t.b) sum *= row_dot(b, b, t.cols_b, lane);
  }
  sum *= (double)n * n;
  return t.add ? t.norms[i] + sum : sum;
}
