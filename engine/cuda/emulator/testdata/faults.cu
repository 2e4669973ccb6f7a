// Kernels that do what must not be done.

#define KERNEL extern "C" __global__ void

// Thread n of block 1 reads and writes past the end.
KERNEL read_past(const float *x, float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) y[i] = 0;
	if (i == n) y[1] = x[i];
}

KERNEL write_past(float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i <= n) y[i] = 1;
}

// copy is right, but its arguments may not be.
KERNEL copy(float *y, const float *x, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) y[i] = x[i];
}

KERNEL misaligned(float *y, const float *x) {
	*(float4 *)y = *(const float4 *)(x + 1);
}

// Thread 5 does not write its element.
KERNEL unwritten_shared(float *y) {
	__shared__ float s[32];
	if (threadIdx.x != 5) s[threadIdx.x] = threadIdx.x;
	__syncthreads();
	y[threadIdx.x] = s[31 - threadIdx.x];
}

KERNEL past_shared(float *y) {
	__shared__ float s[8];
	__shared__ float t[8];
	s[threadIdx.x] = t[threadIdx.x] = 1;
	__syncthreads();
	y[threadIdx.x] = s[threadIdx.x + (threadIdx.x == 7)] + t[0];
}

KERNEL other_branch(float *y) {
	if (threadIdx.x < 40) __syncthreads();
	else __syncthreads();
	y[threadIdx.x] = 1;
}

KERNEL early_return(float *y, int n) {
	if (threadIdx.x >= n) return;
	__syncthreads();
	y[threadIdx.x] = 1;
}

KERNEL missing_lane(float *y) {
	float v = threadIdx.x;
	if (threadIdx.x != 3) v = __shfl_xor_sync(0xffffffffu, v, 1);
	y[threadIdx.x] = v;
}

KERNEL outside_mask(float *y) {
	if (threadIdx.x < 16) y[threadIdx.x] = __shfl_down_sync(0xffffu, 1.f, 8, 32);
}

// A barrier is missing between the writes and the reads of other threads.
KERNEL shared_race(float *y) {
	__shared__ float s[64];
	s[threadIdx.x] = threadIdx.x;
	y[threadIdx.x] = s[threadIdx.x / 32 * 32];
}

// A barrier is missing before the second writes.
KERNEL shared_race_after_read(float *y) {
	__shared__ float s[64];
	s[threadIdx.x] = 1;
	__syncthreads();
	y[threadIdx.x] = s[63 - threadIdx.x];
	s[threadIdx.x] = 2;
}

// Two blocks write one word.
KERNEL block_race(float *y) {
	if (threadIdx.x == 0) y[0] = blockIdx.x;
}

// One block reads what another writes.
KERNEL block_read_race(float *y) {
	if (threadIdx.x == 0 && blockIdx.x == 0) y[0] = 1;
	if (threadIdx.x == 0 && blockIdx.x == 1) y[1] = y[0];
}

KERNEL trapped(int n) {
	if (n == 0) __trap();
}
