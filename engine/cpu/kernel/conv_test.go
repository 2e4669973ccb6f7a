package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// convLoops visits every product of a convolution: x[xi]·w[wi] adds to y[yi].
func convLoops(g ConvGeom, n int, f func(sample, xi, wi, yi int)) {
	oh, ow := g.OutH(), g.OutW()
	for i := range n {
		for o := range g.OutC {
			for oy := range oh {
				for ox := range ow {
					for c := range g.InC {
						for kh := range g.KH {
							for kw := range g.KW {
								y, x := oy*g.StrideH+kh*g.DilH-g.PadH, ox*g.StrideW+kw*g.DilW-g.PadW
								if y < 0 || y >= g.InH || x < 0 || x >= g.InW {
									continue
								}
								f(i, ((i*g.InC+c)*g.InH+y)*g.InW+x, ((o*g.InC+c)*g.KH+kh)*g.KW+kw, ((i*g.OutC+o)*oh+oy)*ow+ox)
							}
						}
					}
				}
			}
		}
	}
}

func convGeoms() []ConvGeom {
	g := func(n, c, h, w, o, kh, kw, sh, sw, ph, pw, dh, dw int) ConvGeom {
		return ConvGeom{Batch: n, InC: c, InH: h, InW: w, OutC: o, KH: kh, KW: kw,
			StrideH: sh, StrideW: sw, PadH: ph, PadW: pw, DilH: dh, DilW: dw}
	}
	all := []ConvGeom{
		g(3, 1, 28, 28, 16, 5, 5, 1, 1, 0, 0, 1, 1),
		g(3, 16, 12, 12, 32, 5, 5, 1, 1, 0, 0, 1, 1),
		g(2, 3, 11, 9, 7, 3, 3, 1, 1, 1, 1, 1, 1),
		g(2, 3, 11, 14, 5, 3, 4, 2, 3, 2, 1, 1, 1),
		g(2, 2, 13, 15, 3, 3, 2, 1, 2, 1, 0, 2, 3),
		g(1, 5, 7, 6, 4, 1, 1, 1, 1, 0, 0, 1, 1),
		g(2, 17, 6, 6, 33, 3, 1, 1, 1, 1, 0, 1, 1),
		g(2, 4, 5, 5, 2, 5, 5, 1, 1, 0, 0, 1, 1),
		g(2, 2, 4, 4, 3, 3, 3, 1, 1, 5, 4, 1, 1),
		g(19, 1, 6, 6, 2, 3, 3, 2, 2, 1, 1, 1, 1),
		g(1, 40, 6, 5, 3, 4, 4, 1, 1, 2, 2, 1, 1),
		g(1, 8, 30, 30, 20, 3, 3, 1, 1, 1, 1, 1, 1),
	}
	r := newRand(11)
	for len(all) < 45 {
		p := func(n int) int { return 1 + r.IntN(n) }
		c := g(p(3), p(9), p(10), p(10), p(9), p(5), p(5), p(3), p(3), p(3)-1, p(3)-1, p(2), p(2))
		if c.Check() == nil {
			all = append(all, c)
		}
	}
	return all
}

// The bounds are those of sums in any order: length·u·Σ|a||b|, u half the unit.
func testConv[T Float](t *testing.T, k *Kernels[T]) {
	r := newRand(12)
	u := unit[T]()
	for _, g := range convGeoms() {
		c, err := NewConv[T](g)
		if err != nil {
			t.Fatal(err)
		}
		for n := range g.Batch + 1 {
			if n > 3 && n < g.Batch {
				continue
			}
			xs, ws, ys := g.InC*g.InH*g.InW, g.OutC*g.InC*g.KH*g.KW, g.OutC*g.OutH()*g.OutW()
			x, w, dy := random[T](r, n*xs), random[T](r, ws), random[T](r, n*ys)
			bias := random[T](r, g.OutC)
			acc := r.IntN(2) == 1
			name := fmt.Sprintf("%+v n=%d acc=%v", g, n, acc)
			testConvForward(t, k, c, n, name, x, w, bias, acc, r)

			want, size := make([]float64, n*xs), make([]float64, n*xs)
			start := random[T](r, n*xs)
			length := float64(g.OutC*g.KH*g.KW + 1)
			begin(want, size, start, acc)
			convLoops(g, n, func(_, xi, wi, yi int) {
				p := float64(w[wi]) * float64(dy[yi])
				want[xi] += p
				size[xi] += math.Abs(p)
			})
			dx := guardedLike(start)
			run(k, n, func(s *Stream[T]) { s.ConvInput(c, dx.s, dy, w, nil, Identity, Identity, nil, acc) })
			dx.check(t, name)
			near(t, name+" input gradient", dx.s, want, bounds(size, length*u/2))

			testConvWeight(t, k, c, n, name, x, dy, acc, r)
		}
	}
}

