package kernel

import (
	"math"
	"testing"
)

func testReduce[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(41)
	u := unit[T]()
	for _, s := range [][2]int{{0, 3}, {1, 1}, {3, 10}, {7, 33}, {64, 512}, {100, 700}, {1000, 5}} {
		n, d := s[0], s[1]
		for _, ld := range []int{d, d + 3} {
			x := random[T](r, max(n*ld-ld+d, 0))
			norms := newGuarded[float64](n)
			dense := make([]T, 0, n*d)
			for i := range n {
				dense = append(dense, x[i*ld:][:d]...)
			}
			run(k, n, func(s *Stream[T]) { s.RowNormSq(norms.s, dense, d) })
			norms.check(t, "row norms")
			for _, acc := range []bool{false, true} {
				start := random[T](r, d)
				sums := guardedLike(start)
				k.ColSum(sums.s, x, n, d, ld, acc)
				sums.check(t, "column sums")
				want, size := make([]float64, d), make([]float64, d)
				begin(want, size, start, acc)
				for i := range n {
					var norm float64
					for j := range d {
						v := float64(x[i*ld+j])
						want[j] += v
						size[j] += math.Abs(v)
						norm += v * v
					}
					if math.Abs(norms.s[i]-norm) > float64(d)*0x1p-52*norm {
						t.Fatalf("%d×%d: norm of row %d is %v, want %v", n, d, i, norms.s[i], norm)
					}
				}
				near(t, "column sums", sums.s, want, bounds(size, float64(n+1)*u/2))
			}
		}
	}
	for _, s := range [][3]int{{3, 16, 576}, {5, 32, 64}, {2, 3, 7}, {1, 1, 1}} {
		n, c, plane := s[0], s[1], s[2]
		x := random[T](r, n*c*plane)
		for _, acc := range []bool{false, true} {
			start := random[T](r, c)
			sums, norms := guardedLike(start), newGuarded[float64](n)
			run(k, n, func(s *Stream[T]) { s.ChannelSum(sums.s, x, c, plane, acc, norms.s) })
			sums.check(t, "channel sums")
			norms.check(t, "norms of channel sums")
			want, size := make([]float64, c), make([]float64, c)
			begin(want, size, start, acc)
			for i := range n {
				var norm float64
				for ch := range c {
					var s float64
					for _, v := range x[(i*c+ch)*plane:][:plane] {
						s += float64(v)
						size[ch] += math.Abs(float64(v))
					}
					want[ch] += s
					norm += s * s
				}
				if math.Abs(norms.s[i]-norm) > 1e-10*(1+norm) {
					t.Fatalf("norm of sample %d is %v, want %v", i, norms.s[i], norm)
				}
			}
			// Sums are in float64 and rounded once.
			near(t, "channel sums", sums.s, want, bounds(size, u+float64(n*plane)*0x1p-52))
		}
	}
}

func TestReductionsMatchPlainLoops(t *testing.T) {
	everyPath(t, testReduce[float32], testReduce[float64])
}

func testSoftmax[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(42)
	for _, c := range []int{1, 2, 10, 16, 47, 1000} {
		for range 20 {
			z := random[T](r, c)
			for j := range z {
				z[j] *= 20
			}
			p := newGuarded[float64](c)
			lse := k.SoftmaxRow(p.s, z, 0)
			p.check(t, "softmax")
			var sum float64
			m := float64(largest(z))
			for _, x := range z {
				sum += math.Exp(float64(x) - m)
			}
			// A path may compute exp, and the difference before it, in T.
			tol := 4 * unit[T]()
			if want := m + math.Log(sum); math.Abs(lse-want) > tol*(1+math.Abs(want)) {
				t.Fatalf("%d classes: log Σ exp is %v, want %v", c, lse, want)
			}
			for j, x := range z {
				d := float64(x) - m
				if want := math.Exp(d) / sum; math.Abs(p.s[j]-want) > (tol+unit[T]()*math.Abs(d))*want {
					t.Fatalf("%d classes: element %d is %v, want %v", c, j, p.s[j], want)
				}
			}
		}
	}
}

func TestSoftmaxMatchesItsDefinition(t *testing.T) {
	everyPath(t, testSoftmax[float32], testSoftmax[float64])
}

func TestSoftmaxOfNaNIsNaN(t *testing.T) {
	for _, path := range Available() {
		k := newKernels[float32](t, path, 1)
		p := make([]float64, 3)
		lse := k.SoftmaxRow(p, []float32{1, float32(math.NaN()), 2}, 0)
		for _, v := range append(p, lse) {
			if v == v {
				t.Errorf("%s: %v, log Σ exp %v", path, p, lse)
			}
		}
	}
}
