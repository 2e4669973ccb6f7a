package kernel

import "fmt"

// Gemm is a matrix product
//
//	C = f( [C +] op(A)·op(B) + bias ) ⊙ g′(Y)
//
// op(A) is M×K, op(B) K×N, C M×N, all row-major. A is stored M×K, or K×M with
// TransA; B is stored K×N, or N×K with TransB. The leading dimensions are the
// distances between stored rows; zero means rows without gaps.
//
// Every element is one sum over k, in ascending order with fused multiply-adds
// where the path has them, that starts with C (if Accumulate) plus bias; its bits
// depend neither on threads nor on its place in C. Products A·Bᵀ of at most
// [Kernels.DotRows] rows are summed in another fixed order.
//
// C must not overlap A, B, Bias; it may be Y itself (same slice and LDC = LDY)
// when Mask is used. Not copied: the slices are the caller's.
type Gemm[T Float] struct {
	M, N, K int

	A      []T
	LDA    int
	TransA bool

	B      []T
	LDB    int
	TransB bool
	// Packed, where not nil, is op(B) as made by PackB; B, LDB and TransB are
	// not read then.
	Packed *Packed[T]

	C          []T
	LDC        int
	Accumulate bool // add to C

	Bias []T        // N values added to every row, or nil
	Act  Activation // f; Identity is the zero value

	// Mask and Y multiply the result by the derivative of the activation Mask,
	// computed from Y (M×N, leading dimension LDY) as [Kernels.ActGrad] does.
	// Identity (zero) multiplies by nothing.
	Mask Activation
	Y    []T
	LDY  int
}

// defaults fills in the leading dimensions that are zero.
func (g *Gemm[T]) defaults() {
	if g.LDA == 0 {
		g.LDA = g.K
		if g.TransA {
			g.LDA = g.M
		}
	}
	if g.LDB == 0 {
		g.LDB = g.N
		if g.TransB {
			g.LDB = g.K
		}
	}
	if g.LDC == 0 {
		g.LDC = g.N
	}
	if g.LDY == 0 {
		g.LDY = g.N
	}
}

// Check reports the first thing that is wrong with the sizes of g: what Gemm
// would panic on.
func (g *Gemm[T]) Check() error {
	h := *g
	h.defaults()
	if h.M < 0 || h.N < 0 || h.K < 0 {
		return fmt.Errorf("kernel: product %d×%d×%d: a size is negative", h.M, h.N, h.K)
	}
	fits := func(name string, s []T, rows, cols, ld int) error {
		if ld < cols || rows > 0 && cols > 0 && len(s) < (rows-1)*ld+cols {
			return fmt.Errorf("kernel: product %d×%d×%d: %s has %d elements, needs %d×%d with leading dimension %d",
				h.M, h.N, h.K, name, len(s), rows, cols, ld)
		}
		return nil
	}
	ar, ac, br, bc := h.M, h.K, h.K, h.N
	if h.TransA {
		ar, ac = ac, ar
	}
	if h.TransB {
		br, bc = bc, br
	}
	if err := fits("A", h.A, ar, ac, h.LDA); err != nil {
		return err
	}
	if h.Packed == nil {
		if err := fits("B", h.B, br, bc, h.LDB); err != nil {
			return err
		}
	} else if h.Packed.K != h.K || h.Packed.N != h.N {
		return fmt.Errorf("kernel: product %d×%d×%d: the packed B is %d×%d", h.M, h.N, h.K, h.Packed.K, h.Packed.N)
	}
	if err := fits("C", h.C, h.M, h.N, h.LDC); err != nil {
		return err
	}
	if h.Mask != Identity {
		if err := fits("Y", h.Y, h.M, h.N, h.LDY); err != nil {
			return err
		}
	}
	if h.Bias != nil && len(h.Bias) < h.N {
		return fmt.Errorf("kernel: product %d×%d×%d: the bias has %d values", h.M, h.N, h.K, len(h.Bias))
	}
	return nil
}

