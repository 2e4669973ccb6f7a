// Rows of planes in shared memory.
#pragma once
#include "common.cuh"

// load_planes loads elements 0 to line − 1 of so many rows of each of count planes, which are
// apart in to, WIDTH side by side at a time. x.element says of an element's row and place in it
// whether it is there, 0 where not, and has its values in all planes: an element is that of one thread
// for all planes, or of as many as there are threads for. All threads call it.
template <int WIDTH, class X> __device__ inline void load_planes(float *to, int apart, int line, int rows, int count, const X &x) {
  const int elements = rows * line / WIDTH, sharers = max(1, (int)blockDim.x / elements);
  const int share = sharers > 1 ? threadIdx.x / elements : 0;
  for (int e = sharers > 1 ? threadIdx.x % elements : threadIdx.x; e < elements && share < sharers; e += blockDim.x) {
    const int at = e * WIDTH;
    const auto element = x.element(at / line, at % line);
#pragma unroll 4
    for (int c = share; c < count; c += sharers)
      *(Side<WIDTH> *)(to + c * apart + at) = element.there ? element.template at<WIDTH>(c) : Side<WIDTH>{};
  }
}
