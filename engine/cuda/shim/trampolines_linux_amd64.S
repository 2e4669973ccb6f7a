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
trampoline cuLaunchCooperativeKernel 41
trampoline cuLaunchKernel 42
trampoline cuModuleGetFunction 43
trampoline cuModuleGetGlobal_v2 44
trampoline cuModuleGetSurfRef 45
trampoline cuModuleGetTexRef 46
trampoline cuModuleLoad 47
trampoline cuModuleLoadData 48
trampoline cuModuleLoadDataEx 49
trampoline cuModuleLoadFatBinary 50
trampoline cuModuleUnload 51
trampoline cuOccupancyMaxActiveBlocksPerMultiprocessor 52
trampoline cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags 53
trampoline cuOccupancyMaxPotentialBlockSize 54
trampoline cuLinkAddData_v2 55
trampoline cuLinkAddFile_v2 56
trampoline cuLinkComplete 57
trampoline cuLinkCreate_v2 58
trampoline cuLinkDestroy 59
trampoline cuEventCreate 60
trampoline cuEventDestroy_v2 61
trampoline cuEventElapsedTime 62
trampoline cuEventQuery 63
trampoline cuEventRecord 64
trampoline cuEventSynchronize 65
trampoline cuStreamAttachMemAsync 66
trampoline cuStreamBeginCapture_v2 67
trampoline cuStreamCreate 68
trampoline cuStreamCreateWithPriority 69
trampoline cuStreamDestroy_v2 70
trampoline cuStreamEndCapture 71
trampoline cuStreamGetFlags 72
trampoline cuStreamGetPriority 73
trampoline cuStreamIsCapturing 74
trampoline cuStreamQuery 75
trampoline cuStreamSynchronize 76
trampoline cuStreamWaitEvent 77
trampoline cuStreamWaitValue32_v2 78
trampoline cuStreamWriteValue32_v2 79
trampoline cuGraphAddChildGraphNode 80
trampoline cuGraphAddDependencies 81
trampoline cuGraphAddEmptyNode 82
trampoline cuGraphAddHostNode 83
trampoline cuGraphAddKernelNode 84
trampoline cuGraphAddMemcpyNode 85
trampoline cuGraphAddMemsetNode 86
trampoline cuGraphClone 87
trampoline cuGraphCreate 88
trampoline cuGraphDestroy 89
trampoline cuGraphDestroyNode 90
trampoline cuGraphExecDestroy 91
trampoline cuGraphGetEdges 92
trampoline cuGraphGetNodes 93
trampoline cuGraphInstantiateWithFlags 94
trampoline cuGraphLaunch 95
trampoline cuGraphUpload 96
trampoline cuMemAdvise 97
trampoline cuMemAlloc_v2 98
trampoline cuMemAllocAsync 99
trampoline cuMemAllocManaged 100
trampoline cuMemAllocPitch_v2 101
trampoline cuMemFree_v2 102
trampoline cuMemFreeAsync 103
trampoline cuMemFreeHost 104
trampoline cuMemGetAddressRange_v2 105
trampoline cuMemGetInfo_v2 106
trampoline cuMemHostAlloc 107
trampoline cuMemPoolSetAttribute 108
trampoline cuMemPoolTrimTo 109
trampoline cuMemPrefetchAsync 110
trampoline cuMemcpy 111
trampoline cuMemcpy2D_v2 112
trampoline cuMemcpy2DAsync_v2 113
trampoline cuMemcpy2DUnaligned_v2 114
trampoline cuMemcpy3D_v2 115
trampoline cuMemcpy3DAsync_v2 116
trampoline cuMemcpy3DPeer 117
trampoline cuMemcpy3DPeerAsync 118
trampoline cuMemcpyAsync 119
trampoline cuMemcpyAtoA_v2 120
trampoline cuMemcpyAtoD_v2 121
trampoline cuMemcpyAtoH_v2 122
trampoline cuMemcpyAtoHAsync_v2 123
trampoline cuMemcpyDtoA_v2 124
trampoline cuMemcpyDtoD_v2 125
trampoline cuMemcpyDtoDAsync_v2 126
trampoline cuMemcpyDtoH_v2 127
trampoline cuMemcpyDtoHAsync_v2 128
trampoline cuMemcpyHtoA_v2 129
trampoline cuMemcpyHtoAAsync_v2 130
trampoline cuMemcpyHtoD_v2 131
trampoline cuMemcpyHtoDAsync_v2 132
trampoline cuMemcpyPeer 133
trampoline cuMemcpyPeerAsync 134
trampoline cuMemsetD16_v2 135
trampoline cuMemsetD16Async 136
trampoline cuMemsetD2D16_v2 137
trampoline cuMemsetD2D16Async 138
trampoline cuMemsetD2D32_v2 139
trampoline cuMemsetD2D32Async 140
trampoline cuMemsetD2D8_v2 141
trampoline cuMemsetD2D8Async 142
trampoline cuMemsetD32_v2 143
trampoline cuMemsetD32Async 144
trampoline cuMemsetD8_v2 145
trampoline cuMemsetD8Async 146
trampoline cuPointerGetAttribute 147
trampoline cuPointerSetAttribute 148
trampoline cuArray3DCreate_v2 149
trampoline cuArray3DGetDescriptor_v2 150
trampoline cuArrayCreate_v2 151
trampoline cuArrayDestroy 152
trampoline cuArrayGetDescriptor_v2 153
trampoline cuSurfRefGetArray 154
trampoline cuSurfRefSetArray 155
trampoline cuTexRefGetAddress_v2 156
trampoline cuTexRefGetAddressMode 157
trampoline cuTexRefGetArray 158
trampoline cuTexRefGetBorderColor 159
trampoline cuTexRefGetFilterMode 160
trampoline cuTexRefGetFlags 161
trampoline cuTexRefGetFormat 162
trampoline cuTexRefGetMaxAnisotropy 163
trampoline cuTexRefSetAddress_v2 164
trampoline cuTexRefSetAddress2D_v3 165
trampoline cuTexRefSetAddressMode 166
trampoline cuTexRefSetArray 167
trampoline cuTexRefSetBorderColor 168
trampoline cuTexRefSetFilterMode 169
trampoline cuTexRefSetFlags 170
trampoline cuTexRefSetFormat 171
trampoline cuTexRefSetMaxAnisotropy 172
trampoline cuTexRefSetMipmapFilterMode 173
trampoline cuTexRefSetMipmapLevelBias 174
trampoline cuTexRefSetMipmapLevelClamp 175
trampoline cuGraphAddKernelNode_v2 176
trampoline cuStreamWaitValue32 177
trampoline cuStreamWriteValue32 178

// Slots of functions that the driver lacks point here.
.globl shim_absent
.hidden shim_absent
.type shim_absent, @function
shim_absent:
	movl %r11d, %edi
	jmp shim_report_absent
.size shim_absent, . - shim_absent

.section .note.GNU-stack,"",@progbits
