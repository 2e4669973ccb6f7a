package kernel

import "unsafe"

// tile is the argument of a micro-kernel. The assembly reads it by the offsets
// that package gen states; TestTileLayout holds the two together.
//
// A micro-kernel computes a block of C, mr rows by nr columns, in registers:
//
//	C(i,j) = [C(i,j)] + [bias(j)] + [rowBias(i)] + Σ_k A(i,k)·B(k,j)
//
// summed for k ascending with one accumulator for each element, which starts
// with the bracketed terms that are wanted: so an element's bits do not depend
// on the block it is computed in. Flags choose whether it starts from C, whether C
// is added at the end instead, and whether max(0,·) of the result is stored.
//
// All strides and offsets are in bytes.
type tile struct {
	k int // length of the sum, at least 1

	// A is addressed in one of two ways, each with its micro-kernels:
	// by rows, A(i,k) at a + i·lda + k·size, or by columns, A(i,k) at
	// a + aoff[k] + i·size.
	a    unsafe.Pointer
	lda  int
	aoff *int

	// B(k,j) is at b + boff[k] + j·size. For dot kernels B(k,j) is at
	// b + boff[j] + k·size.
	b    unsafe.Pointer
	boff *int

	c   unsafe.Pointer // C(i,j) at c + i·ldc + j·size
	ldc int

	bias    unsafe.Pointer // nr values, or nil
	rowBias unsafe.Pointer // mr values, or nil

	last  int // columns in the last vector of the block, 1 to the vector's width
	flags int
}

// Bits of tile.flags.
const (
	flagAccumulate = 1 << iota // start from C instead of zero
	flagReLU                   // store max(0,·)
	flagAdd                    // add the finished sum to C
)

// tileFunc is a micro-kernel for one shape of block.
type tileFunc func(*tile)

// Bounds on the blocks of any path: rows and vectors a row of a tile, of a shifted
// one, and rows and columns of a dot kernel.
const (
	maxTileRows    = 14
	maxTileVecs    = 4
	maxShiftedRows = 9
	maxShiftedVecs = 3
	maxDotRows     = 4
	maxDotCols     = 4
)

// tileSet is the micro-kernels of one path and element type.
type tileSet struct {
	lanes int // elements of a vector
	rows  int // most rows of a block with vecs vectors a row
	vecs  int // preferred vectors a row

	// inPlace is the longest sum for which operands that crowd the first-level cache
	// are read where they are: narrow tiles do little between one line and the next, wide
	// ones so much that a copy costs more than it saves.
	inPlace int

	// byRows[v][m] and byCols[v][m] make blocks of m rows and v vectors a row.
	byRows, byCols [maxTileVecs + 1][maxTileRows + 1]tileFunc

	// shifted[v][m] adds the products of m columns of A with v matrices B_j, each
	// one vector wide, to C, shifted by j rows:
	//
	//	C(i+j,·) += Σ_k A(i,k)·B_j(k,·)   for i < m, j < v
	//
	// A is by columns, row k of B_j at b + boff[k] + j·lda, and last is the columns
	// of C. It looks at no flags. Nil where the path has none.
	shifted [maxShiftedVecs + 1][maxShiftedRows + 1]tileFunc

	// dot[m][n] makes m×n blocks where both operands have k contiguous:
	// A by rows, B(k,j) at b + boff[j] + k·size. Both flags that add C do
	// the same; it honours neither bias nor relu. It sums in a tree over the vector's lanes.
	dot [maxDotRows + 1][maxDotCols + 1]tileFunc

	// transpose stores dst(j,i) = src(i,j): src has rows×cols elements and row
	// stride lds, dst has row stride ldd; strides in bytes.
	transpose func(dst, src unsafe.Pointer, ldd, lds, rows, cols int)

	// copyRows stores dst(i,j) = src(i,j) for rows×cols elements.
	copyRows func(dst, src unsafe.Pointer, ldd, lds, rows, cols int)
}

// at is the element at a byte offset from p.
func at[T Float](p unsafe.Pointer, offset int) *T { return (*T)(unsafe.Add(p, offset)) }

// ints reads entry i of a table of offsets.
func ints(table *int, i int) int {
	return *(*int)(unsafe.Add(unsafe.Pointer(table), i*int(unsafe.Sizeof(*table))))
}

// sizeOf is the number of bytes of a T.
func sizeOf[T Float]() int { var z T; return int(unsafe.Sizeof(z)) }

// ptr is the address of s's element i; s must have it.
func ptr[T any](s []T, i int) unsafe.Pointer { return unsafe.Pointer(&s[i]) }
