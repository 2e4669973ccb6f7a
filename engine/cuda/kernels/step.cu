// What makes a training step one that needs nothing from the host: the batch is
// gathered from the data set in device memory, and what a step has to tell is
// kept in a ring.
#include "common.cuh"

// gather writes the samples indices[0 … n−1], from place *step·n on where step is
// not null, to x (n×size) and their labels, one-hot, to y (n×classes):
//
//   x[r, k] = table[channel·256 + pixels[index·size + k]]
//
// with what each value of a pixel becomes in the table. Grid: (n, ⌈size/256⌉).
KERNEL gather(float *x, float *y, const unsigned char *pixels, const int *labels, const float *table, const int *indices,
              const int *step, int n, int size, int plane, int classes) {
  const int r = blockIdx.x, k = blockIdx.y * blockDim.x + threadIdx.x;
  const u64 index = indices[(step ? (u64)*step * n : 0) + r];
  if (k < size) x[(u64)r * size + k] = table[k / plane * 256 + pixels[index * size + k]];
  if (k < classes) y[(u64)r * classes + k] = labels[index] == k ? 1.f : 0.f;
}

// record stores the step's results as row *step of the ring and goes on to the next
// step: count float64 numbers, the first n of each of planes rows of capacity numbers
// behind them, and parts more from sums. One block.
KERNEL record(double *ring, const double *results, int count, int planes, int capacity, int n, const double *sums, int parts, int *step) {
  double *row = ring + (u64)*step * ((u64)count + (u64)planes * n + parts);
  for (int k = threadIdx.x; k < count; k += blockDim.x) row[k] = results[k];
  for (int k = threadIdx.x; k < planes * n; k += blockDim.x) row[count + k] = results[count + (u64)(k / n) * capacity + k % n];
  for (int k = threadIdx.x; k < parts; k += blockDim.x) row[count + planes * n + k] = sums[k];
  __syncthreads();
  if (threadIdx.x == 0) ++*step;
}
