package kernel

import (
	"fmt"
	"math"
	"testing"
)

// gramShape is the widths of a term's rows; b is 0 where there is no second
// factor.
type gramShape struct {
	a, b int
	one  float64
}

// gramCase makes random terms and what their Gram matrix is, with the error
// that each element may have.
func gramCase[T Float](n, n2 int, shapes []gramShape, symmetric bool) (terms []GramTerm[T], want, tol []float64) {
	r := newRand(uint64(n*1000 + n2))
	want, tol = make([]float64, n*n2), make([]float64, n*n2)
	for _, s := range shapes {
		g := GramTerm[T]{
			A: random[T](r, n*s.a), A2: random[T](r, n2*s.a), ACols: s.a,
			B: random[T](r, n*s.b), B2: random[T](r, n2*s.b), BCols: s.b, One: s.one, Scale: 1.5,
		}
		if s.b == 0 {
			g.B, g.B2 = nil, nil
		}
		if symmetric {
			g.A2, g.B2 = g.A, g.B
		}
		terms = append(terms, g)
		for i := range n {
			for j := range n2 {
				x, y := rowProduct(g.A[i*s.a:][:s.a], g.A2[j*s.a:]), 1.0
				size := 1.0
				if s.b > 0 {
					y = rowProduct(g.B[i*s.b:][:s.b], g.B2[j*s.b:]) + s.one
					size = float64(s.b) + s.one
				}
				want[i*n2+j] += 1.5 * x * y
				// Each product of rows is off by its length times its size, which is
				// its length at most, times half a unit.
				length := float64(s.a + s.b)
				tol[i*n2+j] += 1.5 * float64(s.a) * size * length * unit[T]()
			}
		}
	}
	return terms, want, tol
}

func rowProduct[T Float](a, b []T) (s float64) {
	for i, v := range a {
		s += float64(v) * float64(b[i])
	}
	return s
}

var gramShapes = []gramShape{{1, 0, 0}, {33, 0, 0}, {5, 17, 0}, {40, 3, 1}, {16, 64, 1}}

func testGram[T Float](t *testing.T, k *Kernels[T]) {
	for _, n := range []int{1, 3, 4, 9, 17, 131} {
		for _, n2 := range []int{n, 1, 6, 35} {
			for _, symmetric := range []bool{false, true} {
				if symmetric && n2 != n {
					continue
				}
				terms, want, tol := gramCase[T](n, n2, gramShapes, symmetric)
				dst := newGuarded[float64](n * n2)
				for i := range dst.s {
					dst.s[i] = math.NaN() // its old content is not read
				}
				k.Gram(dst.s, n, n2, terms, symmetric)
				what := fmt.Sprintf("Gram matrix %d×%d, symmetric %v", n, n2, symmetric)
				dst.check(t, what)
				near(t, what, dst.s, want, tol)
			}
		}
	}
}

func TestGramMatchesPlainLoops(t *testing.T) {
	everyPath(t, testGram[float32], testGram[float64])
}

func TestGramDoesNotDependOnThreads(t *testing.T) {
	for _, p := range Available() {
		for _, symmetric := range []bool{false, true} {
			terms, _, _ := gramCase[float32](61, 61, gramShapes, symmetric)
			threadsAgree(t, p, func(k *Kernels[float32]) []float32 {
				dst := make([]float64, 61*61)
				k.Gram(dst, 61, 61, terms, symmetric)
				var out []float32
				for _, v := range dst { // both halves of each float64
					out = append(out, float32(v), float32(v-float64(float32(v))))
				}
				return out
			})
		}
	}
}

func TestGramDoesNotAllocate(t *testing.T) {
	terms, _, _ := gramCase[float32](20, 20, gramShapes, true)
	dst := make([]float64, 400)
	for _, p := range Available() {
		k := newKernels[float32](t, p, 2)
		run := func() { k.Gram(dst, 20, 20, terms, true) }
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}

func TestGramRejectsShortRows(t *testing.T) {
	k := newKernels[float64](t, Portable, 1)
	terms, _, _ := gramCase[float64](5, 5, []gramShape{{3, 4, 0}}, false)
	for name, shorten := range map[string]func(g *GramTerm[float64]){
		"A": func(g *GramTerm[float64]) { g.A = g.A[1:] }, "A2": func(g *GramTerm[float64]) { g.A2 = g.A2[1:] },
		"B": func(g *GramTerm[float64]) { g.B = g.B[1:] }, "B2": func(g *GramTerm[float64]) { g.B2 = g.B2[1:] },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is too short: no panic", name)
				}
			}()
			short := terms[0]
			shorten(&short)
			k.Gram(make([]float64, 25), 5, 5, []GramTerm[float64]{short}, false)
		}()
	}
}

func testRows[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(44)
	u := unit[T]()
	for _, s := range [][2]int{{1, 1}, {3, 10}, {7, 33}, {64, 512}, {100, 700}, {1000, 5}} {
		n, d := s[0], s[1]
		x, w := random[T](r, n*d), random[float64](r, n)
		for name, y := range map[string][]T{"rows": random[T](r, n*d), "one row": random[T](r, d)} {
			for _, acc := range []bool{false, true} {
				start := random[float64](r, n)
				dst := guardedLike(start)
				k.RowDot(dst.s, x, y, n, d, 2.5, acc)
				dst.check(t, "RowDot")
				want, tol := make([]float64, n), make([]float64, n)
				begin(want, tol, start, acc)
				for i := range n {
					other := y
					if len(y) == n*d {
						other = y[i*d:]
					}
					want[i] += 2.5 * rowProduct(x[i*d:][:d], other)
					tol[i] = 2.5 * float64(d) * float64(d+2) * 0x1p-52 // sums in float64
				}
				near(t, fmt.Sprintf("RowDot with %s, %d×%d", name, n, d), dst.s, want, tol)
			}
		}
		scaled, sums, squares := newGuarded[T](n*d), newGuarded[T](n), newGuarded[T](d)
		k.RowScale(scaled.s, x, n, d, 2.5, w)
		k.RowSum(sums.s, x, n, d)
		k.ColSquares(squares.s, x, n, d, 2.5)
		scaled.check(t, "RowScale")
		sums.check(t, "RowSum")
		squares.check(t, "ColSquares")
		wantScaled, wantSums, wantSquares := make([]float64, n*d), make([]float64, n), make([]float64, d)
		sumTol := make([]float64, n)
		for i := range n {
			for j, v := range x[i*d:][:d] {
				wantScaled[i*d+j] = 2.5 * w[i] * float64(v)
				wantSums[i] += float64(v)
				sumTol[i] += math.Abs(float64(v)) * (u + float64(d)*0x1p-52)
				wantSquares[j] += 2.5 * float64(v) * float64(v)
			}
		}
		near(t, "RowScale", scaled.s, wantScaled, bounds(repeat(n*d, 4), u))
		near(t, "RowSum", sums.s, wantSums, sumTol)
		near(t, "ColSquares", squares.s, wantSquares, bounds(wantSquares, float64(n+4)*u)) // a sum of positive terms
	}
}

// repeat is n times v.
func repeat(n int, v float64) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = v
	}
	return s
}

func TestRowOperationsMatchPlainLoops(t *testing.T) {
	everyPath(t, testRows[float32], testRows[float64])
}
