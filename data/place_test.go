package data

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestBatchesOfAnySizesSeeEverySampleOnceAnEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		seed := rapid.Uint64().Draw(t, "seed")
		s := mustSampler(t, Shuffle, n, 1, seed)
		var p Place
		var seen, indices []int32
		for step := 0; p.Epoch < 3; step++ {
			size := rapid.IntRange(1, n).Draw(t, "size")
			indices = s.From(p, step, size, indices)
			if len(indices) != min(size, n-len(seen)) {
				t.Fatalf("%d indices of %d asked for, after %d of %d", len(indices), size, len(seen), n)
			}
			// The same batch from a sampler that was nowhere before.
			if got := mustSampler(t, Shuffle, n, 1, seed).From(p, step, size, nil); !slices.Equal(got, indices) {
				t.Fatalf("step %d is %v, and %v alone", step, indices, got)
			}
			seen = append(seen, indices...)
			before := p
			p = s.After(p, len(indices))
			if p.Epoch == before.Epoch {
				continue
			}
			slices.Sort(seen)
			for i, x := range seen {
				if int(x) != i || len(seen) != n {
					t.Fatalf("an epoch of %d samples saw %v", n, seen)
				}
			}
			seen = seen[:0]
		}
	})
}

func TestPlacesOfEqualBatchesAreThoseOfTheirSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "n")
		batch := rapid.IntRange(1, n).Draw(t, "batch")
		kind := rapid.SampledFrom([]Sampling{Shuffle, Replacement, Full}).Draw(t, "kind")
		s := mustSampler(t, kind, n, batch, 3)
		var p Place
		for step := range 30 {
			if got := s.Place(step); got != p || s.Epoch(step) != p.Epoch {
				t.Fatalf("step %d is at %+v in epoch %d, and at %+v one by one", step, got, s.Epoch(step), p)
			}
			p = s.After(p, len(s.Batch(step, nil)))
		}
	})
}
