package rng

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// draws is large enough that a bias of a few thousandths is seen, and small
// enough for a test of milliseconds. The seeds are fixed, so these tests give
// the same verdict each time; the bounds are what a sound generator exceeds
// with probability below 1e-6.
const draws = 400_000

// sigmas5 bounds a mean of n numbers with the given deviation: five standard
// errors, exceeded with probability 6e-7.
func sigmas5(deviation float64, n int) float64 { return 5 * deviation / math.Sqrt(float64(n)) }

func TestFloat64HasTheMomentsOfTheUniformDistribution(t *testing.T) {
	s := New(Weights, 7, 0)
	var sum, sum2 float64
	for range draws {
		x := s.Float64()
		if x < 0 || x >= 1 {
			t.Fatalf("%g is outside [0, 1)", x)
		}
		sum += x
		sum2 += x * x
	}
	if d := sum/draws - 0.5; math.Abs(d) > sigmas5(math.Sqrt(1.0/12), draws) {
		t.Errorf("mean is off by %g", d)
	}
	// E x² = 1/3, Var x² = 1/5 − 1/9 = 4/45.
	if d := sum2/draws - 1.0/3; math.Abs(d) > sigmas5(math.Sqrt(4.0/45), draws) {
		t.Errorf("second moment is off by %g", d)
	}
}

func TestNormFloat64HasTheMomentsOfTheNormalDistribution(t *testing.T) {
	s := New(Weights, 8, 3)
	var m [5]float64
	for range draws {
		x, p := s.NormFloat64(), 1.0
		for k := range m {
			m[k] += p
			p *= x
		}
	}
	// Var xᵏ = E x²ᵏ − (E xᵏ)²: 1, 2, 15, 96.
	for k, want := range []struct{ mean, variance float64 }{{0, 1}, {1, 2}, {0, 15}, {3, 96}} {
		if d := m[k+1]/draws - want.mean; math.Abs(d) > sigmas5(math.Sqrt(want.variance), draws) {
			t.Errorf("moment %d is off by %g", k+1, d)
		}
	}
}

func TestNormFloat64FitsTheNormalDistributionByChiSquare(t *testing.T) {
	const bins = 64
	var count [bins]int
	s := New(Weights, 9, 1)
	for range draws {
		count[int(distuv.UnitNormal.CDF(s.NormFloat64())*bins)]++
	}
	chiSquareFits(t, count[:], draws)
}

func TestNormFloat64TakesOneBlockEach(t *testing.T) {
	s := New(Weights, 1, 2)
	for range 5 {
		s.NormFloat64()
	}
	if s.ctr[0] != 5 || s.left != 0 {
		t.Errorf("after five normals the stream is at block %d with %d words left", s.ctr[0], s.left)
	}
}

func TestUint32nIsUniformByChiSquare(t *testing.T) {
	for _, n := range []uint32{2, 3, 10, 1000, 4096} {
		s := New(Batches, 11, uint64(n))
		count := make([]int, n)
		for range draws {
			count[s.Uint32n(n)]++
		}
		chiSquareFits(t, count, draws)
	}
}

// For n = 3·2³⁰ a plain product without rejection gives the numbers ≡ 0 mod 3
// twice as often as the others.
func TestUint32nIsUnbiasedWhereRejectionMatters(t *testing.T) {
	var count [3]int
	s := New(Batches, 12, 0)
	for range draws {
		count[s.Uint32n(3<<30)%3]++
	}
	chiSquareFits(t, count[:], draws)
}

func TestUint32nStaysBelowItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint32Min(1).Draw(t, "n")
		s := New(Batches, rapid.Uint64().Draw(t, "seed"), 0)
		if x := s.Uint32n(n); x >= n {
			t.Fatalf("Uint32n(%d) = %d", n, x)
		}
	})
}

func TestStreamsAllocateNothing(t *testing.T) {
	perm := make([]int32, 100)
	signs := make([]float32, 1000)
	allocs := testing.AllocsPerRun(10, func() {
		s := New(Batches, 1, 2)
		s.Uint64()
		s.NormFloat64()
		Permutation(perm, &s)
		Signs(signs, s, 3)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// chiSquareFits fails where equally likely bins with these counts are less
// likely than 1e-6.
func chiSquareFits(t *testing.T, count []int, total int) {
	t.Helper()
	want := float64(total) / float64(len(count))
	var x float64
	for _, c := range count {
		x += (float64(c) - want) * (float64(c) - want) / want
	}
	if p := (distuv.ChiSquared{K: float64(len(count) - 1)}).Survival(x); p < 1e-6 {
		t.Errorf("%d bins: chi-square %.1f has probability %.2g", len(count), x, p)
	}
}
