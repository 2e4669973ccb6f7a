// Gradients of single samples from their factors, gᵢ = n·aᵢ⊗bᵢ: products and Gram
// matrices. Sums are in float64. Norms are tasks, see tasks.cu.
#include "norms.cuh"

#define ROW const int i = WARP, lane = threadIdx.x & 31

// DotTask is a product of rows: of a with those of b, or with the one vector b
// where step_b is 0.
struct DotTask {
  const float *a, *b;
  int cols, step_b;
};

// dot_tasks computes dst[i] = n·Σ ⟨aᵢ,bᵢ⟩ over the tasks, or adds it.
KERNEL dot_tasks(double *dst, const DotTask *tasks, int count, int n, int add) {
  ROW;
  if (i >= n) return;
  double sum = 0;
  for (int k = 0; k < count; k++) {
    const DotTask t = tasks[k];
    sum += row_dot(t.a + (u64)i * t.cols, t.b + (u64)i * t.step_b, t.cols, lane);
  }
  if (lane == 0) dst[i] = add ? dst[i] + n * sum : n * sum;
}

// GramTerm is one parameter's part of a Gram matrix, with its bias's where one
// is 1; b is null for rows.
struct GramTerm {
  const float *a, *a2, *b, *b2;
  int cols_a, cols_b, one, unused;
};

// gram_dot returns ⟨rows i of x, j of x2⟩ for the thread's i and j of a 16×16 part.
__device__ inline double gram_dot(const float *x, const float *x2, int cols, int i0, int j0, int n, int n2, float s[16][17],
                                  float s2[16][17]) {
  const int tx = threadIdx.x & 15, ty = threadIdx.x >> 4;
  double sum = 0;
  for (int c0 = 0; c0 < cols; c0 += 16) {
    __syncthreads();
    s[ty][tx] = i0 + ty < n && c0 + tx < cols ? x[(u64)(i0 + ty) * cols + c0 + tx] : 0.f;
    s2[ty][tx] = j0 + ty < n2 && c0 + tx < cols ? x2[(u64)(j0 + ty) * cols + c0 + tx] : 0.f;
    __syncthreads();
    float part = 0;
#pragma unroll
    for (int c = 0; c < 16; c++) part = fmaf(s[ty][c], s2[tx][c], part);
    sum += part;
  }
  return sum;
}

// gram computes dst[i,j] = scale·Σ ⟨aᵢ,a'ⱼ⟩·(⟨bᵢ,b'ⱼ⟩ + one) over the terms; the second
// factor is 1 where b is null. dst is n×n2. Grid: (⌈n2/16⌉, ⌈n/16⌉) of 256.
KERNEL gram(double *dst, const GramTerm *terms, int count, int n, int n2, double scale) {
  __shared__ float s[16][17], s2[16][17];
  const int i0 = blockIdx.y * 16, j0 = blockIdx.x * 16;
  double sum = 0;
  for (int k = 0; k < count; k++) {
    const GramTerm t = terms[k];
    double v = gram_dot(t.a, t.a2, t.cols_a, i0, j0, n, n2, s, s2);
    if (t.b) v *= gram_dot(t.b, t.b2, t.cols_b, i0, j0, n, n2, s, s2) + t.one;
    sum += v;
  }
  const int i = i0 + (threadIdx.x >> 4), j = j0 + (threadIdx.x & 15);
  if (i < n && j < n2) dst[(u64)i * n2 + j] = scale * sum;
}

// add_means computes dst[i] += (1/n2) Σ_j g[i,j], or dst[i] = it.
KERNEL add_means(double *dst, const double *g, int n, int n2, int add) {
  ROW;
  if (i >= n) return;
  double sum = 0;
  for (int j = lane; j < n2; j += 32) sum += g[(u64)i * n2 + j];
  sum = warp_sum(sum) / n2;
  if (lane == 0) dst[i] = add ? dst[i] + sum : sum;
}

// scale_rows computes out[i,c] = n·w[i]·x[i,c].
KERNEL scale_rows(float *out, const float *x, const double *w, int n, int cols) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n * cols) out[i] = (float)(n * w[i / cols] * x[i]);
}

// square computes out = (root·x)².
KERNEL square(float *out, const float *x, float root, int size) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= size) return;
  const float v = root * x[i];
  out[i] = v * v;
}

#undef ROW
