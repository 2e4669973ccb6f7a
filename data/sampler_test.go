package data

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func mustSampler(t interface{ Fatal(...any) }, kind Sampling, n, batch int, seed uint64) *Sampler {
	s, err := NewSampler(kind, n, batch, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShuffleSeesEverySampleOnceAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		batch := rapid.IntRange(1, n).Draw(t, "batch")
		s := mustSampler(t, Shuffle, n, batch, rapid.Uint64().Draw(t, "seed"))
		steps := s.StepsPerEpoch()
		if steps != n/batch+min(n%batch, 1) {
			t.Fatalf("%d steps for %d samples in batches of %d", steps, n, batch)
		}
		var seen, indices []int32
		epoch := rapid.IntRange(0, 5).Draw(t, "epoch")
		for step := epoch * steps; step < (epoch+1)*steps; step++ {
			if s.Epoch(step) != epoch {
				t.Fatalf("step %d is of epoch %d, want %d", step, s.Epoch(step), epoch)
			}
			indices = s.Batch(step, indices)
			if len(indices) != min(batch, n-len(seen)) {
				t.Fatalf("%d indices after %d of %d", len(indices), len(seen), n)
			}
			seen = append(seen, indices...)
		}
		slices.Sort(seen)
		for i, x := range seen {
			if int(x) != i || len(seen) != n {
				t.Fatalf("an epoch of %d samples saw %v", n, seen)
			}
		}
	})
}

func TestBatchesDependOnTheStepAloneSoAResumedRunContinues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "n")
		batch := rapid.IntRange(1, n).Draw(t, "batch")
		seed := rapid.Uint64().Draw(t, "seed")
		kind := rapid.SampledFrom([]Sampling{Shuffle, Replacement, Full}).Draw(t, "kind")
		straight := mustSampler(t, kind, n, batch, seed)
		var want [][]int32
		for step := range 20 {
			want = append(want, slices.Clone(straight.Batch(step, nil)))
		}
		jumping := mustSampler(t, kind, n, batch, seed)
		for _, step := range rapid.SliceOf(rapid.IntRange(0, 19)).Draw(t, "order") {
			if got := jumping.Batch(step, nil); !slices.Equal(got, want[step]) {
				t.Fatalf("step %d is %v, want %v", step, got, want[step])
			}
		}
	})
}

func TestEpochsAndSeedsShuffleDifferently(t *testing.T) {
	a := mustSampler(t, Shuffle, 1000, 1000, 1)
	b := mustSampler(t, Shuffle, 1000, 1000, 2)
	if slices.Equal(a.Batch(0, nil), a.Batch(1, nil)) || slices.Equal(a.Batch(0, nil), b.Batch(0, nil)) {
		t.Error("two orders of 1000 samples are equal")
	}
}

func TestReplacementDrawsUniformly(t *testing.T) {
	const n, batch, steps = 50, 40, 5000
	s := mustSampler(t, Replacement, n, batch, 3)
	if s.StepsPerEpoch() != 2 || s.Epoch(5) != 2 || s.MaxBatch() != batch {
		t.Errorf("%d steps an epoch, step 5 in epoch %d", s.StepsPerEpoch(), s.Epoch(5))
	}
	var count [n]float64
	var indices []int32
	repeats := 0
	for step := range steps {
		indices = s.Batch(step, indices)
		if len(indices) != batch {
			t.Fatalf("step %d has %d indices", step, len(indices))
		}
		distinct := map[int32]bool{}
		for _, i := range indices {
			count[i]++
			distinct[i] = true
		}
		repeats += batch - len(distinct)
	}
	var chi2 float64
	const want = float64(batch*steps) / n
	for _, c := range count {
		chi2 += (c - want) * (c - want) / want
	}
	// 49 degrees of freedom: 117 is exceeded with probability 1e-7.
	if chi2 > 117 {
		t.Errorf("chi-square %.1f", chi2)
	}
	// 40 draws of 50 miss 50·0.98⁴⁰ = 22.3 and so repeat 12.3 times a step.
	if r := float64(repeats) / steps; r < 12.1 || r > 12.5 {
		t.Errorf("%.2f repeats a step, want 12.28", r)
	}
}

func TestFullTakesAllInOrder(t *testing.T) {
	s := mustSampler(t, Full, 5, 64, 1) // the batch size is not used
	if s.StepsPerEpoch() != 1 || s.MaxBatch() != 5 || s.Epoch(7) != 7 {
		t.Errorf("%d steps an epoch of at most %d", s.StepsPerEpoch(), s.MaxBatch())
	}
	if got := s.Batch(3, nil); !slices.Equal(got, []int32{0, 1, 2, 3, 4}) {
		t.Errorf("step 3 is %v", got)
	}
}

func TestBatchAllocatesNothingOnceItHasABuffer(t *testing.T) {
	for _, kind := range []Sampling{Shuffle, Replacement, Full} {
		s := mustSampler(t, kind, 100, 30, 1)
		dst := make([]int32, 0, s.MaxBatch())
		step := 0
		if n := testing.AllocsPerRun(20, func() { dst = s.Batch(step, dst); step++ }); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}

func TestSamplerRefusesWhatMakesNoBatch(t *testing.T) {
	for _, c := range []struct {
		kind     Sampling
		n, batch int
		want     []string
	}{
		{Shuffle, 1000, 0, []string{"batch of 0", "1000"}},
		{Replacement, 1000, -3, []string{"batch of -3", "1000"}},
		{Shuffle, 1000, 1001, []string{"1001", "larger", "1000"}},
		{Shuffle, 0, 1, []string{"0 samples"}},
		{"shufle", 10, 1, []string{`"shufle"`, "did you mean shuffle"}},
	} {
		_, err := NewSampler(c.kind, c.n, c.batch, 0)
		wantError(t, err, append(c.want, "data: ")...)
	}
}
