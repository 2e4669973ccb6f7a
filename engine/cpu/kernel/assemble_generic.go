//go:build !amd64

package kernel

// assemble replaces portable kernels by assembly; this machine has none.
func assemble[T Float](Path, int, *tileSet, *vectorSet[T]) {}
