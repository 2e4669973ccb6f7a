// The sum of samples' losses, which the launch that makes them leaves to its last block or
// to a later launch.
#pragma once
#include "common.cuh"

// sum_losses stores the mean of n losses, and where correct is not null the number of
// hits. The first warp of a block calls it.
__device__ inline void sum_losses(const double *losses, const double *hits, int n, double *mean, double *correct) {
  double total = 0, count = 0;
#pragma unroll 8
  for (int k = threadIdx.x; k < n; k += 32) {
    total += fresh(losses + k);
    if (correct) count += fresh(hits + k);
  }
  for (int o = 16; o > 0; o >>= 1) {
    total += __shfl_xor_sync(0xffffffffu, total, o);
    count += __shfl_xor_sync(0xffffffffu, count, o);
  }
  if (threadIdx.x) return;
  if (mean) *mean = total / n;
  if (correct) *correct = count;
}

// end_losses is the end of a launch that makes losses. *step, where not null, is counted
// up; where arrived is null, a later launch sums. All threads of all blocks call it.
__device__ inline void end_losses(const double *losses, const double *hits, int n, double *mean, double *correct, u32 *arrived,
                                  int *step) {
  if (step && blockIdx.x == 0 && threadIdx.x == 0) ++*step;
  if (!arrived || !last_block(arrived, gridDim.x)) return;
  if (threadIdx.x < 32) sum_losses(losses, hits, n, mean, correct);
}
