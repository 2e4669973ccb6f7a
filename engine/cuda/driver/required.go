//go:build gpu && cgo && linux && amd64

package driver

// required are the driver's functions that this package calls, by itself or
// through package cu.
var required = []string{
	"cuDriverGetVersion", "cuGetErrorName", "cuGetErrorString",
	"cuDeviceGet", "cuDeviceGetAttribute", "cuDeviceGetCount", "cuDeviceGetDefaultMemPool", "cuDeviceGetName",
	"cuDevicePrimaryCtxRelease_v2", "cuDevicePrimaryCtxRetain", "cuDeviceTotalMem_v2",
	"cuCtxSetCurrent",
	"cuFuncGetAttribute", "cuFuncSetAttribute", "cuLaunchCooperativeKernel", "cuLaunchKernel",
	"cuModuleGetFunction", "cuModuleLoadDataEx", "cuModuleUnload", "cuOccupancyMaxActiveBlocksPerMultiprocessor",
	"cuEventCreate", "cuEventDestroy_v2", "cuEventElapsedTime", "cuEventRecord", "cuEventSynchronize",
	"cuStreamBeginCapture_v2", "cuStreamCreate", "cuStreamDestroy_v2", "cuStreamEndCapture", "cuStreamSynchronize", "cuStreamWaitEvent",
	"cuGraphDestroy", "cuGraphExecDestroy", "cuGraphGetNodes", "cuGraphInstantiateWithFlags", "cuGraphLaunch",
	"cuMemAllocAsync", "cuMemAllocManaged", "cuMemAlloc_v2", "cuMemFreeAsync", "cuMemFreeHost", "cuMemFree_v2",
	"cuMemGetInfo_v2", "cuMemHostAlloc", "cuMemPoolSetAttribute",
	"cuMemcpyAsync", "cuMemcpyDtoH_v2", "cuMemcpyHtoD_v2", "cuMemsetD32Async",
}

// optional are those it does without: see Stream.Hold.
var optional = []string{"cuStreamWaitValue32_v2"}
