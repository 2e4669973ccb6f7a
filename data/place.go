package data

import "sgflow/engine/rng"

// Place is how far a run has gone through its training set. The zero value is its
// beginning.
type Place struct {
	Epoch int `json:"epoch"` // whole ones
	Seen  int `json:"seen"`  // samples of the one under way, fewer than there are
}

// Place returns the place before the given step of a run whose batches have the
// sampler's size.
func (s *Sampler) Place(step int) Place {
	per := s.StepsPerEpoch()
	return Place{Epoch: step / per, Seen: step % per * s.batch}
}

// After returns the place after a batch of n ≥ 1 samples at p: an epoch ends where
// as many samples were seen as there are.
func (s *Sampler) After(p Place, n int) Place {
	if p.Seen += n; p.Seen >= s.n {
		return Place{Epoch: p.Epoch + 1}
	}
	return p
}

// From returns the indices of a batch of size samples, from 1 to as many as there
// are, at place p in step: batches of sizes that change are drawn from the same
// streams as those of one size. With Shuffle the batch holds the next samples of
// the epoch's permutation, and at most what is left of it, so that every epoch has
// each sample once whatever the sizes; with Full it holds all samples.
//
// Indices are written to dst where its capacity is at least size, else to a new
// slice.
func (s *Sampler) From(p Place, step, size int, dst []int32) (indices []int32) {
	if s.kind == Full {
		size = s.n
	}
	if cap(dst) < size {
		dst = make([]int32, 0, size)
	}
	dst = dst[:size]
	switch s.kind {
	case Full:
		for i := range dst {
			dst[i] = int32(i)
		}
	case Replacement:
		stream := rng.New(rng.Batches, s.seed, uint64(step))
		for i := range dst {
			dst[i] = int32(stream.Uint32n(uint32(s.n)))
		}
	case Shuffle:
		s.Prepare(p.Epoch)
		dst = dst[:copy(dst, s.perm[p.Seen:])]
	}
	return dst
}

// Prepare makes the permutation of an epoch, so that its first batch takes no longer than
// others: for who has the time before.
func (s *Sampler) Prepare(epoch int) {
	if s.kind != Shuffle || epoch == s.epoch {
		return
	}
	stream := rng.New(rng.Batches, s.seed, uint64(epoch))
	rng.Permutation(s.perm, &stream)
	s.epoch = epoch
}
