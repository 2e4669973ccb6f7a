// Functions of single elements. A thread computes one element; grids are
// ⌈size/256⌉ blocks of 256.
#include "common.cuh"

#define ELEMENT                                                   \
  const int i = blockIdx.x * blockDim.x + threadIdx.x;            \
  if (i >= size) return

// unary computes out = f⁽ᵒʳᵈᵉʳ⁾(x), times g where g is not null; see program.Unary.
KERNEL unary(float *out, const float *x, const float *g, int size, int func, int order, int from_output) {
  ELEMENT;
  float v = derivative(func, order, from_output != 0, x[i]);
  if (g) v = func == RELU && order == 1 ? (v > 0 ? g[i] : 0.f) : v * g[i];
  out[i] = v;
}

// binary computes out = a ∘ b; kind is that of program.Binary.
KERNEL binary(float *out, const float *a, const float *b, int size, int kind) {
  ELEMENT;
  switch (kind) {
  case 0: out[i] = a[i] + b[i]; break;
  case 1: out[i] = a[i] - b[i]; break;
  case 2: out[i] = a[i] * b[i]; break;
  default: out[i] = a[i] / b[i];
  }
}

// scale computes out = factor·x; out may be x.
KERNEL scale(float *out, const float *x, int size, float factor) {
  ELEMENT;
  out[i] = factor * x[i];
}

// fill sets out = value.
KERNEL fill(float *out, int size, float value) {
  ELEMENT;
  out[i] = value;
}

// add_bias computes out = f(x + b[channel]), x being outer×channels×inner.
KERNEL add_bias(float *out, const float *x, const float *b, int size, int channels, int inner, int func) {
  ELEMENT;
  out[i] = activate(func, x[i] + b[i / inner % channels]);
}

// transpose computes out = xᵀ, x being rows×cols.
KERNEL transpose(float *out, const float *x, int size, int rows, int cols) {
  ELEMENT;
  out[i] = x[i % rows * cols + i / rows];
}

// result moves one number; each of out and x is a float64 where its flag is set.
KERNEL result(void *out, const void *x, int out_double, int x_double) {
  if (threadIdx.x) return;
  const double v = x_double ? *(const double *)x : (double)*(const float *)x;
  if (out_double) *(double *)out = v;
  else *(float *)out = (float)v;
}

#undef ELEMENT