// Gemm computes the product that g states. It panics with the error of
// [Gemm.Check] where the slices don't fit the sizes.
func (k *Kernels[T]) Gemm(g *Gemm[T]) {
	if err := g.Check(); err != nil {
		panic(err)
	}
	if g.M == 0 || g.N == 0 {
		return
	}
	t := &k.gemm
	t.kernels, t.Gemm = k, *g
	t.defaults()
	switch {
	case g.K == 0:
		t.emptySum()
		return
	case t.K == 1 && t.Packed == nil && !t.Accumulate && t.Bias == nil:
		t.planOuter()
	case t.Packed == nil && t.TransB && !t.TransA && t.M <= k.DotRows() && t.K >= 2*k.tiles.lanes:
		t.planDot()
	case t.Packed == nil && t.TransB && !t.TransA && t.M < t.N:
		t.planSwapped()
	default:
		t.planDirect()
	}
	k.pool.Run(t.rowBlocks*t.colBlocks, t)
	t.Gemm = Gemm[T]{}
}

// DotRows is the number of rows of C up to which A·Bᵀ is computed as dot
// products of the rows of A and B, with no copy of either.
func (k *Kernels[T]) DotRows() int { return 4 }

// gemmTask is one product on its way through the pool. A piece is one block of
// rows and columns of C (of Cᵀ when swapped).
type gemmTask[T Float] struct {
	Gemm[T]
	kernels              *Kernels[T]
	mode                 gemmMode
	m, n                 int // rows and columns of the blocked matrix: C or Cᵀ
	rowBlocks, colBlocks int
	colUnit              int // columns that blocks are multiples of
	depth                int // most of k in one go
	vecs                 int // vectors a row of a tile
	packed               *Packed[T]
	copyA                bool
	boff, aoff           []int
}

type gemmMode uint8

const (
	direct  gemmMode = iota // tiles of C, B by rows or packed
	swapped                 // tiles of Cᵀ = B·Aᵀ with Aᵀ packed, transposed when stored
	dots                    // dot products of rows of A and B
	outer                   // rows of C = a·bᵀ, each a multiple of b
)

// Sizes that trade the caches off; the results do not depend on them.
const (
	blockRows    = 126     // rows of A in a block: with maxDepth a quarter of 1 MiB of second-level cache
	blockCols    = 512     // most columns in a block
	swappedRows  = 32      // rows of Cᵀ in a block: two cache lines of C
	swappedCols  = 256     // columns of Cᵀ in a block: its scratch is 32 KiB
	maxDepth     = 512     // longest piece of k
	blockWork    = 1 << 19 // multiply-adds that are worth a hand-over to another thread
	outerWork    = 1 << 15 // elements of an outer product that are worth it
	enoughBlocks = 16      // blocks that balance over the threads of a small machine
	aliasBytes   = 4096    // strides that are multiples of it crowd one set of the first-level cache
	packRows     = 1500    // rows of C from which B is read often enough to be packed; fewer read it in place
	packCrowded  = 256     // the same where the rows of B crowd the cache
	copyCols     = 32      // vectors in a row of C from which A by columns is worth a copy by rows
)

// crowded reports whether rows that lie stride bytes apart fall on so few sets of a
// first-level cache (64 sets of 8 lines of 64 bytes) that a line of each fills more
// than half of them.
func crowded(stride, rows int) bool {
	const line, sets, ways = 64, 64, 8
	if stride%line != 0 {
		return false
	}
	return rows > sets/gcd(sets, stride/line)*ways/2
}

// depthOf cuts k into equal pieces of at most maxDepth.
func depthOf(k int) int {
	pieces := max(1, (k+maxDepth-1)/maxDepth)
	return (k + pieces - 1) / pieces
}

// planDirect blocks C, and packs B where it is transposed or read very often.
func (t *gemmTask[T]) planDirect() {
	k := t.kernels
	t.mode, t.m, t.n = direct, t.M, t.N
	t.depth = depthOf(t.K)
	t.vecs = k.tiles.vecs
	t.packed = t.Packed
	enough := packRows
	if t.LDB*k.size%aliasBytes == 0 || t.depth > k.tiles.inPlace && crowded(t.LDB*k.size, t.depth) {
		enough = packCrowded
	}
	if t.packed == nil && (t.TransB || t.M >= enough) {
		k.PackB(&k.packedB, t.K, t.N, t.B, t.LDB, t.TransB)
		t.packed = &k.packedB
	}
	rowStride := t.LDB * k.size
	if t.packed != nil {
		rowStride = t.packed.width * k.size
	} else if t.M <= maxTileRows && t.N > t.vecs*k.tiles.lanes {
		funcs := &k.tiles.byRows
		if t.TransA {
			funcs = &k.tiles.byCols
		}
		for v := maxTileVecs; v > t.vecs; v-- {
			if funcs[v][t.M] != nil {
				t.vecs = v
			}
		}
	}
	t.boff = k.offsets.get(rowStride, t.depth)
	t.planA()
	t.colUnit = t.vecs * k.tiles.lanes
	t.rowBlocks = (t.m + blockRows - 1) / blockRows
	want := min(enoughBlocks, t.M*t.N*t.K/blockWork)
	units := (t.n + t.colUnit - 1) / t.colUnit
	t.colBlocks = max((t.n+blockCols-1)/blockCols, min((want+t.rowBlocks-1)/t.rowBlocks, units), 1)
}

