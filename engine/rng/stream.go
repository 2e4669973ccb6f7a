package rng

import "math"

// Purpose says what random numbers are for, so that changing how many of them
// one part of a run draws changes no other part. The numbers are fixed: they
// are a part of every stream's name (see the package comment) and a new
// purpose takes the next free one.
type Purpose uint32

const (
	// Weights are initial parameters; the stream is the index of the tensor.
	Weights Purpose = 1
	// Batches choose training samples; the stream is the epoch or the step.
	Batches Purpose = 2
	// Probes are random vectors for estimates (Hutchinson's trace, the start
	// of Lanczos); the stream is the number of the probe.
	Probes Purpose = 3
	// Labels are random changes of labels; the stream is the split.
	Labels Purpose = 4
	// Predictions are labels drawn from a model's own distribution; the stream
	// is the number of the draw times 2³² plus the sample's place in its set.
	Predictions Purpose = 5
	// Projections are the rows of random matrices that points of a path are
	// projected by; the stream is the row.
	Projections Purpose = 6
	// Noise is the normal noise of diffusions (Euler-Maruyama steps of stochastic
	// differential equations, Langevin dynamics); the stream is the step.
	Noise Purpose = 7
	// Injections are the noise that is added to gradients; the stream is the step.
	Injections Purpose = 8
)

// Stream is one sequence of random numbers, a value of 48 bytes: copying it
// copies the place in the sequence. Its methods allocate nothing. It holds
// 2³⁴ words of 32 bits and then begins again. A Stream must not be used by two
// goroutines at once; give each its own.
type Stream struct {
	key  [2]uint32
	ctr  [4]uint32 // of the next block
	buf  [4]uint32
	left uint32 // words of buf not yet given out, the last ones
}

// New returns the stream named by a purpose, the run's seed and a stream
// number, at its beginning. Different names give independent sequences.
func New(p Purpose, seed uint64, stream uint64) Stream {
	return Stream{
		key: [2]uint32{uint32(seed), uint32(seed >> 32)},
		ctr: [4]uint32{0, uint32(p), uint32(stream), uint32(stream >> 32)},
	}
}

// Name returns the counter of the stream's first block and its key, for devices
// that make the numbers themselves (see the package comment).
func (s *Stream) Name() (counter [4]uint32, key [2]uint32) {
	return [4]uint32{0, s.ctr[1], s.ctr[2], s.ctr[3]}, s.key
}

// Uint32 returns the next 32 bits.
func (s *Stream) Uint32() uint32 {
	if s.left == 0 {
		s.buf = Block(s.ctr, s.key)
		s.ctr[0]++
		s.left = 4
	}
	x := s.buf[4-s.left]
	s.left--
	return x
}

// Uint64 returns the next 64 bits: two words, the low one first.
func (s *Stream) Uint64() uint64 {
	lo := uint64(s.Uint32())
	return lo | uint64(s.Uint32())<<32
}

// Float64 returns a uniform number in [0, 1), a multiple of 2⁻⁵³: the high 53
// bits of Uint64.
func (s *Stream) Float64() float64 {
	return float64(s.Uint64()>>11) * 0x1p-53
}

// NormFloat64 returns a standard normal number by the transformation of Box
// and Muller (1958), √(−2 ln(1−u)) cos 2πv for the next two Float64 u and v.
// The sine that would be a second number is dropped, so that every number
// takes exactly one block: the k-th normal of a fresh stream is a function of
// block k. Its magnitude is at most √(2·53 ln 2) ≈ 8.57.
func (s *Stream) NormFloat64() float64 {
	u := 1 - s.Float64() // (0, 1], the logarithm is finite
	v := s.Float64()
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}

// Uint32n returns a uniform number in [0, n), exactly unbiased, by Lemire's
// multiplication with rejection ("Fast random integer generation in an
// interval", 2019). It takes one word, and another with probability below
// n/2³². Uint32n(0) is 0.
func (s *Stream) Uint32n(n uint32) uint32 {
	m := uint64(s.Uint32()) * uint64(n)
	if uint32(m) < n {
		// 2³² mod n of the 2³² words are too many; those are drawn again.
		excess := -n % n
		for uint32(m) < excess {
			m = uint64(s.Uint32()) * uint64(n)
		}
	}
	return uint32(m >> 32)
}
