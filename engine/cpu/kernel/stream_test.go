package kernel

import (
	"fmt"
	"slices"
	"testing"
)

// run runs the stream that record records.
func run[T Float](k *Kernels[T], n int, record func(*Stream[T])) {
	s := k.Stream(n)
	record(s)
	s.Run()
}

// halve is a caller's own operation.
type halve[T Float] struct {
	x     []T
	width int
}

func (h *halve[T]) Samples(lo, hi, _ int) {
	for i := lo * h.width; i < hi*h.width; i++ {
		h.x[i] /= 2
	}
}

// testStream takes samples through a convolution, a pool, another convolution
// and an operation of the caller's, and back: in one stream, and operation by
// operation.
func testStream[T Float](t *testing.T, k *Kernels[T]) {
	const most = 41
	first, err := NewConv[T](ConvGeom{Batch: most, InC: 2, InH: 12, InW: 11, OutC: 5, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilH: 1, DilW: 1})
	if err != nil {
		t.Fatal(err)
	}
	pool := PoolGeom{Channels: 5, InH: 12, InW: 11, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	second, err := NewConv[T](ConvGeom{Batch: most, InC: 5, InH: 6, InW: 5, OutC: 18, KH: 3, KW: 2, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1})
	if err != nil {
		t.Fatal(err)
	}
	wide, pooled, out := first.OutC*first.outPlane, 5*6*5, second.OutC*second.outPlane
	for _, n := range []int{1, 7, 16, most} {
		r := newRand(uint64(n))
		x := random[T](r, n*first.InC*first.inPlane)
		w1, b1, w2 := random[T](r, first.OutC*first.depth), random[T](r, first.OutC), random[T](r, second.OutC*second.depth)
		compute := func(separate bool) []T {
			h, p, y, at := make([]T, n*wide), make([]T, n*pooled), make([]T, n*out), make([]int32, n*pooled)
			dp, dh := make([]T, n*pooled), make([]T, n*wide)
			dw1, db1, dw2 := make([]T, len(w1)), make([]T, len(b1)), make([]T, len(w2))
			norms1, norms2, biasNorms := make([]float64, n), make([]float64, n), make([]float64, n)
			s := k.Stream(n)
			next := func() {
				if separate {
					s.Run()
					s = k.Stream(n)
				}
			}
			s.ConvForward(first, h, x, w1, b1, ReLU, Identity, nil, false)
			next()
			s.MaxPool(pool, p, at, h)
			next()
			s.ConvForward(second, y, p, w2, nil, Tanh, Identity, nil, false)
			next()
			s.Call(&halve[T]{y, out}, out, out)
			next()
			s.ConvInput(second, dp, y, w2, nil, Identity, ReLU, p, false)
			next()
			s.MaxPoolScatter(pool, dh, dp, at, Sigmoid, p, false)
			next()
			s.ConvWeight(first, dw1, x, dh, false, norms1, nil)
			next()
			s.ChannelSum(db1, dh, first.OutC, first.outPlane, false, biasNorms)
			next()
			s.ConvWeight(second, dw2, p, y, false, norms2, nil)
			next()
			s.ConvWeight(second, dw2, p, y, true, nil, nil)
			s.Run()
			all := slices.Concat(h, p, y, dp, dh, dw1, db1, dw2)
			for _, v := range slices.Concat(norms1, norms2, biasNorms) {
				all = append(all, T(v))
			}
			return all
		}
		same(t, fmt.Sprintf("%d samples", n), compute(false), compute(true))
	}
}

func TestStreamIsItsOperationsOneByOne(t *testing.T) {
	everyPath(t, testStream[float32], testStream[float64])
}
