package kernel

import (
	"testing"
	"unsafe"
)

// The assembly reads a tile's fields at the offsets in gen/tile.go, eight bytes
// each in this order.
func TestTileLayout(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("there is assembly for 64-bit machines only")
	}
	var x tile
	for i, offset := range []uintptr{
		unsafe.Offsetof(x.k), unsafe.Offsetof(x.a), unsafe.Offsetof(x.lda), unsafe.Offsetof(x.aoff),
		unsafe.Offsetof(x.b), unsafe.Offsetof(x.boff), unsafe.Offsetof(x.c), unsafe.Offsetof(x.ldc),
		unsafe.Offsetof(x.bias), unsafe.Offsetof(x.rowBias), unsafe.Offsetof(x.last), unsafe.Offsetof(x.flags),
	} {
		if offset != uintptr(8*i) {
			t.Errorf("field %d is at %d", i, offset)
		}
	}
	if flagAccumulate != 1 || flagReLU != 2 || flagAdd != 4 {
		t.Error("the flags are not those of gen/tile.go")
	}
}

func testMoves[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(51)
	for rows := 1; rows <= 35; rows++ {
		for cols := 1; cols <= 35; cols++ {
			lds, ldd := cols+r.IntN(5), rows+r.IntN(5)
			src := random[T](r, (rows-1)*lds+cols)
			dst := newGuarded[T]((cols-1)*ldd + rows)
			k.tiles.transpose(ptr(dst.s, 0), ptr(src, 0), ldd*k.size, lds*k.size, rows, cols)
			dst.check(t, "transpose")
			for at, v := range dst.s {
				j, i := at/ldd, at%ldd
				want := T(0)
				if i < rows {
					want = src[i*lds+j]
				}
				if v != want {
					t.Fatalf("transposed %d×%d: (%d,%d) is %v, want %v", rows, cols, j, i, v, want)
				}
			}
			ldd = cols + r.IntN(5)
			dst = newGuarded[T]((rows-1)*ldd + cols)
			k.tiles.copyRows(ptr(dst.s, 0), ptr(src, 0), ldd*k.size, lds*k.size, rows, cols)
			dst.check(t, "copy")
			for at, v := range dst.s {
				i, j := at/ldd, at%ldd
				want := T(0)
				if j < cols {
					want = src[i*lds+j]
				}
				if v != want {
					t.Fatalf("copied %d×%d: (%d,%d) is %v, want %v", rows, cols, i, j, v, want)
				}
			}
		}
	}
}

func TestTransposeAndCopy(t *testing.T) {
	everyPath(t, testMoves[float32], testMoves[float64])
}

// A named type with float32's layout runs on float32's kernels.
func TestNamedTypesAreFloats(t *testing.T) {
	type weight float32
	for _, p := range Available() {
		k := newKernels[weight](t, p, 1)
		y := make([]weight, 1)
		k.Gemm(&Gemm[weight]{M: 1, N: 1, K: 2, A: []weight{2, 3}, B: []weight{5, 7}, C: y, Act: ReLU})
		k.Add(y, y, []weight{1})
		if y[0] != 32 {
			t.Errorf("%s: %v, want 32", p, y[0])
		}
	}
}
