// Kernels for the tests of the driver layer and the emulator.

extern "C" __global__ void __launch_bounds__(256) axpy(float a, const float *__restrict__ x, float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) y[i] = a * x[i] + y[i];
}

// out is the sum of x, which has n values, by one block.
extern "C" __global__ void sum(const float *x, float *out, int n) {
	__shared__ float partial[32];
	float s = 0;
	for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[i];
	for (int o = 16; o > 0; o >>= 1) s += __shfl_down_sync(0xffffffffu, s, o);
	if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = s;
	__syncthreads();
	if (threadIdx.x == 0) {
		s = 0;
		for (int i = 0; i < blockDim.x / 32; i++) s += partial[i];
		*out = s;
	}
}
