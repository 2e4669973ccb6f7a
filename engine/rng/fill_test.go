package rng

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPermutationHoldsEveryIndexOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dst := make([]int32, rapid.IntRange(0, 500).Draw(t, "n"))
		s := New(Batches, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "epoch"))
		Permutation(dst, &s)
		slices.Sort(dst)
		for i, x := range dst {
			if int(x) != i {
				t.Fatalf("sorted, place %d holds %d", i, x)
			}
		}
	})
}

func TestPermutationTakesEveryOrderEquallyOften(t *testing.T) {
	count := map[[4]int32]int{}
	const runs = 48_000
	for epoch := range uint64(runs) {
		var p [4]int32
		s := New(Batches, 3, epoch)
		Permutation(p[:], &s)
		count[p]++
	}
	all := make([]int, 0, 24)
	for _, c := range count {
		all = append(all, c)
	}
	if len(all) != 24 {
		t.Fatalf("%d orders of 4 were seen, there are 24", len(all))
	}
	chiSquareFits(t, all, runs)
}

func TestSignsDoNotDependOnTheSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := New(Probes, rapid.Uint64().Draw(t, "seed"), rapid.Uint64().Draw(t, "probe"))
		start := rapid.Uint64Range(0, 1<<38).Draw(t, "start")
		whole := make([]float64, rapid.IntRange(0, 1000).Draw(t, "n"))
		Signs(whole, s, start)
		parts := make([]float32, len(whole))
		moved := s
		moved.Uint32() // how far the stream was read makes no difference
		for at := 0; at < len(parts); {
			n := rapid.IntRange(1, len(parts)-at).Draw(t, "part")
			Signs(parts[at:at+n], moved, start+uint64(at))
			at += n
		}
		for i := range whole {
			if whole[i] != float64(parts[i]) {
				t.Fatalf("element %d is %g in one piece and %g in parts", i, whole[i], parts[i])
			}
		}
	})
}

func TestSignsAreTheDocumentedBits(t *testing.T) {
	s := New(Probes, 5, 6)
	got := make([]float64, 300)
	Signs(got, s, 0)
	for i := range got {
		word := Block([4]uint32{uint32(i / 128), 3, 6, 0}, [2]uint32{5, 0})[i/32%4]
		if want := 1 - 2*float64(word>>(i%32)&1); got[i] != want {
			t.Fatalf("element %d is %g, want %g", i, got[i], want)
		}
	}
}

func TestSignsAreBalancedAndUncorrelated(t *testing.T) {
	x := make([]float64, 1<<18)
	Signs(x, New(Probes, 21, 4), 0)
	var sum, lag1, lag32 float64
	for i, v := range x {
		if math.Abs(v) != 1 {
			t.Fatalf("element %d is %g", i, v)
		}
		sum += v
		if i >= 32 {
			lag1 += v * x[i-1]
			lag32 += v * x[i-32]
		}
	}
	for name, v := range map[string]float64{"mean": sum, "correlation at 1": lag1, "correlation at 32": lag32} {
		if v /= float64(len(x)); math.Abs(v) > sigmas5(1, len(x)) {
			t.Errorf("%s is %g", name, v)
		}
	}
}
