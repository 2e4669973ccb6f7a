package trajectory

import (
	"math"
	"testing"

	"sgflow/engine/record"
	"sgflow/engine/rng"
)

func TestProjectionIsTheProductWithItsSigns(t *testing.T) {
	const size, dim = 301, 13 // neither a multiple of 8
	p := Projection{Dim: dim, Seed: 5}
	x := normals[float64](size, 2, 0)
	got := make([]float64, dim)
	apply(p.matrix(size), got, x)
	for j := range got {
		signs := make([]float64, size)
		rng.Signs(signs, rng.New(rng.Projections, 5, uint64(j)), 0)
		want := 0.0
		for i, s := range signs {
			want += s * x[i]
		}
		want /= math.Sqrt(dim)
		if math.Abs(got[j]-want) > 1e-12*math.Sqrt(size) { // sums of the same numbers in another order
			t.Errorf("number %d is %v, want %v", j, got[j], want)
		}
	}
}

// Over independent matrices, the ratio of squared distances has mean 1 and, for a
// difference x, variance (2/k)(1 − Σxᵢ⁴/‖x‖⁴).
func TestProjectedDistancesHaveTheStatedError(t *testing.T) {
	const size, dim, matrices = 400, 32, 2000
	x := normals[float64](size, 3, 0)
	var square, fourth float64
	for _, v := range x {
		square += v * v
		fourth += v * v * v * v
	}
	variance := 2.0 / dim * (1 - fourth/square/square)
	var sum, squares float64
	y := make([]float64, dim)
	for seed := range uint64(matrices) {
		p := Projection{Dim: dim, Seed: seed}
		apply(p.matrix(size), y, x)
		ratio := 0.0
		for _, v := range y {
			ratio += v * v / square
		}
		sum += ratio
		squares += (ratio - 1) * (ratio - 1)
	}
	if mean := sum / matrices; math.Abs(mean-1) > 4*math.Sqrt(variance/matrices) {
		t.Errorf("the mean ratio is %v", mean)
	}
	// The variance of a sample variance is about 2σ⁴/n; a chi-squared with 32
	// degrees of freedom has an excess kurtosis of 12/32, which adds 0.375σ⁴/n.
	if got := squares / matrices; math.Abs(got-variance) > 4*variance*math.Sqrt(2.4/matrices) {
		t.Errorf("the variance of the ratio is %v, want %v", got, variance)
	}
	if p := (Projection{Dim: dim}); variance > p.Stderr()*p.Stderr() {
		t.Errorf("the stated error %v is below the true %v", p.Stderr(), math.Sqrt(variance))
	}
}

func TestAllPairsLieWithinTheBound(t *testing.T) {
	const size, points = 2000, 20
	p := Projection{Dim: 600, Seed: 11}
	bound := p.Bound(points, 0.99)
	if !(bound > p.Stderr() && bound < 1) {
		t.Fatalf("the bound is %v", bound)
	}
	// What solves the equation of the bound.
	if left := points * (points - 1) * math.Exp(-300*(bound*bound/2-bound*bound*bound/3)); math.Abs(left-0.01) > 1e-6 {
		t.Errorf("at the bound the chance of a failure is %v, want 0.01", left)
	}
	dir, full := stored[float64](t, Header{Params: []record.ParamSpec{{Name: "w", Shape: []int{size}}}, Projection: &p}, steps(points)...)
	r := mustOpen(t, dir)
	rows := make([][]float64, points)
	for i := range rows {
		rows[i] = make([]float64, p.Dim)
		if err := r.Read(rows[i], i, 0); err != nil {
			t.Fatal(err)
		}
	}
	distance := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += (a[i] - b[i]) * (a[i] - b[i])
		}
		return sum
	}
	for i := range points {
		for j := range i {
			if ratio := distance(rows[i], rows[j]) / distance(full[i], full[j]); math.Abs(ratio-1) > bound {
				t.Errorf("points %d and %d: ratio %v is not within %v of 1", i, j, ratio, bound)
			}
		}
	}
	if small := (Projection{Dim: 8}); !math.IsInf(small.Bound(points, 0.99), 1) || small.Bound(1, 0.99) != 0 {
		t.Error("8 numbers have a bound below 1 for 20 points")
	}
}

func steps(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func BenchmarkProjection(b *testing.B) {
	const size = 535_818 // the preset mlp
	p := Projection{Dim: 256}
	m, x, y := p.matrix(size), normals[float32](size, 1, 0), make([]float64, p.Dim)
	for b.Loop() {
		apply(m, y, x)
	}
}
