package rng

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

func TestNormalsDoNotDependOnTheSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Noise, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "step"))
		start := rapid.Uint64Range(0, 1<<33).Draw(t, "start")
		whole := make([]float64, rapid.IntRange(0, 100).Draw(t, "n"))
		Normals(whole, s, start)
		parts := make([]float64, len(whole))
		moved := s
		moved.Uint32() // how far the stream was read makes no difference
		for at := 0; at < len(parts); {
			n := rapid.IntRange(1, len(parts)-at).Draw(t, "part")
			Normals(parts[at:at+n], moved, start+uint64(at))
			at += n
		}
		for i := range whole {
			if whole[i] != parts[i] {
				t.Fatalf("element %d is %g in one piece and %g in parts", i, whole[i], parts[i])
			}
		}
	})
}

func TestNormalsFitTheNormalDistributionByChiSquare(t *testing.T) {
	const bins = 64
	x := make([]float64, draws)
	Normals(x, New(Noise, 9, 1), 0)
	for place := range normalsPerBlock { // each of a block's numbers by itself, and all
		var count [bins]int
		for i := place; i < draws; i += normalsPerBlock {
			count[int(distuv.UnitNormal.CDF(x[i])*bins)]++
		}
		chiSquareFits(t, count[:], draws/normalsPerBlock)
	}
	var count [bins]int
	for _, v := range x {
		count[int(distuv.UnitNormal.CDF(v)*bins)]++
	}
	chiSquareFits(t, count[:], draws)
}

// Products of neighbours have mean 0 and variance 1, those of squares, less one,
// mean 0 and variance 4: the two numbers of a pair share their radius.
func TestNormalsAreUncorrelatedWithTheirNeighboursAndSoAreTheirSquares(t *testing.T) {
	x := make([]float64, draws)
	Normals(x, New(Noise, 10, 2), 0)
	for lag := 1; lag <= 5; lag++ {
		var sum, squares float64
		n := draws - lag
		for i := range n {
			sum += x[i] * x[i+lag]
			squares += (x[i]*x[i] - 1) * (x[i+lag]*x[i+lag] - 1)
		}
		if math.Abs(sum/float64(n)) > sigmas5(1, n) || math.Abs(squares/float64(n)) > sigmas5(2, n) {
			t.Errorf("at distance %d: mean product %g, of squares %g", lag, sum/float64(n), squares/float64(n))
		}
	}
}

func TestNormalsOfFloat32AreTheRoundedOnes(t *testing.T) {
	a, b := make([]float64, 1000), make([]float32, 1000)
	s := New(Noise, 11, 3)
	Normals(a, s, 7)
	Normals(b, s, 7)
	for i := range a {
		if float32(a[i]) != b[i] {
			t.Fatalf("element %d is %g and %g", i, a[i], b[i])
		}
	}
	if n := testing.AllocsPerRun(10, func() { Normals(b, s, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNormals(b *testing.B) {
	x := make([]float32, 1<<15)
	b.SetBytes(int64(4 * len(x)))
	for range b.N {
		Normals(x, New(Noise, 1, 1), 0)
	}
}
