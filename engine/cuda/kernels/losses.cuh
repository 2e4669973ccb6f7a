// The sum of samples' losses, which the launch that makes them leaves to its last block or
// to a later launch.
#pragma once
#include "common.cuh"

// sum_losses stores the mean of n losses, and where correct is not null the number of
// hits. The first warp of a block calls it.
__device__ inline void sum_losses(const double *losses, const double *hits, int n, double *mean, double *correct) {
  double sums[2] = {0, 0}; // of losses and hits
#pragma unroll 8
  for (int k = threadIdx.x; k < n; k += 32) {
    sums[0] += fresh(losses + k);
    if (correct) sums[1] += fresh(hits + k);
  }
  warp_sums(sums);
  if (threadIdx.x) return;
  if (mean) *mean = sums[0] / n;
  if (correct) *correct = sums[1];
}

// end_losses is the end of a launch that makes losses. *step, where not null, is counted
// up; where arrived is null, a later launch sums. All threads of all blocks call it.
__device__ inline void end_losses(const double *losses, const double *hits, int n, double *mean, double *correct, u32 *arrived,
                                  int *step) {
  if (step && blockIdx.x == 0 && threadIdx.x == 0) ++*step;
  if (!arrived || !last_block(arrived, gridDim.x)) return;
  if (threadIdx.x < 32) sum_losses(losses, hits, n, mean, correct);
}