// planA chooses how the tiles address A: in place, or where that crowds the cache
// or is by columns in many a line, copied by rows.
func (t *gemmTask[T]) planA() {
	k := t.kernels
	t.copyA = t.LDA*k.size%aliasBytes == 0 && t.K > 16
	if t.TransA && t.depth > k.tiles.inPlace {
		t.copyA = t.copyA || t.N >= copyCols*k.tiles.lanes || crowded(t.LDA*k.size, t.depth)
	}
	t.copyA = t.copyA && t.N > 4*k.tiles.lanes && t.M > 1
	if t.TransA && !t.copyA {
		t.aoff = k.offsets.get(t.LDA*k.size, t.depth)
	}
}

// planSwapped blocks Cᵀ = B·Aᵀ, with the smaller operand A packed.
func (t *gemmTask[T]) planSwapped() {
	k := t.kernels
	k.PackB(&k.swapped, t.K, t.M, t.A, t.LDA, true)
	t.packed = &k.swapped
	t.mode, t.m, t.n = swapped, t.N, t.M
	t.depth = depthOf(t.K)
	t.vecs = k.tiles.vecs
	t.boff = k.offsets.get(t.packed.width*k.size, t.depth)
	t.copyA = t.LDB*k.size%aliasBytes == 0 && t.K > 16 && t.M > 4*k.tiles.lanes
	t.colUnit = t.packed.width
	t.rowBlocks = (t.m + swappedRows - 1) / swappedRows
	if t.M*t.N*t.K <= blockWork && t.n <= swappedCols {
		t.rowBlocks = (t.m + 4*swappedRows - 1) / (4 * swappedRows)
	}
	t.colBlocks = (t.n + swappedCols - 1) / swappedCols
}

// planDot blocks C by columns for dot kernels.
func (t *gemmTask[T]) planDot() {
	t.mode, t.m, t.n = dots, t.M, t.N
	t.colUnit = maxDotCols
	t.rowBlocks = 1
	t.colBlocks = max(1, min(enoughBlocks, t.M*t.N*t.K/(blockWork/8), t.N/maxDotCols))
	t.boff = t.kernels.offsets.get(t.LDB*t.kernels.size, maxDotCols)
}

// planOuter blocks C by rows. Tiles would store to as many rows at a time as
// they have, which the cache and the memory take less well than row after row.
func (t *gemmTask[T]) planOuter() {
	t.mode, t.m, t.n = outer, t.M, t.N
	t.colUnit, t.colBlocks = 1, 1
	t.rowBlocks = min(t.M, max(1, t.M*t.N/outerWork))
	if t.TransB && t.LDB > 1 {
		k := t.kernels
		k.column = grow(k.column, t.N)
		for j := range t.N {
			k.column[j] = t.B[j*t.LDB]
		}
		t.B = k.column
	}
}

// doOuter computes rows [r0,r1) of C.
func (t *gemmTask[T]) doOuter(r0, r1 int) {
	step := t.LDA
	if t.TransA {
		step = 1
	}
	for r := r0; r < r1; r++ {
		t.kernels.vec.scale(t.C[r*t.LDC:][:t.N], t.A[r*step], t.B[:t.N])
	}
	t.finish(r0, r1, 0, t.N, true)
}

// emptySum finishes a product with K = 0.
func (t *gemmTask[T]) emptySum() {
	for i := range t.M {
		row := t.C[i*t.LDC:][:t.N]
		if !t.Accumulate {
			clear(row)
		}
		for j := range t.Bias {
			if j < t.N {
				row[j] += t.Bias[j]
			}
		}
	}
	t.finish(0, t.M, 0, t.N, true)
	t.Gemm = Gemm[T]{}
}

