// What a step that stays on the device leaves for the host.
#pragma once
#include "common.cuh"

// Row is where a step's results go, row *step − 1 of the ring: count float64 numbers,
// the first n of each of planes rows of capacity numbers behind them, and parts more
// from sums. ring is null where there is no such step.
struct Row {
  double *ring;
  const double *results;
  int count, planes, capacity, n;
  const double *sums;
  int parts;
};

#define ROW_PARAMETERS double *ring, const double *results, int count, int planes, int capacity, int n, const double *sums, int parts
#define ROW_OF {ring, results, count, planes, capacity, n, sums, parts}

// record stores the results of the step that *step counts. One block calls it.
__device__ inline void record(const Row &r, const int *step) {
  double *row = r.ring + (u64)(*step - 1) * ((u64)r.count + (u64)r.planes * r.n + r.parts);
  for (int k = threadIdx.x; k < r.count; k += blockDim.x) row[k] = r.results[k];
  for (int k = threadIdx.x; k < r.planes * r.n; k += blockDim.x) row[r.count + k] = r.results[r.count + (u64)(k / r.n) * r.capacity + k % r.n];
  for (int k = threadIdx.x; k < r.parts; k += blockDim.x) row[r.count + r.planes * r.n + k] = r.sums[k];
}
