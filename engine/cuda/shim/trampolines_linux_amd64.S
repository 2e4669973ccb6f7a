// Code generated from include/cuda.h by gen. DO NOT EDIT.

//go:build gpu

.text

.macro trampoline name number
.globl \name
.hidden \name
.type \name, @function
\name:
	movl $\number, %r11d
	jmp *(shim_slots + 8 * \number)(%rip)
.size \name, . - \name
.endm

trampoline cuDriverGetVersion 0
trampoline cuGetErrorName 1
trampoline cuGetErrorString 2
trampoline cuDeviceCanAccessPeer 3
trampoline cuDeviceGet 4
trampoline cuDeviceGetAttribute 5
trampoline cuDeviceGetCount 6
trampoline cuDeviceGetDefaultMemPool 7
trampoline cuDeviceGetName 8
trampoline cuDeviceGetP2PAttribute 9
trampoline cuDeviceGetUuid 10
trampoline cuDevicePrimaryCtxGetState 11
trampoline cuDevicePrimaryCtxRelease_v2 12
trampoline cuDevicePrimaryCtxReset_v2 13
trampoline cuDevicePrimaryCtxRetain 14
trampoline cuDevicePrimaryCtxSetFlags_v2 15
trampoline cuDeviceTotalMem_v2 16
trampoline cuCtxCreate_v2 17
trampoline cuCtxDestroy_v2 18
trampoline cuCtxDisablePeerAccess 19
trampoline cuCtxEnablePeerAccess 20
trampoline cuCtxGetApiVersion 21
trampoline cuCtxGetCacheConfig 22
trampoline cuCtxGetCurrent 23
trampoline cuCtxGetDevice 24
trampoline cuCtxGetFlags 25
trampoline cuCtxGetLimit 26
trampoline cuCtxGetSharedMemConfig 27
trampoline cuCtxGetStreamPriorityRange 28
trampoline cuCtxPopCurrent_v2 29
trampoline cuCtxPushCurrent_v2 30
trampoline cuCtxResetPersistingL2Cache 31
trampoline cuCtxSetCacheConfig 32
trampoline cuCtxSetCurrent 33
trampoline cuCtxSetLimit 34
trampoline cuCtxSetSharedMemConfig 35
trampoline cuCtxSynchronize 36
trampoline cuFuncGetAttribute 37
trampoline cuFuncSetAttribute 38
trampoline cuFuncSetCacheConfig 39
trampoline cuFuncSetSharedMemConfig 40
trampoline cuLaunchKernelEx 41
trampoline cuLaunchCooperativeKernel 42
trampoline cuLaunchKernel 43
trampoline cuModuleGetFunction 44
trampoline cuModuleGetGlobal_v2 45
trampoline cuModuleGetSurfRef 46
trampoline cuModuleGetTexRef 47
trampoline cuModuleLoad 48
trampoline cuModuleLoadData 49
trampoline cuModuleLoadDataEx 50
trampoline cuModuleLoadFatBinary 51
trampoline cuModuleUnload 52
trampoline cuOccupancyMaxActiveBlocksPerMultiprocessor 53
trampoline cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags 54
trampoline cuOccupancyMaxPotentialBlockSize 55
trampoline cuLinkAddData_v2 56
trampoline cuLinkAddFile_v2 57
trampoline cuLinkComplete 58
trampoline cuLinkCreate_v2 59
trampoline cuLinkDestroy 60
trampoline cuEventCreate 61
trampoline cuEventDestroy_v2 62
trampoline cuEventElapsedTime 63
trampoline cuEventQuery 64
trampoline cuEventRecord 65
trampoline cuEventSynchronize 66
trampoline cuStreamAttachMemAsync 67
trampoline cuStreamBeginCapture_v2 68
trampoline cuStreamCreate 69
trampoline cuStreamCreateWithPriority 70
trampoline cuStreamDestroy_v2 71
trampoline cuStreamEndCapture 72
trampoline cuStreamGetFlags 73
trampoline cuStreamGetPriority 74
trampoline cuStreamIsCapturing 75
trampoline cuStreamQuery 76
trampoline cuStreamSynchronize 77
trampoline cuStreamWaitEvent 78
trampoline cuStreamWaitValue32_v2 79
trampoline cuStreamWriteValue32_v2 80
trampoline cuGraphAddChildGraphNode 81
trampoline cuGraphAddDependencies 82
trampoline cuGraphAddEmptyNode 83
trampoline cuGraphAddHostNode 84
trampoline cuGraphAddKernelNode 85
trampoline cuGraphAddMemcpyNode 86
trampoline cuGraphAddMemsetNode 87
trampoline cuGraphClone 88
trampoline cuGraphCreate 89
trampoline cuGraphDestroy 90
trampoline cuGraphDestroyNode 91
trampoline cuGraphExecDestroy 92
trampoline cuGraphGetEdges 93
trampoline cuGraphGetNodes 94
trampoline cuGraphInstantiateWithFlags 95
trampoline cuGraphLaunch 96
trampoline cuGraphUpload 97
trampoline cuMemAdvise 98
trampoline cuMemAlloc_v2 99
trampoline cuMemAllocAsync 100
trampoline cuMemAllocManaged 101
trampoline cuMemAllocPitch_v2 102
trampoline cuMemFree_v2 103
trampoline cuMemFreeAsync 104
trampoline cuMemFreeHost 105
trampoline cuMemGetAddressRange_v2 106
trampoline cuMemGetInfo_v2 107
trampoline cuMemHostAlloc 108
trampoline cuMemPoolSetAttribute 109
trampoline cuMemPoolTrimTo 110
trampoline cuMemPrefetchAsync 111
trampoline cuMemcpy 112
trampoline cuMemcpy2D_v2 113
trampoline cuMemcpy2DAsync_v2 114
trampoline cuMemcpy2DUnaligned_v2 115
trampoline cuMemcpy3D_v2 116
trampoline cuMemcpy3DAsync_v2 117
trampoline cuMemcpy3DPeer 118
trampoline cuMemcpy3DPeerAsync 119
trampoline cuMemcpyAsync 120
trampoline cuMemcpyAtoA_v2 121
trampoline cuMemcpyAtoD_v2 122
trampoline cuMemcpyAtoH_v2 123
trampoline cuMemcpyAtoHAsync_v2 124
trampoline cuMemcpyDtoA_v2 125
trampoline cuMemcpyDtoD_v2 126
trampoline cuMemcpyDtoDAsync_v2 127
trampoline cuMemcpyDtoH_v2 128
trampoline cuMemcpyDtoHAsync_v2 129
trampoline cuMemcpyHtoA_v2 130
trampoline cuMemcpyHtoAAsync_v2 131
trampoline cuMemcpyHtoD_v2 132
trampoline cuMemcpyHtoDAsync_v2 133
trampoline cuMemcpyPeer 134
trampoline cuMemcpyPeerAsync 135
trampoline cuMemsetD16_v2 136
trampoline cuMemsetD16Async 137
trampoline cuMemsetD2D16_v2 138
trampoline cuMemsetD2D16Async 139
trampoline cuMemsetD2D32_v2 140
trampoline cuMemsetD2D32Async 141
trampoline cuMemsetD2D8_v2 142
trampoline cuMemsetD2D8Async 143
trampoline cuMemsetD32_v2 144
trampoline cuMemsetD32Async 145
trampoline cuMemsetD8_v2 146
trampoline cuMemsetD8Async 147
trampoline cuPointerGetAttribute 148
trampoline cuPointerSetAttribute 149
trampoline cuArray3DCreate_v2 150
trampoline cuArray3DGetDescriptor_v2 151
trampoline cuArrayCreate_v2 152
trampoline cuArrayDestroy 153
trampoline cuArrayGetDescriptor_v2 154
trampoline cuSurfRefGetArray 155
trampoline cuSurfRefSetArray 156
trampoline cuTexRefGetAddress_v2 157
trampoline cuTexRefGetAddressMode 158
trampoline cuTexRefGetArray 159
trampoline cuTexRefGetBorderColor 160
trampoline cuTexRefGetFilterMode 161
trampoline cuTexRefGetFlags 162
trampoline cuTexRefGetFormat 163
trampoline cuTexRefGetMaxAnisotropy 164
trampoline cuTexRefSetAddress_v2 165
trampoline cuTexRefSetAddress2D_v3 166
trampoline cuTexRefSetAddressMode 167
trampoline cuTexRefSetArray 168
trampoline cuTexRefSetBorderColor 169
trampoline cuTexRefSetFilterMode 170
trampoline cuTexRefSetFlags 171
trampoline cuTexRefSetFormat 172
trampoline cuTexRefSetMaxAnisotropy 173
trampoline cuTexRefSetMipmapFilterMode 174
trampoline cuTexRefSetMipmapLevelBias 175
trampoline cuTexRefSetMipmapLevelClamp 176
trampoline cuGraphAddKernelNode_v2 177
trampoline cuStreamWaitValue32 178
trampoline cuStreamWriteValue32 179

// Slots of functions that the driver lacks point here.
.globl shim_absent
.hidden shim_absent
.type shim_absent, @function
shim_absent:
	movl %r11d, %edi
	jmp shim_report_absent
.size shim_absent, . - shim_absent

.section .note.GNU-stack,"",@progbits
