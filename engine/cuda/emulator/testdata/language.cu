// Kernels that use each part of the language.

#include "values.cuh"

// where writes the number of each thread of a grid of any shape.
KERNEL where(int *out) {
	int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
	int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
	out[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 10000 + thread;
}

// reverse reverses the block's values through dynamic shared memory, beside which it
// has static variables.
KERNEL reverse(float *x) {
	extern __shared__ float s[];
	__shared__ int count, other[2][3];
	if (threadIdx.x == 0) count = blockDim.x, other[1][2] = 0;
	s[threadIdx.x] = x[threadIdx.x];
	__syncthreads();
	x[threadIdx.x] = s[count - 1 - threadIdx.x] + other[1][2];
}

// A template's shared variable is one for each of its instances.
template <int N> __device__ int rotate(int v) {
	__shared__ int s[N];
	__syncthreads();
	s[threadIdx.x % N] = v;
	__syncthreads();
	return s[(threadIdx.x + 1) % N];
}

KERNEL rotations(int *out) {
	out[threadIdx.x] = rotate<64>(threadIdx.x);
	out[64 + threadIdx.x] = rotate<64>(threadIdx.x + 100);
}

// votes writes for each thread what the collectives of its warp say.
KERNEL votes(int *out) {
	int t = threadIdx.x, lane = t % 32;
	int *o = out + VOTES * t;
	o[0] = __shfl_sync(FULL, t, 7);
	o[1] = __shfl_up_sync(FULL, t, 3);
	o[2] = __shfl_down_sync(FULL, t, 3);
	o[3] = __shfl_xor_sync(FULL, t, 5);
	o[4] = __shfl_xor_sync(FULL, t, 1, 8);
	o[5] = __ballot_sync(FULL, t % 3 == 0);
	o[6] = __any_sync(FULL, t == 40);
	o[7] = __all_sync(FULL, t < 40);
	// Halves of a warp on their own.
	if (lane < 16) o[8] = __shfl_xor_sync(0xffffu, t, 8);
	else o[8] = __shfl_xor_sync(0xffff0000u, t, 4);
	o[9] = __syncthreads_count(t % 5 == 0);
	double d = __shfl_xor_sync(FULL, (double)t + 0.25, 1);
	o[10] = (int)(4 * d);
}

// counts makes the same sums by atomic operations of all kinds.
KERNEL counts(int *i, unsigned int *u, unsigned long long *l, float *f, double *d) {
	int t = blockIdx.x * blockDim.x + threadIdx.x;
	atomicAdd(i, t);
	atomicMax(i + 1, t);
	atomicMin(i + 2, -t);
	atomicSub(i + 3, 1);
	atomicInc(u, 9);
	atomicOr(u + 1, 1u << t % 32);
	atomicAdd(l, 1ull << 33);
	atomicAdd(f, 1.f);
	atomicAdd(d, 0.5);
	if (atomicCAS(i + 4, 0, 1) == 0) atomicExch(i + 5, 1);
}

// sums adds the values of all blocks: each block's in the first phase, by one block in
// the second, with a barrier of the grid between.
KERNEL sums(const float *x, float *partial, float *out) {
	__shared__ float s[64];
	s[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
	for (int n = 32; n > 0; n /= 2) {
		__syncthreads();
		if (threadIdx.x < n) s[threadIdx.x] += s[threadIdx.x + n];
	}
	if (threadIdx.x == 0) partial[blockIdx.x] = s[0];
	sgflow_sync_grid();
	if (blockIdx.x == 0 && threadIdx.x == 0) {
		float sum = 0;
		for (int b = 0; b < gridDim.x; b++) sum += partial[b];
		*out = sum;
	}
}

// last is sums without that barrier: the block that comes last adds.
KERNEL last(float *partial, float *out, unsigned int *arrived) {
	__shared__ bool is_last;
	if (threadIdx.x == 0) {
		partial[blockIdx.x] = blockIdx.x;
		__threadfence();
		is_last = atomicAdd(arrived, 1u) + 1 == gridDim.x;
	}
	__syncthreads();
	if (!is_last || threadIdx.x) return;
	float sum = 0;
	for (int b = 0; b < gridDim.x; b++) sum += *(const volatile float *)(partial + b);
	*out = sum;
}

// vectors is y += x by fours, of one and of three.
KERNEL vectors(float4 *y, const float4 *x, float3 *z) {
	float4 v = y[threadIdx.x], w = __ldg(x + threadIdx.x);
	y[threadIdx.x] = make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w);
	z[threadIdx.x] = make_float3(w.x, w.y, table[threadIdx.x % 4]);
}

KERNEL add(float *x, float v) {
	x[threadIdx.x] += v;
}

// One instruction each, on bits.
#define BINARY(name, instruction, letter, type) \
  KERNEL name(type *out, const type *a, const type *b) { \
    type r; \
    asm(instruction " %0, %1, %2;" : "=" letter(r) : letter(a[threadIdx.x]), letter(b[threadIdx.x])); \
    out[threadIdx.x] = r; \
  }
#define TERNARY(name, instruction, letter, type) \
  KERNEL name(type *out, const type *a, const type *b, const type *c) { \
    type r; \
    asm(instruction " %0, %1, %2, %3;" : "=" letter(r) : letter(a[threadIdx.x]), letter(b[threadIdx.x]), letter(c[threadIdx.x])); \
    out[threadIdx.x] = r; \
  }
#define COMPARISON(name, instruction) \
  KERNEL name(int *out, const float *a, const float *b) { \
    int r; \
    asm("{\n .reg .pred q;\n " instruction " q, %1, %2;\n selp.s32 %0, 1, 0, q;\n }" : "=r"(r) : "f"(a[threadIdx.x]), "f"(b[threadIdx.x])); \
    out[threadIdx.x] = r; \
  }

BINARY(shift_left, "shl.b32", "r", int)
BINARY(shift_right, "shr.s32", "r", int)
BINARY(shift_right_unsigned, "shr.u32", "r", unsigned)
BINARY(multiply_high, "mul.hi.s32", "r", int)
BINARY(multiply_low, "mul.lo.s32", "r", int)
BINARY(quotient, "div.s32", "r", int)
BINARY(rest, "rem.s32", "r", int)
BINARY(smaller, "min.f32", "f", float)
BINARY(larger, "max.f32", "f", float)
TERNARY(permute, "prmt.b32", "r", unsigned)
TERNARY(fused_down, "fma.rm.f32", "f", float)
COMPARISON(ordered_ne, "setp.ne.f32")
COMPARISON(unordered_ne, "setp.neu.f32")
COMPARISON(unordered_lt, "setp.ltu.f32")
COMPARISON(unordered_ge, "setp.geu.f32")
COMPARISON(both_numbers, "setp.num.f32")

KERNEL insert(unsigned *out, const unsigned *a, const unsigned *b, const int *position, const int *length) {
  asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(out[threadIdx.x]) : "r"(a[threadIdx.x]), "r"(b[threadIdx.x]), "r"(position[threadIdx.x]), "r"(length[threadIdx.x]));
}

KERNEL first_bit(unsigned *out, const unsigned *a) {
  asm("{\n .reg .b32 t;\n brev.b32 t, %1;\n bfind.shiftamt.u32 %0, t;\n }" : "=r"(out[threadIdx.x]) : "r"(a[threadIdx.x]));
}

KERNEL to_integer(int *out, const float *a) {
  asm("cvt.rzi.s32.f32 %0, %1;" : "=r"(out[threadIdx.x]) : "f"(a[threadIdx.x]));
}

KERNEL saturated(float *out, const float *a) {
  asm("cvt.sat.f32.f32 %0, %1;" : "=f"(out[threadIdx.x]) : "f"(a[threadIdx.x]));
}

KERNEL to_tf32(unsigned *out, const float *a) {
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(out[threadIdx.x]) : "f"(a[threadIdx.x]));
}
