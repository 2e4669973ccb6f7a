// Package kernels holds sgflow's CUDA kernels: the sources, one family a file, and
// what they compile to, which is embedded, so that a machine needs only NVIDIA's
// driver. `make generate` compiles them again with NVRTC, which needs no GPU; CI
// compares. Each family's file says what its kernels compute; package cuda launches
// them, and its tests run the PTX on the emulated device of package emulator.
package kernels

//go:generate env CGO_ENABLED=1 go run ./gen -targets compute_75,compute_80,sm_90