// span cuts n into count pieces of nearly equal size in multiples of unit and
// returns the borders of piece i.
func span(n, count, unit, i int) (lo, hi int) {
	units := (n + unit - 1) / unit
	return min(units*i/count*unit, n), min(units*(i+1)/count*unit, n)
}

// Do finishes block i of the product.
func (t *gemmTask[T]) Do(i, worker int) {
	c0, c1 := span(t.n, t.colBlocks, t.colUnit, i%t.colBlocks)
	r := i / t.colBlocks
	switch t.mode {
	case direct:
		r0, r1 := span(t.m, t.rowBlocks, 1, r)
		t.doDirect(r0, r1, c0, c1, worker)
	case swapped:
		r0, r1 := span(t.m, t.rowBlocks, swappedRows, r)
		for ; r0 < r1; r0 += swappedRows {
			t.doSwapped(r0, min(r0+swappedRows, r1), c0, c1, worker)
		}
	case dots:
		t.doDots(c0, c1, worker)
	case outer:
		r0, r1 := span(t.m, t.rowBlocks, 1, r)
		t.doOuter(r0, r1)
	}
}

// doDirect computes rows [r0,r1) and columns [c0,c1) of C.
func (t *gemmTask[T]) doDirect(r0, r1, c0, c1, worker int) {
	k := t.kernels
	x := &k.work[worker].tile
	*x = tile{}
	x.ldc = t.LDC * k.size
	for k0 := 0; k0 < t.K; k0 += t.depth {
		x.k = min(t.depth, t.K-k0)
		x.flags = 0
		if k0 > 0 || t.Accumulate {
			x.flags |= flagAccumulate
		}
		if k0+x.k == t.K && t.Act == ReLU {
			x.flags |= flagReLU
		}
		a, lda := t.blockOfA(t.A, t.LDA, t.TransA, r0, r1, k0, x.k, worker)
		funcs := &k.tiles.byRows
		step := lda
		if t.TransA && !t.copyA {
			funcs, step, x.aoff = &k.tiles.byCols, 1, &t.aoff[0]
		}
		x.lda = lda * k.size
		width := t.vecs * k.tiles.lanes
		for c := c0; c < c1; c += width {
			vecs := x.columns(min(width, c1-c), k.tiles.lanes)
			t.panelOfB(x, k0, c)
			if x.bias = nil; t.Bias != nil && k0 == 0 {
				x.bias = ptr(t.Bias, c)
			}
			for r, count := r0, tilesIn(r1-r0, k.tiles.rows); count > 0; count-- {
				rows := (r1 - r + count - 1) / count
				x.a = ptr(a, (r-r0)*step)
				x.c = ptr(t.C, r*t.LDC+c)
				funcs[vecs][rows](x)
				r += rows
			}
		}
	}
	t.finish(r0, r1, c0, c1, t.Act != ReLU)
}

// columns sets the tile's number of columns and returns how many vectors that
// are.
func (x *tile) columns(n, lanes int) (vecs int) {
	vecs = (n + lanes - 1) / lanes
	x.last = n - (vecs-1)*lanes
	return vecs
}

// tilesIn is how many tiles of at most most rows cover rows.
func tilesIn(rows, most int) int { return (rows + most - 1) / most }

// panelOfB points the tile at row k0 and column c of op(B).
func (t *gemmTask[T]) panelOfB(x *tile, k0, c int) {
	x.boff = &t.boff[0]
	if t.packed != nil {
		x.b = t.packed.at(k0, c)
		return
	}
	x.b = ptr(t.B, k0*t.LDB+c)
}

// blockOfA returns rows [r0,r1) and depth [k0,k0+depth) of the left operand: in
// place, or copied by rows to the worker's scratch.
func (t *gemmTask[T]) blockOfA(a []T, lda int, trans bool, r0, r1, k0, depth, worker int) ([]T, int) {
	k := t.kernels
	rows, from := r1-r0, r0*lda+k0
	if trans {
		from = k0*lda + r0
	}
	if !t.copyA {
		return a[from:], lda
	}
	// One cache line more than a multiple of four lines spreads the rows.
	ld := (depth*k.size+255)/256*256/k.size + 64/k.size
	dst := k.scratch(worker, 0, rows*ld)
	if trans {
		k.tiles.transpose(ptr(dst, 0), ptr(a, from), ld*k.size, lda*k.size, depth, rows)
	} else {
		k.tiles.copyRows(ptr(dst, 0), ptr(a, from), ld*k.size, lda*k.size, rows, depth)
	}
	return dst, ld
}

