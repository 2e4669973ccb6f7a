// What the optimizer does, and what a step that stays on the device leaves for the host.
#pragma once
#include "losses.cuh"

// Optimizer is the rule of a step for single elements, as optim.Step and optim.AdamStep
// define it and with the same bits: every product and every sum is rounded by itself.
//
//   g = grad + coupled·θ
//   SGD:  v = momentum·v + g, d = v or, with nesterov, g + momentum·v; θ = keep·θ − rate·d
//   Adam: m += move·(g − m), v = beta2·v + add·g²;                     θ = keep·θ − rate·m/(scale·√v + epsilon)
//
// first is v of SGD, null without momentum, or m of Adam; second v of Adam, null for SGD.
struct Optimizer {
  float *theta, *first, *second;
  float coupled, momentum;
  int nesterov;
  float move, beta2, add, epsilon;
  float rate, scale, keep;

  // State is what a step reads of an element beside its gradient.
  struct State { float theta, first, second; };
  __device__ State load(int i) const { return {theta[i], first ? first[i] : 0.f, second ? second[i] : 0.f}; }

  // step moves element i, whose gradient is g, from state s.
  __device__ void step(int i, float g, const State &s) const {
    if (coupled != 0) g = sum(g, product(coupled, s.theta));
    float d = g;
    if (second) {
      const float m = sum(s.first, product(move, sum(g, -s.first)));
      const float v = sum(product(beta2, s.second), product(add, product(g, g)));
      first[i] = m;
      second[i] = v;
      d = m / sum(product(sqrtf(v), scale), epsilon);
    } else if (first) {
      const float v = sum(product(momentum, s.first), g);
      first[i] = v;
      d = nesterov ? sum(g, product(momentum, v)) : v;
    }
    theta[i] = sum(product(keep, s.theta), -product(rate, d));
  }
};

// The numbers rate, scale and keep are arguments or, where numbers is not null, those of
// its row *step − 1.
#define OPTIMIZER_PARAMETERS                                                                                              \
  float *theta, float *first, float *second, float coupled, float momentum, int nesterov, float move, float beta2, float add, \
      float epsilon, float rate, float scale, float keep, const double *numbers, const int *step
#define OPTIMIZER_OF                                                                                  \
  {theta, first, second, coupled, momentum, nesterov, move, beta2, add, epsilon,                      \
   numbers ? (float)numbers[3 * (u64)(*step - 1)] : rate, numbers ? (float)numbers[3 * (u64)(*step - 1) + 1] : scale, \
   numbers ? (float)numbers[3 * (u64)(*step - 1) + 2] : keep}

// Row is where a step's results go, row *step − 1 of the ring: count float64 numbers, the
// first n of each of planes arrays of capacity numbers behind them, and sums numbers more.
// ring is null where there is no such step. Where losses is not null, numbers mean_at and,
// if that is not −1, correct_at are those of the losses and hits, which nothing has summed.
struct Row {
  double *ring;
  const double *results;
  int count, planes, capacity, n, sums;
  const double *losses, *hits;
  int mean_at, correct_at;
  const int *step;

  __device__ double *begin() const { return ring + (u64)(*step - 1) * ((u64)count + (u64)planes * n + sums); }

  // put_results stores the count numbers. One block calls it.
  __device__ void put_results() const {
    for (int k = threadIdx.x; k < count; k += blockDim.x)
      if (!losses || (k != mean_at && k != correct_at)) begin()[k] = results[k];
    if (losses && threadIdx.x < 32) sum_losses(losses, hits, n, begin() + mean_at, correct_at < 0 ? nullptr : begin() + correct_at);
  }
  // place is where the number goes that results has at p, sample i of an array.
  __device__ double *place(const double *p, int i) const { return begin() + count + (p - results - count) / capacity * n + i; }
  // put_arrays stores the arrays. One block calls it.
  __device__ void put_arrays() const {
    for (int k = threadIdx.x; k < planes * n; k += blockDim.x) begin()[count + k] = results[count + (u64)(k / n) * capacity + k % n];
  }
  // sum_at is where the k-th of the sums goes.
  __device__ double *sum_at(int k) const { return begin() + count + (u64)planes * n + k; }
};

#define ROW_PARAMETERS                                                                                                       \
  double *ring, const double *results, int count, int planes, int capacity, int n, int sums, const double *losses, const double *hits, \
      int mean_at, int correct_at
#define ROW_OF {ring, results, count, planes, capacity, n, sums, losses, hits, mean_at, correct_at, step}
