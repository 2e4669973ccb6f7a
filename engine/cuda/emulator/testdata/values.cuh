#pragma once

#define KERNEL extern "C" __global__ void
#define FULL 0xffffffffu
#define VOTES 11
#ifdef SGFLOW_EMULATED
#define SYNC_GRID() sgflow_sync_grid()
#endif

static __constant__ float table[4] = {1, 2, 3, 4};