// doSwapped computes columns [r0,r1) and rows [c0,c1) of C by way of Cᵀ.
func (t *gemmTask[T]) doSwapped(r0, r1, c0, c1, worker int) {
	k := t.kernels
	ld := swappedCols
	out := k.scratch(worker, 1, swappedRows*swappedCols)
	block := ptr(t.C, c0*t.LDC+r0)
	if t.Accumulate {
		k.tiles.transpose(ptr(out, 0), block, ld*k.size, t.LDC*k.size, c1-c0, r1-r0)
	}
	x := &k.work[worker].tile
	*x = tile{}
	x.ldc = ld * k.size
	for k0 := 0; k0 < t.K; k0 += t.depth {
		x.k = min(t.depth, t.K-k0)
		x.flags = 0
		if k0 > 0 || t.Accumulate {
			x.flags |= flagAccumulate
		}
		if k0+x.k == t.K && t.Act == ReLU {
			x.flags |= flagReLU
		}
		a, lda := t.blockOfA(t.B, t.LDB, false, r0, r1, k0, x.k, worker)
		x.lda = lda * k.size
		for c := c0; c < c1; c += t.colUnit {
			vecs := x.columns(min(t.colUnit, c1-c), k.tiles.lanes)
			t.panelOfB(x, k0, c)
			for r, count := r0, tilesIn(r1-r0, k.tiles.rows); count > 0; count-- {
				rows := (r1 - r + count - 1) / count
				x.a = ptr(a, (r-r0)*lda)
				x.c = ptr(out, (r-r0)*ld+c-c0)
				if x.rowBias = nil; t.Bias != nil && k0 == 0 {
					x.rowBias = ptr(t.Bias, r)
				}
				k.tiles.byRows[vecs][rows](x)
				r += rows
			}
		}
	}
	k.tiles.transpose(block, ptr(out, 0), t.LDC*k.size, ld*k.size, r1-r0, c1-c0)
	t.finish(c0, c1, r0, r1, t.Act != ReLU)
}

// doDots computes columns [c0,c1) of C as dot products.
func (t *gemmTask[T]) doDots(c0, c1, worker int) {
	k := t.kernels
	if t.Bias != nil {
		for r := range t.M {
			row := t.C[r*t.LDC:]
			if t.Accumulate {
				k.vec.add(row[c0:c1], row[c0:c1], t.Bias[c0:c1])
			} else {
				copy(row[c0:c1], t.Bias[c0:c1])
			}
		}
	}
	x := &k.work[worker].tile
	*x = tile{k: t.K, lda: t.LDA * k.size, ldc: t.LDC * k.size, boff: &t.boff[0]}
	if t.Accumulate || t.Bias != nil {
		x.flags = flagAccumulate
	}
	for r := 0; r < t.M; r += maxDotRows {
		rows := min(maxDotRows, t.M-r)
		x.a = ptr(t.A, r*t.LDA)
		for c := c0; c < c1; c += maxDotCols {
			x.b = ptr(t.B, c*t.LDB)
			x.c = ptr(t.C, r*t.LDC+c)
			k.tiles.dot[rows][min(maxDotCols, c1-c)](x)
		}
	}
	t.finish(0, t.M, c0, c1, true)
}

// finish applies, to a block of C that is still in the cache, what the tiles
// have not done: the activation (if act is set) and the mask.
func (t *gemmTask[T]) finish(r0, r1, c0, c1 int, act bool) {
	act = act && t.Act != Identity
	if !act && t.Mask == Identity {
		return
	}
	for r := r0; r < r1; r++ {
		row := t.C[r*t.LDC:][c0:c1]
		if act {
			t.kernels.vec.activate(t.Act, row, row)
		}
		if t.Mask != Identity {
			t.kernels.vec.actGrad(t.Mask, row, row, t.Y[r*t.LDY:][c0:c1])
		}
	}
}
