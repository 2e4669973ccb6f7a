package data

import (
	"fmt"
	"math"

	"sgflow/engine/nearest"
)

// Sampling says how batches are drawn from the training samples.
type Sampling string

const (
	// Shuffle goes through a fresh permutation of all samples every epoch,
	// batch after batch; the last batch of an epoch holds what is left.
	Shuffle Sampling = "shuffle"
	// Replacement draws every index of every batch independently and
	// uniformly. An epoch is as many steps as with Shuffle, all of them full.
	Replacement Sampling = "replacement"
	// Full takes all samples in order every step: gradient descent. An epoch
	// is one step; the batch size is not used.
	Full Sampling = "full"
)

// samplings lists the kinds for messages.
var samplings = []string{string(Shuffle), string(Replacement), string(Full)}

// Sampler gives the batch of any step. The batch of step t is a function of
// (kind, n, batch, seed, t) alone, so a resumed run continues exactly and every
// device sees the same ones:
//
//	shuffle      epoch e = t div ⌈n/batch⌉ permutes by stream (Batches, seed, e)
//	replacement  step t draws from stream (Batches, seed, t)
//
// It remembers the epoch's permutation and so is not for concurrent use; two
// samplers made alike agree. From draws batches of other sizes
// from the same streams.
type Sampler struct {
	kind     Sampling
	n, batch int
	seed     uint64
	epoch    int     // of perm; −1 before the first
	perm     []int32 // Shuffle: the order of this epoch
}

// NewSampler returns a sampler of n samples in batches of the given size. The
// size must lie in [1, n], except that Full doesn't use it.
func NewSampler(kind Sampling, n, batch int, seed uint64) (*Sampler, error) {
	if n < 1 || n > math.MaxInt32 {
		return nil, fmt.Errorf("data: sampling from %d samples: give 1 to %d", n, math.MaxInt32)
	}
	s := &Sampler{kind: kind, n: n, batch: batch, seed: seed, epoch: -1}
	switch kind {
	case Full:
		s.batch = n
		return s, nil
	case Shuffle:
		s.perm = make([]int32, n)
	case Replacement:
	default:
		return nil, fmt.Errorf("data: unknown sampling %q: did you mean %s? There are shuffle, replacement and full",
			kind, nearest.Name(string(kind), samplings))
	}
	switch {
	case batch < 1:
		return nil, fmt.Errorf("data: a batch of %d samples: give 1 to %d", batch, n)
	case batch > n:
		return nil, fmt.Errorf("data: a batch of %d samples is larger than the training set of %d: give at most %d", batch, n, n)
	}
	return s, nil
}

// MaxBatch returns the largest number of indices that a step has: n for Full,
// the batch size otherwise.
func (s *Sampler) MaxBatch() int { return s.batch }

// StepsPerEpoch returns ⌈n/batch⌉, which is 1 for Full.
func (s *Sampler) StepsPerEpoch() int { return (s.n + s.batch - 1) / s.batch }

// Epoch returns the epoch of a step; both count from 0.
func (s *Sampler) Epoch(step int) int { return step / s.StepsPerEpoch() }

// Batch returns the indices of step ≥ 0, in any order of calls; going on step
// by step is cheapest. They are written to dst where its capacity is at least
// MaxBatch, else to a new slice: with dst[:0] of the last call it allocates
// nothing.
func (s *Sampler) Batch(step int, dst []int32) (indices []int32) {
	return s.From(s.Place(step), step, s.batch, dst)
}
