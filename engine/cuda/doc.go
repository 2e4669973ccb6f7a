// Package cuda runs a program.Program on an NVIDIA GPU, in float32.
package cuda
