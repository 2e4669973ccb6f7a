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
