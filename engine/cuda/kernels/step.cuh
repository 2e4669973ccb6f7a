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

  // State is what a step reads and writes of N elements side by side, beside their gradients.
  template <int N> struct State { Side<N> theta, first, second; };
  template <int N> __device__ State<N> load(int i) const {
    State<N> s = {side<N>(theta + i), {}, {}};
    if (first) s.first = side<N>(first + i);
    if (second) s.second = side<N>(second + i);
    return s;
  }

  // step moves elements i to i + N − 1, whose gradients are grad, from state s.
  template <int N> __device__ void step(int i, const Side<N> &grad, State<N> s) const {
    Side<N> g = grad, d;
    if (coupled != 0)
#pragma unroll
      for (int k = 0; k < N; k++) g.v[k] = sum(g.v[k], product(coupled, s.theta.v[k]));
    d = g;
    if (second) {
#pragma unroll
      for (int k = 0; k < N; k++) {
        float &m = s.first.v[k], &v = s.second.v[k];
        m = sum(m, product(move, sum(g.v[k], -m)));
        v = sum(product(beta2, v), product(add, product(g.v[k], g.v[k])));
        d.v[k] = m / sum(product(sqrtf(v), scale), epsilon);
      }
      *(Side<N> *)(second + i) = s.second;
    } else if (first) {
#pragma unroll
      for (int k = 0; k < N; k++) {
        float &v = s.first.v[k];
        v = sum(product(momentum, v), g.v[k]);
        d.v[k] = nesterov ? sum(g.v[k], product(momentum, v)) : v;
      }
    }
    if (first) *(Side<N> *)(first + i) = s.first;
#pragma unroll
    for (int k = 0; k < N; k++) s.theta.v[k] = sum(product(keep, s.theta.v[k]), -product(rate, d.v[k]));
    *(Side<N> *)(theta + i) = s.theta;
  }
};

// Numbers of a step that stays on the device are in row *step − 1 of a table: what the optimizer
// takes in place of rate, scale and keep, and how many probes are drawn before.
#define STEP_NUMBERS 4
#define NUMBER(k) numbers[STEP_NUMBERS * (u64)(*step - 1) + k]

// numbers is null where there is no such step.
#define OPTIMIZER_PARAMETERS                                                                                              \
  float *theta, float *first, float *second, float coupled, float momentum, int nesterov, float move, float beta2, float add, \
      float epsilon, float rate, float scale, float keep, const double *numbers, const int *step
#define OPTIMIZER_OF                                                                     \
  {theta, first, second, coupled, momentum, nesterov, move, beta2, add, epsilon,         \
   numbers ? (float)NUMBER(0) : rate, numbers ? (float)NUMBER(1) : scale, numbers ? (float)NUMBER(2) : keep}

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
