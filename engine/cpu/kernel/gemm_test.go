package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// gemmCase is a product to test.
type gemmCase struct {
	m, n, k        int
	ta, tb         bool
	acc, bias      bool
	packed         bool
	act, mask      Activation
	padA, padB, pC int // gaps between rows
}

func (c gemmCase) String() string {
	return fmt.Sprintf("%d×%d×%d ta=%v tb=%v acc=%v bias=%v packed=%v act=%v mask=%v gaps=%d,%d,%d",
		c.m, c.n, c.k, c.ta, c.tb, c.acc, c.bias, c.packed, c.act, c.mask, c.padA, c.padB, c.pC)
}

// run computes the case with k and compares it with plain loops in float64.
//
// The bound: a sum of K products in any order errs by at most K·u·Σ|a||b| (Higham
// 2002, §3.1), u half the unit; two more roundings for bias and C. Activations
// have slope at most 1.13 and are exact to a unit of their result.
func runGemm[T Float](t *testing.T, k *Kernels[T], c gemmCase, r *rand.Rand) []T {
	t.Helper()
	ar, ac, br, bc := c.m, c.k, c.k, c.n
	if c.ta {
		ar, ac = ac, ar
	}
	if c.tb {
		br, bc = bc, br
	}
	lda, ldb, ldc, ldy := ac+c.padA, bc+c.padB, c.n+c.pC, c.n+c.padA
	a, b := random[T](r, max(ar*lda-c.padA, 0)), random[T](r, max(br*ldb-c.padB, 0))
	y := random[T](r, max(c.m*ldy-c.padA, 0))
	bias := random[T](r, c.n)
	start := random[T](r, max(c.m*ldc-c.pC, 0))
	out := guardedLike(start)
	g := Gemm[T]{M: c.m, N: c.n, K: c.k, A: a, LDA: lda, TransA: c.ta, B: b, LDB: ldb, TransB: c.tb,
		C: out.s, LDC: ldc, Accumulate: c.acc, Act: c.act, Mask: c.mask, Y: y, LDY: ldy}
	if c.bias {
		g.Bias = bias
	}
	if c.packed {
		g.Packed = new(Packed[T])
		k.PackB(g.Packed, c.k, c.n, b, ldb, c.tb)
		g.B = nil
	}
	k.Gemm(&g)
	out.check(t, c.String())
	u := unit[T]()
	for i := range c.m {
		for j := range ldc {
			at := i*ldc + j
			if at >= len(out.s) {
				break
			}
			if j >= c.n {
				if out.s[at] != start[at] {
					t.Fatalf("%v: gap after row %d was written", c, i)
				}
				continue
			}
			var s, size float64
			for l := range c.k {
				x, w := i*lda+l, l*ldb+j
				if c.ta {
					x = l*lda + i
				}
				if c.tb {
					w = j*ldb + l
				}
				p := float64(a[x]) * float64(b[w])
				s += p
				size += math.Abs(p)
			}
			if c.acc {
				s += float64(start[at])
				size += math.Abs(float64(start[at]))
			}
			if c.bias {
				s += float64(bias[j])
				size += math.Abs(float64(bias[j]))
			}
			tol := float64(c.k+2) * u / 2 * size * 1.13
			v := []float64{s}
			activatePortable(c.act, v, v)
			actGradPortable(c.mask, v, v, []float64{float64(y[i*ldy+j])})
			tol += 8 * u * (math.Abs(v[0]) + u)
			if c.act == Tanh || c.act == Sigmoid || c.act == GELU {
				tol += 2 * u
			}
			if d := math.Abs(float64(out.s[at]) - v[0]); !(d <= tol) {
				t.Fatalf("%v: element (%d,%d) is %v, want %v ± %v", c, i, j, out.s[at], v[0], tol)
			}
		}
	}
	return out.s
}

func testGemm[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(1)
	pick := func(n int) bool { return r.IntN(n) == 0 }
	gap := func() int { return r.IntN(2) * r.IntN(9) }
	randomise := func(c gemmCase) gemmCase {
		c.ta, c.tb, c.acc, c.bias, c.packed = pick(2), pick(2), pick(3), pick(2), pick(4)
		if pick(3) {
			c.act = Activation(r.IntN(5))
		}
		if pick(4) {
			c.mask = Activation(r.IntN(5))
		}
		c.padA, c.padB, c.pC = gap(), gap(), gap()
		return c
	}
	for m := 1; m <= 40; m++ {
		for n := 1 + r.IntN(2); n <= 40; n += 1 + r.IntN(3) {
			runGemm(t, k, randomise(gemmCase{m: m, n: n, k: 1 + r.IntN(40)}), r)
		}
	}
	for _, s := range [][3]int{{0, 5, 3}, {5, 0, 3}, {5, 3, 0}, {64, 10, 256}, {10, 256, 64}, {67, 129, 83},
		{150, 70, 530}, {3, 300, 700}, {1, 500, 100}, {packRows, 35, 9}, {33, 1024, 17}, {16, 32, 1029}, {50, 48, 512}, {40, 512, 64}, {300, 401, 1}, {37, 70, 1}} {
		for range 8 {
			runGemm(t, k, randomise(gemmCase{m: s[0], n: s[1], k: s[2]}), r)
		}
	}
	// Every transposition with every epilogue once, on a shape with edges.
	for _, m := range []int{2, 31, 100} {
		for bits := range 32 {
			c := gemmCase{m: m, n: 45, k: 37, ta: bits&1 > 0, tb: bits&2 > 0, acc: bits&4 > 0, bias: bits&8 > 0, packed: bits&16 > 0}
			for act := Identity; act <= GELU; act++ {
				c.act, c.mask = act, (act+2)%5
				runGemm(t, k, c, r)
			}
		}
	}
}

