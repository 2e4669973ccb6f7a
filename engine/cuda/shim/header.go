package shim

import "embed"

// Headers has the project's cuda.h, in the folder include.
//
//go:embed include/cuda.h include/cuda_constants.h
var Headers embed.FS
