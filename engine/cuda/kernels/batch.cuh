// The batch of a training step that stays on the device: samples of the data set there.
#pragma once
#include "tile.cuh"

// Batch is samples indices[0 … n−1], from place *step·n on where step is not null, of a
// data set of bytes with labels: row r of x (n×size) and y (n×classes, one-hot) is
//
//   x[r, k] = table[k/plane·256 + pixels[index·size + k]]
struct Batch {
  float *x, *y;
  const unsigned char *pixels;
  const int *labels;
  const float *table;
  const int *indices, *step;
  int n, size, plane, classes;

  __device__ int index(int r) const { return indices[(step ? (u64)*step * n : 0) + r]; }

  // gather makes row r. All threads of a block call it.
  __device__ void gather(int r) const {
    const int sample = index(r), label = labels[sample];
    const unsigned char *p = pixels + (u64)sample * size;
#pragma unroll 4
    for (int k = threadIdx.x; k < size; k += blockDim.x) x[(u64)r * size + k] = table[k / plane * 256 + p[k]];
    for (int c = threadIdx.x; c < classes; c += blockDim.x) y[(u64)r * classes + c] = label == c ? 1.f : 0.f;
  }
};

#define BATCH_PARAMETERS                                                                                                \
  float *batch_x, float *batch_y, const unsigned char *pixels, const int *labels, const float *table, const int *indices, \
      const int *step, int samples, int size, int plane, int classes
#define BATCH_OF {batch_x, batch_y, pixels, labels, table, indices, step, samples, size, plane, classes}

// Pixels loads x of a batch from the data set, as Rows<true> does from x.
template <class T> struct Pixels {
  static const bool ALONG_K = true;
  const Batch &batch;
  const int *indices; // of the tile's rows, in shared memory; −1 for a row outside

  // The constructor fills rows, of T::BM elements, for the rows from m0 on; all threads of
  // the block call it.
  __device__ Pixels(const Batch &batch, int *rows, int m0) : batch(batch), indices(rows) {
    for (int i = threadIdx.x; i < T::BM; i += T::SIZE) rows[i] = m0 + i < batch.n ? batch.index(m0 + i) : -1;
    __syncthreads();
  }
  __device__ Four load(int i, int k, int k1) const {
    Four f = {{0, 0, 0, 0}};
    const int index = indices[i];
    if (index < 0 || k >= k1) return f;
    const unsigned char *p = batch.pixels + (u64)index * batch.size + k;
    const int channel = k / batch.plane, next = (channel + 1) * batch.plane;
#pragma unroll
    for (int j = 0; j < 4; j++)
      if (k + j < k1) f.v[j] = batch.table[(channel + (k + j >= next)) * 256 + p[j]];
    return f;
  }
};

// Samples of whole words have their fours in one each.
template <class T> __device__ inline bool simple(const Pixels<T> &l) { return l.batch.size % 4 == 0; }
template <class T> __device__ inline Four simple_load(const Pixels<T> &l, int i, int k, int k1) {
  Four f = {{0, 0, 0, 0}};
  const Batch &batch = l.batch;
  if (k >= k1) return f;
  const u32 word = *(const u32 *)(batch.pixels + (u64)max(l.indices[i], 0) * batch.size + k);
  const int channel = batch.plane == batch.size ? 0 : k / batch.plane, next = (channel + 1) * batch.plane;
#pragma unroll
  for (int j = 0; j < 4; j++) f.v[j] = batch.table[(channel + (k + j >= next)) * 256 + (word >> 8 * j & 255)];
  return f;
}