func TestGemmMatchesPlainLoops(t *testing.T) {
	everyPath(t, testGemm[float32], testGemm[float64])
}

// threadsAgree compares f's results, bit by bit, for one, two and three threads.
func threadsAgree[T Float](t *testing.T, p Path, f func(k *Kernels[T]) []T) {
	t.Helper()
	var first []T
	for threads := 1; threads <= 3; threads++ {
		got := f(newKernels[T](t, p, threads))
		if threads == 1 {
			first = got
			continue
		}
		same(t, fmt.Sprintf("%s: 1 and %d threads", p, threads), first, got)
	}
}

func TestGemmDoesNotDependOnThreads(t *testing.T) {
	for _, p := range Available() {
		for bits := range 4 {
			for _, s := range [][3]int{{64, 200, 300}, {300, 130, 70}, {3, 600, 200}} {
				threadsAgree(t, p, func(k *Kernels[float32]) []float32 {
					return runGemm(t, k, gemmCase{m: s[0], n: s[1], k: s[2], ta: bits&1 > 0, tb: bits&2 > 0, bias: true, act: Tanh}, newRand(3))
				})
			}
		}
	}
}

// A row of a product is the same whether it is computed alone or with others, so
// a sample's outputs do not depend on the batch it came in.
func TestGemmRowsDoNotDependOnTheBatch(t *testing.T) {
	for _, p := range Available() {
		k := newKernels[float32](t, p, 2)
		r := newRand(4)
		const n, depth = 70, 90
		a, b := random[float32](r, 64*depth), random[float32](r, n*depth)
		for _, trans := range []bool{false, true} {
			all := make([]float32, 64*n)
			k.Gemm(&Gemm[float32]{M: 64, N: n, K: depth, A: a, B: b, TransB: trans, C: all})
			for _, m := range []int{k.DotRows() + 1, 9, 30, 63} {
				some := make([]float32, m*n)
				k.Gemm(&Gemm[float32]{M: m, N: n, K: depth, A: a, B: b, TransB: trans, C: some})
				same(t, fmt.Sprintf("%s: %d rows, trans %v", p, m, trans), some, all)
			}
		}
	}
}

func TestGemmRejectsShortSlices(t *testing.T) {
	good := func() Gemm[float32] {
		return Gemm[float32]{M: 3, N: 4, K: 5, A: make([]float32, 15), B: make([]float32, 20), C: make([]float32, 12),
			Bias: make([]float32, 4), Mask: ReLU, Y: make([]float32, 12)}
	}
	g := good()
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Gemm[float32]){
		"A": func(g *Gemm[float32]) { g.A = g.A[1:] }, "B": func(g *Gemm[float32]) { g.B = g.B[1:] },
		"C": func(g *Gemm[float32]) { g.C = g.C[1:] }, "Y": func(g *Gemm[float32]) { g.Y = nil },
		"bias": func(g *Gemm[float32]) { g.Bias = g.Bias[1:] }, "size": func(g *Gemm[float32]) { g.M = -1 },
		"lda": func(g *Gemm[float32]) { g.LDA = 4 }, "packed": func(g *Gemm[float32]) { g.Packed = new(Packed[float32]) },
	} {
		g := good()
		spoil(&g)
		if g.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestGemmDoesNotAllocate(t *testing.T) {
	for _, p := range Available() {
		k := newKernels[float32](t, p, 2)
		r := newRand(5)
		a, b, c := random[float32](r, 128*256), random[float32](r, 256*256), make([]float32, 128*256)
		for bits := range 4 {
			g := Gemm[float32]{M: 128, N: 256, K: 128, A: a, B: b, C: c, TransA: bits&1 > 0, TransB: bits&2 > 0, Act: Tanh}
			if n := testing.AllocsPerRun(5, func() { k.Gemm(&g) }); n != 0 {
				t.Errorf("%s, transposed %d: %v allocations", p, bits, n)
			}
		}
	}
}
