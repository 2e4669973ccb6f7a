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
			k.RowNormSq(norms.s, x, n, d, ld)
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
	u := unit[T]()
	for _, s := range [][2]int{{1, 1}, {3, 2}, {64, 10}, {5, 47}, {300, 16}, {2, 1000}} {
		n, c := s[0], s[1]
		z, v, target := random[T](r, n*c), random[T](r, n*c), make([]T, n*c)
		labels := make([]int32, n)
		for i := range z {
			z[i] *= 20
		}
		for i := range labels {
			labels[i] = int32(r.IntN(c))
			target[i*c+int(labels[i])] = 1
		}
		const scale = 0.25
		loss, loss2 := newGuarded[float64](n), newGuarded[float64](n)
		grad, grad2, prob, hv := newGuarded[T](n*c), newGuarded[T](n*c), newGuarded[T](n*c), newGuarded[T](n*c)
		k.SoftmaxCrossEntropy(loss.s, grad.s, z, target, n, c, scale)
		k.SoftmaxCrossEntropyLabels(loss2.s, grad2.s, z, labels, n, c, scale)
		k.Softmax(prob.s, z, n, c)
		k.SoftmaxTangent(hv.s, prob.s, v, n, c, scale)
		for _, g := range []*guarded[T]{grad, grad2, prob, hv} {
			g.check(t, "softmax")
		}
		for i := range n {
			row := z[i*c:][:c]
			var sum, pv float64
			m := float64(largest(row))
			for _, x := range row {
				sum += math.Exp(float64(x) - m)
			}
			for j, x := range row {
				pv += math.Exp(float64(x)-m) / sum * float64(v[i*c+j])
			}
			want := m + math.Log(sum) - float64(row[labels[i]])
			// A path may compute exp to the precision of T.
			for _, got := range []float64{loss.s[i], loss2.s[i]} {
				if math.Abs(got-want) > 8*u*(1+want) {
					t.Fatalf("%d×%d: loss of row %d is %v, want %v", n, c, i, got, want)
				}
			}
			for j, x := range row {
				p := math.Exp(float64(x)-m) / sum
				at := i*c + j
				g, h := scale*(p-float64(target[at])), scale*p*(float64(v[at])-pv)
				for _, e := range [][2]float64{{float64(grad.s[at]), g}, {float64(grad2.s[at]), g}, {float64(prob.s[at]), p}, {float64(hv.s[at]), h}} {
					if math.Abs(e[0]-e[1]) > 8*u {
						t.Fatalf("%d×%d: element (%d,%d) is %v, want %v", n, c, i, j, e[0], e[1])
					}
				}
			}
		}
		onlyLoss := make([]float64, n)
		k.SoftmaxCrossEntropyLabels(onlyLoss, nil, z, labels, n, c, 1)
		same(t, "loss alone", onlyLoss, loss2.s)
		inPlace := append([]T(nil), z...)
		k.SoftmaxCrossEntropyLabels(nil, inPlace, inPlace, labels, n, c, scale)
		same(t, "gradient in place", inPlace, grad2.s)
	}
}

func TestSoftmaxMatchesItsDefinition(t *testing.T) {
	everyPath(t, testSoftmax[float32], testSoftmax[float64])
}

func TestSoftmaxOfNaNIsNaN(t *testing.T) {
	for _, p := range Available() {
		k := newKernels[float32](t, p, 1)
		loss := make([]float64, 1)
		k.SoftmaxCrossEntropyLabels(loss, nil, []float32{1, float32(math.NaN()), 2}, []int32{0}, 1, 3, 1)
		if loss[0] == loss[0] {
			t.Errorf("%s: loss is %v", p, loss[0])
		}
	}
}
