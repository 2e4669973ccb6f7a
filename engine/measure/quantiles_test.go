package measure

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Quartiles are those of sorted elements, of whatever number and with whatever ties.
func TestQuartilesAreThoseOfSortedElements(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 100), rapid.IntRange(1000, 5000)).Draw(r, "n")
		different := rapid.OneOf(rapid.IntRange(1, 5), rapid.IntRange(100, 10_000)).Draw(r, "different values")
		rnd := rand.New(rand.NewPCG(uint64(n), uint64(different)))
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(rnd.IntN(different)) / 8
			if special := rnd.IntN(4 * n); special < 1 {
				x[i] = math.Inf(1 - 2*(different&1))
			}
		}
		switch rapid.IntRange(0, 3).Draw(r, "order") {
		case 0:
			slices.Sort(x)
		case 1:
			slices.Sort(x)
			slices.Reverse(x)
		}
		sorted := slices.Sorted(slices.Values(x))
		got := quartiles(x)
		for i, v := range got {
			at := float64(i) / 4 * float64(n-1)
			low := int(at)
			high, f := min(low+1, n-1), at-float64(low)
			want := sorted[low]*(1-f) + sorted[high]*f
			if i == 0 || i == 4 {
				want = sorted[low]
			}
			if v != want && !(math.IsNaN(v) && math.IsNaN(want)) {
				r.Errorf("quartile %d is %v, want %v", i, v, want)
			}
		}
		if slices.Sort(x); !slices.Equal(x, sorted) {
			r.Error("other elements than before")
		}
	})
	x := make([]float64, 33)
	for i := range x {
		x[i] = float64(32 - i)
	}
	x[20] = math.NaN() // in place of 12
	if q := quartiles(x); !math.IsNaN(q[0]) || q[1] != 7 || q[2] != 16 || q[3] != 24 || q[4] != 32 {
		t.Errorf("with NaN, which is the least: %v", q)
	}
}

// What defeats the choice of pivots is sorted, not divided for ever.
func TestQuartilesOfUnluckyOrders(t *testing.T) {
	x := make([]float64, 4096)
	for i := range x {
		x[i] = float64(i)
	}
	want := slices.Clone(x)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
	arrange(x, 0, []int{1024, 2048}, 3)
	if x[1024] != want[1024] || x[2048] != want[2048] {
		t.Errorf("elements %v and %v, want %v and %v", x[1024], x[2048], want[1024], want[2048])
	}
}

// BenchmarkQuartiles times quartiles of 4,096 numbers, beside sorting them.
func BenchmarkQuartiles(b *testing.B) {
	const n, lists = 4096, 64
	rnd := rand.New(rand.NewPCG(1, 1))
	x, y, k := make([]float64, n*lists), make([]float64, n), 0
	for i := range x {
		x[i] = rnd.ExpFloat64()
	}
	for name, find := range map[string]func(){"selected": func() { quartiles(y) }, "sorted": func() { slices.Sort(y) }} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				copy(y, x[k*n:])
				find()
				k = (k + 1) % lists
			}
		})
	}
}
