package kernel

import "unsafe"

// pointer is the name under which the assembly's signatures know it.
type pointer = unsafe.Pointer

// assemble replaces portable kernels by assembly of path p for elements of size
// bytes.
func assemble[T Float](p Path, size int, tiles *tileSet, vec *vectorSet[T]) {
	if p == Portable {
		return
	}
	// Functions on slices of T and of the type underlying T are called alike.
	if size == 4 {
		v := (*vectorSet[float32])(unsafe.Pointer(vec))
		if p == AVX512 {
			*tiles = tilesF32AVX512()
			vectorsF32AVX512(v)
		} else {
			*tiles = tilesF32AVX2()
			vectorsF32AVX2(v)
		}
		return
	}
	v := (*vectorSet[float64])(unsafe.Pointer(vec))
	if p == AVX512 {
		*tiles = tilesF64AVX512()
		vectorsF64AVX512(v)
	} else {
		*tiles = tilesF64AVX2()
		vectorsF64AVX2(v)
	}
}

// fourRows makes dot kernels of three and four rows out of kernels of one and
// two, for machines with few registers.
func fourRows(s *tileSet) {
	for n := 1; n <= maxDotCols; n++ {
		for m := 3; m <= maxDotRows; m++ {
			first, second := s.dot[2][n], s.dot[m-2][n]
			s.dot[m][n] = func(t *tile) {
				first(t)
				a, c := t.a, t.c
				t.a, t.c = unsafe.Add(a, 2*t.lda), unsafe.Add(c, 2*t.ldc)
				second(t)
				t.a, t.c = a, c
			}
		}
	}
}

// function chooses the loop for an activation; nil where there is none in
// assembly.
func function[T Float](relu, tanh, sigmoid, gelu func(dst, x []T)) func(Activation, []T, []T) {
	loops := [...]func(dst, x []T){ReLU: relu, Tanh: tanh, Sigmoid: sigmoid, GELU: gelu}
	return func(a Activation, dst, x []T) {
		if f := loops[a]; f != nil {
			f(dst, x)
			return
		}
		activatePortable(a, dst, x)
	}
}

// derivative chooses the loop for an activation's derivative; nil where there
// is none in assembly.
func derivative[T Float](relu, tanh, sigmoid, gelu func(dst, dy, r []T)) func(Activation, []T, []T, []T) {
	loops := [...]func(dst, dy, r []T){ReLU: relu, Tanh: tanh, Sigmoid: sigmoid, GELU: gelu}
	return func(a Activation, dst, dy, r []T) {
		if f := loops[a]; f != nil {
			f(dst, dy, r)
			return
		}
		actGradPortable(a, dst, dy, r)
	}
}

// update chooses the loop for an SGD step with velocity or without.
func update[T Float](with func(w, g, v []T, c *T), without func(w, g []T, c *T)) func(*sgdStep[T], []T, []T, []T) {
	return func(c *sgdStep[T], w, g, v []T) {
		if v == nil {
			without(w, g, &c.decay)
		} else {
			with(w, g, v, &c.decay)
		}
	}
}
