package kernel

// assemble replaces portable kernels by assembly of path p for elements of size
// bytes.
func assemble[T Float](p Path, size int, tiles *tileSet, vec *vectorSet[T]) {}

func spinPause() {}