// begin sets sums to start, if they are added to it, or zero.
func begin[T Float](want, size []float64, start []T, acc bool) {
	for i := range want {
		if acc {
			want[i], size[i] = float64(start[i]), math.Abs(float64(start[i]))
		}
	}
}

// bounds is size scaled, and never zero.
func bounds(size []float64, by float64) []float64 {
	tol := make([]float64, len(size))
	for i, s := range size {
		tol[i] = s*by + 1e-300
	}
	return tol
}

func testConvForward[T Float](t *testing.T, k *Kernels[T], c *Conv[T], n int, name string, x, w, bias []T, acc bool, r *rand.Rand) {
	t.Helper()
	ys := c.OutC * c.outPlane
	for _, f := range []Activation{Identity, ReLU, Tanh} {
		start := random[T](r, n*ys)
		want, size := make([]float64, n*ys), make([]float64, n*ys)
		begin(want, size, start, acc)
		for i := range want {
			b := float64(bias[i/c.outPlane%c.OutC])
			want[i] += b
			size[i] += math.Abs(b)
		}
		convLoops(c.ConvGeom, n, func(_, xi, wi, yi int) {
			p := float64(x[xi]) * float64(w[wi])
			want[yi] += p
			size[yi] += math.Abs(p)
		})
		activatePortable(f, want, want)
		y := guardedLike(start)
		run(k, n, func(s *Stream[T]) { s.ConvForward(c, y.s, x, w, bias, f, Identity, nil, acc) })
		y.check(t, name)
		tol := bounds(size, float64(c.depth+2)*unit[T]()/2)
		for i := range tol {
			tol[i] += 2 * unit[T]()
		}
		near(t, name+" forward "+f.String(), y.s, want, tol)
	}
}

func testConvWeight[T Float](t *testing.T, k *Kernels[T], c *Conv[T], n int, name string, x, dy []T, acc bool, r *rand.Rand) {
	t.Helper()
	ws := c.OutC * c.depth
	start := random[T](r, ws)
	want, size := make([]float64, ws), make([]float64, ws)
	begin(want, size, start, acc)
	own := make([]float64, n*ws)
	ownSize := make([]float64, n*ws)
	convLoops(c.ConvGeom, n, func(i, xi, wi, yi int) {
		p := float64(x[xi]) * float64(dy[yi])
		want[wi] += p
		size[wi] += math.Abs(p)
		own[i*ws+wi] += p
		ownSize[i*ws+wi] += math.Abs(p)
	})
	length := float64(c.outPlane*n + 1)
	tol := bounds(size, length*unit[T]()/2)
	plain, measured := guardedLike(start), guardedLike(start)
	norms := newGuarded[float64](n)
	run(k, n, func(s *Stream[T]) { s.ConvWeight(c, plain.s, x, dy, acc, nil, nil) })
	run(k, n, func(s *Stream[T]) { s.ConvWeight(c, measured.s, x, dy, acc, norms.s, nil) })
	plain.check(t, name)
	measured.check(t, name)
	norms.check(t, name)
	near(t, name+" weight gradient", plain.s, want, tol)
	same(t, name+" weight gradient measured", measured.s, plain.s)
	rows := newGuarded[T](n * ws)
	run(k, n, func(s *Stream[T]) { s.ConvSamples(c, rows.s, x, dy) })
	rows.check(t, name)
	near(t, name+" weight gradients of samples", rows.s, own, bounds(ownSize, float64(c.outPlane+1)*unit[T]()/2))
	both, bothRows, bothNorms := guardedLike(start), newGuarded[T](n*ws), newGuarded[float64](n)
	run(k, n, func(s *Stream[T]) { s.ConvWeight(c, both.s, x, dy, acc, bothNorms.s, bothRows.s) })
	both.check(t, name)
	bothRows.check(t, name)
	same(t, name+" weight gradient with samples", both.s, plain.s)
	same(t, name+" weight gradients of samples in one pass", bothRows.s, rows.s)
	same(t, name+" norms in one pass", bothNorms.s, norms.s)
	for i := range n {
		var norm, off float64
		for j := range ws {
			v := own[i*ws+j]
			norm += v * v
			off += 2 * math.Abs(v) * ownSize[i*ws+j]
		}
		bound := off*float64(c.outPlane)*unit[T]()/2 + norm*float64(ws)*0x1p-53
		if d := math.Abs(norms.s[i] - norm); !(d <= bound+1e-300) {
			t.Fatalf("%s: sample %d has squared norm %v, want %v ± %v", name, i, norms.s[i], norm, bound)
		}
	}
}

