package data

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat"
	"pgregory.net/rapid"
)

// anySplit draws a split of bytes or of values.
func anySplit(t *rapid.T) *Split {
	s := &Split{
		N: rapid.IntRange(1, 8).Draw(t, "N"), C: rapid.IntRange(1, 3).Draw(t, "C"),
		H: rapid.IntRange(1, 4).Draw(t, "H"), W: rapid.IntRange(1, 4).Draw(t, "W"),
	}
	total := s.N * s.Size()
	if rapid.Bool().Draw(t, "bytes") {
		s.Pixels = rapid.SliceOfN(rapid.Byte(), total, total).Draw(t, "pixels")
	} else {
		s.Values = rapid.SliceOfN(rapid.Float32Range(-10, 10), total, total).Draw(t, "values")
	}
	s.Labels = rapid.SliceOfN(rapid.Int32Range(0, 4), s.N, s.N).Draw(t, "labels")
	return s
}

func (s *Split) element(i int) float64 {
	if s.Pixels != nil {
		return float64(s.Pixels[i]) / 255
	}
	return float64(s.Values[i])
}

func TestGatherWritesTheRowsAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySplit(t)
		indices := rapid.SliceOfN(rapid.Int32Range(0, int32(s.N)-1), 0, 6).Draw(t, "indices")
		sc := Scale{}
		if rapid.Bool().Draw(t, "normalized") {
			sc = Normalization(s)
		}
		x64 := make([]float64, len(indices)*s.Size())
		x32 := make([]float32, len(x64))
		Gather(x64, s, indices, sc)
		Gather(x32, s, indices, sc)
		for k := range x64 {
			at := k % s.Size()
			want := s.element(int(indices[k/s.Size()])*s.Size() + at)
			if c := at / (s.H * s.W); sc.Mean != nil {
				want = (want - sc.Mean[c]) / sc.Std[c]
			}
			// The same operations in the same order: exactly equal. For
			// float32 one rounding of the float64 is the float32 quotient too.
			if x64[k] != want || x32[k] != float32(want) {
				t.Fatalf("element %d is %g and %g, want %g", k, x64[k], x32[k], want)
			}
		}
	})
}

// Every quotient of two bytes is the same whether divided in float32 or in
// float64 and then rounded, so "divided by 255 in the run's dtype" has one
// meaning.
func TestPixelTableDividesInTheRunsType(t *testing.T) {
	table := pixelTable[float32](Scale{}, 0)
	for x, got := range table {
		if want := float32(float64(x) / 255); got != want {
			t.Errorf("%d became %g, want %g", x, got, want)
		}
	}
}

func TestNormalizationHasTheMomentsThatGonumComputes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySplit(t)
		sc := Normalization(s)
		for c := range s.C {
			var x []float64
			constant := true
			for i := range s.N * s.Size() {
				if i/(s.H*s.W)%s.C == c {
					x = append(x, s.element(i))
					constant = constant && s.element(i) == x[0]
				}
			}
			mean, std := stat.PopMeanStdDev(x, nil)
			if constant {
				std = 1
			}
			// Sums of at most 128 numbers up to 10 in another order: 128 ulps
			// of 10 are 2e-13; the root of a variance doubles digits lost.
			if math.Abs(sc.Mean[c]-mean) > 1e-12 || math.Abs(sc.Std[c]-std) > 1e-7 {
				t.Fatalf("channel %d: %g ± %g, want %g ± %g", c, sc.Mean[c], sc.Std[c], mean, std)
			}
		}
	})
}

func TestOneHotMarksTheLabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySplit(t)
		const classes = 5
		indices := rapid.SliceOfN(rapid.Int32Range(0, int32(s.N)-1), 0, 6).Draw(t, "indices")
		y := make([]float32, len(indices)*classes)
		for i := range y {
			y[i] = float32(math.NaN()) // what was there must go
		}
		OneHot(y, s, indices, classes)
		for r, i := range indices {
			for c := range classes {
				want := float32(0)
				if int(s.Labels[i]) == c {
					want = 1
				}
				if y[r*classes+c] != want {
					t.Fatalf("row %d is %v for label %d", r, y[r*classes:][:classes], s.Labels[i])
				}
			}
		}
	})
}

func TestGatherAndOneHotAllocateNothing(t *testing.T) {
	s := &Split{N: 4, C: 2, H: 3, W: 3, Pixels: ramp(72), Labels: []int32{0, 1, 2, 3}}
	v := &Split{N: 4, C: 2, H: 3, W: 3, Values: make([]float32, 72), Labels: s.Labels}
	sc := Normalization(s)
	indices := []int32{3, 0, 2}
	x, y := make([]float32, 3*18), make([]float64, 3*4)
	if n := testing.AllocsPerRun(10, func() {
		Gather(x, s, indices, Scale{})
		Gather(x, s, indices, sc)
		Gather(x, v, indices, sc)
		OneHot(y, s, indices, 4)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestGatherAndOneHotRefuseWrongCallsByName(t *testing.T) {
	s := &Split{N: 2, C: 1, H: 1, W: 2, Pixels: ramp(4), Labels: []int32{0, 3}}
	for want, call := range map[string]func(){
		panicRows:  func() { Gather(make([]float32, 3), s, []int32{0}, Scale{}) },
		panicIndex: func() { Gather(make([]float32, 2), s, []int32{-1}, Scale{}) },
		panicScale: func() { Gather(make([]float32, 2), s, []int32{0}, Scale{Mean: []float64{1, 2}}) },
		panicLabel: func() { OneHot(make([]float32, 3), s, []int32{1}, 3) },
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %v, want %q", got, want)
				}
			}()
			call()
		}()
	}
}

func TestSliceAndLimitShareTheirSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := anySplit(t)
		b := rapid.IntRange(1, s.N).Draw(t, "b")
		a := rapid.IntRange(0, b-1).Draw(t, "a")
		part, err := s.Slice(a, b)
		if err != nil {
			t.Fatal(err)
		}
		if part.N != b-a || part.Size() != s.Size() || len(part.Labels) != part.N || len(part.Pixels)+len(part.Values) != part.N*s.Size() {
			t.Fatalf("slice %d:%d of %d has another shape: %+v", a, b, s.N, part)
		}
		for i := range part.N * s.Size() {
			if part.element(i) != s.element(a*s.Size()+i) || part.Labels[i/s.Size()] != s.Labels[a+i/s.Size()] {
				t.Fatalf("element %d differs", i)
			}
		}
	})
	s := &Split{N: 5, C: 1, H: 1, W: 1, Pixels: ramp(5), Labels: make([]int32, 5)}
	_, err := s.Limit(6)
	wantError(t, err, "data: ", "6", "5")
	_, err = s.Limit(0)
	wantError(t, err, "data: ", "limit of 0")
	for _, r := range [][2]int{{-1, 3}, {2, 2}, {3, 1}, {0, 6}} {
		_, err := s.Slice(r[0], r[1])
		wantError(t, err, "data: ", "A:B", "≤ 5")
	}
	if l, err := s.Limit(5); err != nil || l.N != 5 {
		t.Errorf("the limit of all: %v, %v", l, err)
	}
}

func BenchmarkGather(b *testing.B) {
	s := &Split{N: 1000, C: 1, H: 28, W: 28, Pixels: ramp(784000)}
	indices := make([]int32, 64)
	for i := range indices {
		indices[i] = int32(i * 13)
	}
	x := make([]float32, 64*784)
	b.SetBytes(64 * 784 * 4)
	for b.Loop() {
		Gather(x, s, indices, Scale{})
	}
}
