#pragma once

#define KERNEL extern "C" __global__ void
#define FULL 0xffffffffu
#define VOTES 11

// The emulator's barrier of a grid; no device has this function.
extern "C" __device__ void sgflow_sync_grid();

static __constant__ float table[4] = {1, 2, 3, 4};