func TestConvMatchesPlainLoops(t *testing.T) {
	everyPath(t, testConv[float32], testConv[float64])
}

func TestConvDoesNotDependOnThreads(t *testing.T) {
	g := ConvGeom{Batch: 37, InC: 16, InH: 12, InW: 12, OutC: 32, KH: 5, KW: 5, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}
	c, err := NewConv[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	r := newRand(13)
	x, w, dy := random[float32](r, 37*2304), random[float32](r, 12800), random[float32](r, 37*2048)
	for _, p := range Available() {
		threadsAgree(t, p, func(k *Kernels[float32]) []float32 {
			y, dx, dw, norms := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w)), make([]float64, 37)
			rows := make([]float32, 37*len(w))
			s := k.Stream(37)
			s.ConvForward(c, y, x, w, nil, ReLU, Identity, nil, false)
			s.ConvInput(c, dx, dy, w, nil, Identity, Identity, nil, false)
			s.ConvWeight(c, dw, x, dy, false, norms, nil)
			s.ConvSamples(c, rows, x, dy)
			s.Run()
			out := append(append(append(y, dx...), dw...), rows...)
			for _, v := range norms {
				out = append(out, float32(v))
			}
			return out
		})
	}
}

func TestConvDoesNotAllocate(t *testing.T) {
	g := ConvGeom{Batch: 20, InC: 3, InH: 9, InW: 9, OutC: 8, KH: 3, KW: 3, StrideH: 1, StrideW: 1, PadH: 1, PadW: 1, DilH: 1, DilW: 1}
	c, err := NewConv[float32](g)
	if err != nil {
		t.Fatal(err)
	}
	x, w, y := make([]float32, 20*243), make([]float32, 216), make([]float32, 20*648)
	norms, rows := make([]float64, 20), make([]float32, 20*216)
	for _, p := range Available() {
		k := newKernels[float32](t, p, 2)
		if n := testing.AllocsPerRun(20, func() {
			s := k.Stream(20)
			s.ConvForward(c, y, x, w, nil, Tanh, Identity, nil, false)
			s.ConvInput(c, x, y, w, nil, Identity, ReLU, x, true)
			s.ConvWeight(c, w, x, y, true, norms, nil)
			s.ConvSamples(c, rows, x, y)
			s.Run()
		}); n != 0 {
			t.Errorf("%s: %v allocations", p, n)
		}
	}
}

func TestConvRejectsBadGeometry(t *testing.T) {
	for _, g := range []ConvGeom{{}, {Batch: 1, InC: 1, InH: 3, InW: 3, OutC: 1, KH: 5, KW: 1, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1}} {
		if _, err := NewConv[float32](g); err == nil {
			t.Errorf("%+v: no error", g)
		}
	}
	if (PoolGeom{Channels: 1, InH: 2, InW: 2, KH: 2, KW: 2, StrideH: 2, StrideW: 2, PadH: 2}).Check() == nil {
		t.Error("padding as large as the window: no error")
	}
}
