package kernel

import (
	"fmt"
	"math"
	"testing"
)

func poolGeoms() []PoolGeom {
	all := []PoolGeom{
		{Channels: 3, InH: 24, InW: 24, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 2, InH: 7, InW: 9, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 2, InH: 70, InW: 70, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 2, InH: 8, InW: 65, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 3, InH: 8, InW: 8, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 1, InH: 2, InW: 37, KH: 2, KW: 2, StrideH: 2, StrideW: 2},
		{Channels: 2, InH: 5, InW: 5, KH: 5, KW: 5, StrideH: 1, StrideW: 1},
	}
	r := newRand(21)
	for len(all) < 40 {
		p := func(n int) int { return 1 + r.IntN(n) }
		g := PoolGeom{Channels: p(4), InH: p(12), InW: p(12), KH: p(4), KW: p(4), StrideH: p(3), StrideW: p(3), PadH: p(2) - 1, PadW: p(2) - 1}
		if g.Check() == nil {
			all = append(all, g)
		}
	}
	return all
}

func testPool[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(22)
	for _, g := range poolGeoms() {
		const n = 3
		in, oh, ow := g.InH*g.InW, g.OutH(), g.OutW()
		planes := n * g.Channels
		x, dy := random[T](r, planes*in), random[T](r, planes*oh*ow)
		for i := range x {
			x[i] = T(math.Round(float64(x[i])*8) / 8) // so that there are equals
		}
		name := fmt.Sprintf("%+v", g)
		y, at := newGuarded[T](planes*oh*ow), make([]int32, planes*oh*ow)
		run(k, n, func(s *Stream[T]) { s.MaxPool(g, y.s, at, x) })
		y.check(t, name)
		dx, start := newGuarded[T](planes*in), random[T](r, planes*in)
		run(k, n, func(s *Stream[T]) { s.MaxPoolScatter(g, dx.s, dy, at, Identity, nil, false) })
		dx.check(t, name)
		added := guardedLike(start)
		run(k, n, func(s *Stream[T]) { s.MaxPoolScatter(g, added.s, dy, at, Identity, nil, true) })
		added.check(t, name)
		picked := newGuarded[T](planes * oh * ow)
		run(k, n, func(s *Stream[T]) { s.MaxPoolGather(g, picked.s, x, at, false) })
		same(t, name+" gather", picked.s, y.s)
		twice := guardedLike(y.s)
		run(k, n, func(s *Stream[T]) { s.MaxPoolGather(g, twice.s, x, at, true) })
		twice.check(t, name)
		for i, v := range twice.s {
			if v != 2*y.s[i] {
				t.Fatalf("%s: gathered and added: output %d is %v, want %v", name, i, v, 2*y.s[i])
			}
		}
		avg, davg := newGuarded[T](planes*oh*ow), newGuarded[T](planes*in)
		run(k, n, func(s *Stream[T]) {
			s.AvgPool(g, avg.s, x, false)
			s.AvgPoolAdjoint(g, davg.s, dy, false)
		})
		avg.check(t, name)
		davg.check(t, name)

		scattered, averaged := make([]float64, planes*in), make([]float64, planes*in)
		for j := range dy {
			p, oy, ox := j/(oh*ow), j/ow%oh, j%ow
			best, place, sum := math.Inf(-1), -1, 0.0
			for kh := range g.KH {
				for kw := range g.KW {
					iy, ix := oy*g.StrideH+kh-g.PadH, ox*g.StrideW+kw-g.PadW
					if iy < 0 || iy >= g.InH || ix < 0 || ix >= g.InW {
						continue
					}
					v := float64(x[p*in+iy*g.InW+ix])
					if v > best {
						best, place = v, iy*g.InW+ix
					}
					sum += v
					averaged[p*in+iy*g.InW+ix] += float64(dy[j]) / float64(g.KH*g.KW)
				}
			}
			if float64(y.s[j]) != best || at[j] != int32(place) {
				t.Fatalf("%s: output %d is %v at %d, want %v at %d", name, j, y.s[j], at[j], best, place)
			}
			if d := math.Abs(float64(avg.s[j]) - sum/float64(g.KH*g.KW)); d > 16*unit[T]() {
				t.Fatalf("%s: average %d is off by %v", name, j, d)
			}
			scattered[p*in+place] += float64(dy[j])
		}
		// At most 16 windows meet an input: 16 roundings of sums below 16.
		tol := bounds(make([]float64, planes*in), 0)
		for i := range tol {
			tol[i] = 256 * unit[T]()
		}
		near(t, name+" scatter", dx.s, scattered, tol)
		near(t, name+" adjoint of average", davg.s, averaged, tol)
		for i := range scattered {
			scattered[i] += float64(start[i])
		}
		near(t, name+" scatter added", added.s, scattered, tol)
	}
}

func TestPoolingMatchesPlainLoops(t *testing.T) {
	everyPath(t, testPool[float32], testPool[float64])
}

func TestMaxPoolKeepsNaN(t *testing.T) {
	for _, p := range Available() {
		k := newKernels[float32](t, p, 1)
		for place := range 4 {
			x := []float32{1, 2, 3, 4}
			x[place] = float32(math.NaN())
			y, at := make([]float32, 1), make([]int32, 1)
			g := PoolGeom{Channels: 1, InH: 2, InW: 2, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
			run(k, 1, func(s *Stream[float32]) { s.MaxPool(g, y, at, x) })
			if y[0] == y[0] {
				t.Errorf("%s: NaN at %d became %v", p, place, y[0])
			}
		}
	}
}
