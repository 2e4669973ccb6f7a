// A tile of a product of stored matrices with its epilogue.
#pragma once
#include "tensor.cuh"

// Product is out = op(A)·op(B) + op(A2)·op(B2), or added to out; out is m×n, op(A) m×k,
// op(B) k×n, op(A2) m×k2 and op(B2) k2×n; k2 is 0 where there is one product. vector_a and
// the like say that rows start at multiples of 16 bytes.
struct Product {
  float *out;
  const float *a, *b, *a2, *b2;
  int m, n, k, k2, accumulate, vector_a, vector_b, vector_a2, vector_b2, unused;
};

// Matrix is the place of an m×n matrix, of which a tile has the elements from m0 and n0 on;
// its columns are the channels.
struct Matrix {
  int m0, m, n0, n;
  __device__ bool inside(int r, int c) const { return m0 + r < m && n0 + c < n; }
  __device__ int at(int r, int c) const { return (m0 + r) * n + n0 + c; }
  __device__ int channel(int, int c) const { return n0 + c; }
  __device__ bool fours() const { return n % 4 == 0; }
};

// Part is one of so many parts of a sum of k terms, terms from to to − 1: whole steps of the
// tile, the first parts of at most one more than the last.
struct Part {
  int from, to;
  template <class T> static __device__ Part of(int k, int splits, int split) {
    const u32 steps = ceil_div(k, T::BK), more = splits - 1;
    return {min(k, (int)((steps * split + more) / splits) * T::BK), min(k, (int)((steps * (split + 1) + more) / splits) * T::BK)};
  }
};

// multiply_pair adds the part of q's tile at m0 and n0 to acc. The terms of the second
// product follow those of the first, from a multiple of BK on.
template <class T, bool TA, bool TB>
__device__ void multiply_pair(T &tile, float (&acc)[T::TM][T::TN], const Product &q, int m0, int n0, int splits, int split) {
  const int second = ceil_div(q.k, T::BK) * T::BK;
  const Part part = Part::of<T>(q.k2 ? second + q.k2 : q.k, splits, split);
#pragma unroll 1
  for (int i = 0; i < 2; i++) {
    const int k = i ? q.k2 : q.k, from = i ? max(0, part.from - second) : part.from, to = i ? part.to - second : min(k, part.to);
    if (from >= to) continue;
    Rows<!TA> la = {i ? q.a2 : q.a, m0, q.m, TA ? q.m : k, (i ? q.vector_a2 : q.vector_a) != 0};
    Rows<TB> lb = {i ? q.b2 : q.b, n0, q.n, TB ? k : q.n, (i ? q.vector_b2 : q.vector_b) != 0};
    tile.multiply(acc, la, lb, from, to);
  }
}

// finish stores the elements of a tile, or adds them to out, with the epilogue. Where the
// sum is split, it leaves that to the last of the splits to come, which *arrived tells:
// through partial, which has splits tiles for each one, that has all. Element by element
// they are added in order; those of a thread's elements and of several splits are asked for
// at once, as each is a trip to the second-level cache.
template <class T, class Place>
__device__ void finish(T &tile, const float (&acc)[T::TM][T::TN], float *out, int accumulate, const Epilogue &epilogue, Place place,
                       int splits, int split, float *partial, u32 *arrived) {
  const int size = T::BM * T::BN, part_size = T::ROWS * T::BN, each = (part_size / 4 + T::SIZE - 1) / T::SIZE;
  const bool all = part_size / 4 % T::SIZE == 0, has = all || threadIdx.x < part_size / 4; // a thread has fours of a part
#pragma unroll 1
  for (int part = 0; part < T::PARTS; part++) {
    tile.stage(acc, part);
    if (splits == 1) {
      Place at = place;
      at.m0 += part * T::ROWS;
      put(tile, out, accumulate, epilogue, at);
      continue;
    }
#pragma unroll
    for (int i = 0; i < each && has; i++) {
      const int e = (threadIdx.x + i * T::SIZE) * 4, r = e / T::BN, c = e % T::BN;
      __stcg((float4 *)(partial + (u64)split * size + part * part_size + e), tile.four(r, c)); // for others' multiprocessors
    }
  }
  if (splits == 1 || !last_block(arrived, splits)) return;
#pragma unroll 1
  for (int part = 0; part < T::PARTS; part++, place.m0 += T::ROWS) {
    float4 sum[each];
#pragma unroll
    for (int i = 0; i < each; i++) sum[i] = {0, 0, 0, 0};
#pragma unroll 4
    for (int s = 0; s < splits; s++)
#pragma unroll
      for (int i = 0; i < each && has; i++) {
        const float4 v = fresh((const float4 *)(partial + (u64)s * size + part * part_size) + threadIdx.x + i * T::SIZE);
        sum[i].x += v.x, sum[i].y += v.y, sum[i].z += v.z, sum[i].w += v.w;
      }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < each && has; i++) {
      const int e = (threadIdx.x + i * T::SIZE) * 4, r = e / T::BN, c = e % T::BN;
      tile.four(r, c) = sum[i];
    }
    __syncthreads();
    put(tile, out, accumulate, epilogue, place);
  }
}

// matmul makes the tile of q whose first row and column are m0 and n0, the place-th of all,
// from one of the splits of its sum; see finish for partial and arrived.
template <class T, bool TA, bool TB>
__device__ void matmul(const Product &q, int m0, int n0, int place, int splits, int split, const Epilogue &epilogue, float *partial,
                       u32 *arrived) {
  __shared__ T tile;
  float acc[T::TM][T::TN];
  clear(acc);
  multiply_pair<T, TA, TB>(tile, acc, q, m0, n0, splits, split);
  finish(tile, acc, q.out, q.accumulate, epilogue, Matrix{m0, q.m, n0, q.n}, splits, split,
         partial + (u64)place * splits * T::BM * T::BN, arrived + place);
}
