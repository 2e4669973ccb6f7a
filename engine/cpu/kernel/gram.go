package kernel

import "fmt"

// GramTerm is one term of a [Kernels.Gram] matrix: rows aᵢ and a′ⱼ of ACols
// elements and rows bᵢ and b′ⱼ of BCols elements, without gaps. B and B2 are
// nil where there is no second factor.
type GramTerm[T Float] struct {
	A, A2 []T
	ACols int
	B, B2 []T
	BCols int
	// One is added to ⟨bᵢ,b′ⱼ⟩, as if the b had one more element, 1: with the
	// inputs of a dense layer for B that puts its bias among its weights.
	One   float64
	Scale float64
}

// gramTask computes a Gram matrix by blocks.
type gramTask[T Float] struct {
	kernels   *Kernels[T]
	dst       []float64
	n, n2     int
	symmetric bool
	block     int // rows and columns of a block
	across    int // blocks in a row of blocks
	terms     []gramTerm[T]
}

// gramTerm is a term with the byte offsets of four rows.
type gramTerm[T Float] struct {
	GramTerm[T]
	aoff, boff [maxDotCols]int
}

// Rows and columns of a block: few where there are few blocks for the threads
// to share, more where the rows have to come from far for each. The results do
// not depend on them.
const (
	gramBlock      = 8
	gramLargeBlock = 32
	gramLarge      = 128 // rows from which blocks are large
)

// Gram stores the n×n2 matrix of products of rows
//
//	dst(i,j) = Σ_terms Scale·⟨aᵢ,a′ⱼ⟩·(⟨bᵢ,b′ⱼ⟩ + One)
//
// with the second bracket left out where B is nil. A and B hold n rows, A2 and
// B2 n2. With symmetric, n2 is n, A2 and B2 are A and B, and half the products
// are made.
//
// The products of rows are in T, what is made of them in float64. Every
// element has the same bits for any number of threads.
func (k *Kernels[T]) Gram(dst []float64, n, n2 int, terms []GramTerm[T], symmetric bool) {
	dst = dst[:n*n2]
	t := &k.gram
	list := t.terms[:0]
	for i := range terms {
		g := gramTerm[T]{GramTerm: terms[i]}
		g.check(n, n2)
		for j := range maxDotCols {
			g.aoff[j], g.boff[j] = j*g.ACols*k.size, j*g.BCols*k.size
		}
		list = append(list, g)
	}
	*t = gramTask[T]{kernels: k, dst: dst, n: n, n2: n2, symmetric: symmetric, block: gramBlock, terms: list}
	if n >= gramLarge {
		t.block = gramLargeBlock
	}
	t.across = (n2 + t.block - 1) / t.block
	k.pool.Run((n+t.block-1)/t.block*t.across, t)
	clear(list)
	*t = gramTask[T]{terms: list[:0]}
}

func (g *gramTerm[T]) check(n, n2 int) {
	short := g.ACols < 1 || len(g.A) < n*g.ACols || len(g.A2) < n2*g.ACols
	if g.B != nil {
		short = short || g.BCols < 1 || len(g.B) < n*g.BCols || len(g.B2) < n2*g.BCols
	}
	if short {
		panic(fmt.Errorf("kernel: Gram matrix %d×%d: rows of %d and %d: %d, %d, %d and %d elements",
			n, n2, g.ACols, g.BCols, len(g.A), len(g.A2), len(g.B), len(g.B2)))
	}
}

// Do computes block i.
func (t *gramTask[T]) Do(i, worker int) {
	r0, c0 := i/t.across*t.block, i%t.across*t.block
	r1, c1 := min(r0+t.block, t.n), min(c0+t.block, t.n2)
	if t.symmetric && c0 > r0 {
		return // the block below the diagonal makes it
	}
	for r := r0; r < r1; r++ {
		clear(t.dst[r*t.n2+c0 : r*t.n2+c1])
	}
	for k := range t.terms {
		for r := r0; r < r1; r += maxDotRows {
			for c := c0; c < c1; c += maxDotCols {
				if t.symmetric && c > r {
					break
				}
				t.tile(&t.terms[k], r, min(maxDotRows, r1-r), c, min(maxDotCols, c1-c), worker)
			}
		}
	}
	if !t.symmetric {
		return
	}
	for r := r0; r < r1; r++ {
		for c := c0; c < min(c1, r); c++ {
			t.dst[c*t.n2+r] = t.dst[r*t.n2+c]
		}
	}
}

// tile adds one term to rows by cols elements from (r,c).
func (t *gramTask[T]) tile(g *gramTerm[T], r, rows, c, cols, worker int) {
	k := t.kernels
	out := k.scratch(worker, 1, 2*maxDotRows*maxDotCols)
	a, b := out[:maxDotRows*maxDotCols], out[maxDotRows*maxDotCols:]
	x := &k.work[worker].tile
	*x = tile{
		k: g.ACols, lda: g.ACols * k.size, ldc: maxDotCols * k.size, boff: &g.aoff[0],
		a: ptr(g.A, r*g.ACols), b: ptr(g.A2, c*g.ACols), c: ptr(a, 0),
	}
	k.tiles.dot[rows][cols](x)
	if g.B != nil {
		x.k, x.lda, x.boff = g.BCols, g.BCols*k.size, &g.boff[0]
		x.a, x.b, x.c = ptr(g.B, r*g.BCols), ptr(g.B2, c*g.BCols), ptr(b, 0)
		k.tiles.dot[rows][cols](x)
	}
	for i := range rows {
		dst := t.dst[(r+i)*t.n2+c:][:cols]
		for j := range dst {
			v := g.Scale * float64(a[i*maxDotCols+j])
			if g.B != nil {
				v *= float64(b[i*maxDotCols+j]) + g.One
			}
			dst[j] += v
		}
	}
}
