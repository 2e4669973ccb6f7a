// The emulated driver: modules, functions, launches.

#include <algorithm>
#include <cstring>

#include "launch.h"
#include "state.h"

using namespace emulator;

struct CUmod_st {};

struct CUfunc_st {
	const Kernel *kernel;
	size_t dynamic_limit = 48 << 10; // bytes of dynamic shared memory
};

namespace {

const Kernel *find_kernel(const std::string &name) {
	for (const Kernel *const *k = kernels; *k; k++) {
		if (name == (*k)->name) return *k;
	}
	return nullptr;
}

int attribute(int number) {
	int value = 0;
	cuDeviceGetAttribute(&value, (CUdevice_attribute)number, 0);
	return value;
}

size_t shared_limit() {
	return attribute(97);
}

// Handles are never deleted: a few per module that a test loads.
std::set<CUmodule> &modules() {
	static auto &m = *new std::set<CUmodule>;
	return m;
}

CUresult load(CUmodule *result, const char *image, char *log, size_t log_size) {
	if (!memcmp(image, "\177ELF", 4)) return CUDA_ERROR_NO_BINARY_FOR_GPU; // machine code
	auto fail = [&](CUresult code, const std::string &why) {
		if (log && log_size) snprintf(log, log_size, "%s", why.c_str());
		return code;
	};
	if (const char *target = strstr(image, ".target sm_")) {
		int wants = atoi(target + strlen(".target sm_")), has = 10 * attribute(75) + attribute(76);
		if (wants > has) return fail(CUDA_ERROR_NO_BINARY_FOR_GPU, "PTX for sm_" + std::to_string(wants) + " on sm_" + std::to_string(has));
	} else return fail(CUDA_ERROR_INVALID_PTX, "an image without .target");
	uint64_t sum = 0xcbf29ce484222325;
	for (const char *p = image; *p; p++) sum = (sum ^ (uint8_t)*p) * 0x100000001b3;
	if (sum != module_sum) return fail(CUDA_ERROR_INVALID_PTX, "the emulator was built with another module than this");
	CUmodule m = new CUmod_st;
	modules().insert(m);
	*result = m;
	return CUDA_SUCCESS;
}

CUresult launch(CUfunction f, dim3 grid, dim3 block, unsigned int shared, CUstream handle, void **parameters, bool cooperative) {
	CUstream s = stream(handle);
	if (!s || !f) return CUDA_ERROR_INVALID_HANDLE;
	const Kernel *k = f->kernel;
	auto wrong = [&](const std::string &what) { return complain(CUDA_ERROR_INVALID_VALUE, std::string("kernel ") + k->name + ": " + what); };
	uint64_t threads = (uint64_t)block.x * block.y * block.z, blocks = (uint64_t)grid.x * grid.y * grid.z;
	if (threads == 0 || threads > k->max_threads || block.z > 64) return wrong("a block of " + std::to_string(threads) + " threads");
	if (blocks == 0 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) return wrong("a grid of " + std::to_string(blocks) + " blocks");
	if (shared > f->dynamic_limit) return wrong(std::to_string(shared) + " bytes of dynamic shared memory where " + std::to_string(f->dynamic_limit) + " are allowed");
	if (cooperative) {
		int resident = 0;
		cuOccupancyMaxActiveBlocksPerMultiprocessor(&resident, f, threads, shared);
		if (blocks > (uint64_t)resident * attribute(16)) return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
	}
	std::vector<uint64_t> values;
	std::vector<size_t> offsets;
	for (int i = 0; i < k->count; i++) {
		offsets.push_back(values.size());
		values.resize(values.size() + (k->sizes[i] + 7) / 8);
		memcpy(&values[offsets[i]], parameters[i], k->sizes[i]);
	}
	size_t limit = f->dynamic_limit > 48 << 10 ? shared_limit() : 48 << 10;
	return enqueue(s, [=]() mutable {
		std::vector<void *> arguments;
		for (size_t o : offsets) arguments.push_back(&values[o]);
		Launch l{k, grid, block, shared, limit, cooperative, arguments.data()};
		int error = 0;
		std::string message = run(l, &error);
		return error ? spoil((CUresult)error, message) : CUDA_SUCCESS;
	});
}

} // namespace

API CUresult cuModuleLoadDataEx(CUmodule *result, const void *image, unsigned int count, CUjit_option *options, void **values) {
	ENTER();
	char *log = nullptr;
	size_t size = 0;
	for (unsigned int i = 0; i < count; i++) {
		if (options[i] == CU_JIT_ERROR_LOG_BUFFER) log = static_cast<char *>(values[i]);
		if (options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) size = reinterpret_cast<size_t>(values[i]);
	}
	return load(result, static_cast<const char *>(image), log, size);
}

API CUresult cuModuleLoadData(CUmodule *result, const void *image) {
	ENTER();
	return load(result, static_cast<const char *>(image), nullptr, 0);
}

API CUresult cuModuleUnload(CUmodule m) {
	ENTER();
	return modules().erase(m) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API CUresult cuModuleGetFunction(CUfunction *result, CUmodule m, const char *name) {
	ENTER();
	if (!modules().count(m)) return CUDA_ERROR_INVALID_HANDLE;
	const Kernel *k = find_kernel(name);
	if (!k) return CUDA_ERROR_NOT_FOUND;
	*result = new CUfunc_st{k};
	return CUDA_SUCCESS;
}

API CUresult cuFuncSetAttribute(CUfunction f, CUfunction_attribute a, int value) {
	ENTER();
	if (a != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || (size_t)value > shared_limit()) return CUDA_ERROR_INVALID_VALUE;
	f->dynamic_limit = value;
	return CUDA_SUCCESS;
}

API CUresult cuFuncGetAttribute(int *value, CUfunction_attribute a, CUfunction f) {
	ENTER();
	switch (a) {
	case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = (int)f->kernel->max_threads; break;
	case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = (int)f->dynamic_limit; break;
	default: *value = 0; // nothing is known of registers and the like
	}
	return CUDA_SUCCESS;
}

API CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int threads, size_t shared) {
	ENTER();
	if (threads < 1 || threads > 1024) return CUDA_ERROR_INVALID_VALUE;
	int n = std::min(attribute(39) / ((threads + 31) / 32 * 32), 16);
	if (shared) n = std::min<int>(n, attribute(81) / (shared + 1024));
	*blocks = n;
	return CUDA_SUCCESS;
}

API CUresult cuLaunchKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz,
		unsigned int shared, CUstream s, void **parameters, void **) {
	ENTER();
	return launch(f, dim3(gx, gy, gz), dim3(bx, by, bz), shared, s, parameters, false);
}

API CUresult cuLaunchCooperativeKernel(CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by,
		unsigned int bz, unsigned int shared, CUstream s, void **parameters) {
	ENTER();
	return launch(f, dim3(gx, gy, gz), dim3(bx, by, bz), shared, s, parameters, true);
}
