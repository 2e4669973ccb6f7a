// Package rng is the project's one generator of randomness: the counter-based
// Philox 4×32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers:
// as easy as 1, 2, 3" (SC 2011).
//
// A counter-based generator is a pure function: 128 random bits are a function
// of a 128-bit counter and a 64-bit key, with no state in between. So the same
// numbers come out on every device, for every number of threads and in a run
// that was interrupted and resumed; nothing but the place in the run has to be
// remembered.
//
// Block is that function. A Stream is one sequence of it, named by a Purpose,
// the run's seed and a stream number whose meaning belongs to the purpose (an
// epoch, a step, the index of a tensor):
//
//	key     = {seed low 32 bits, seed high 32 bits}
//	counter = {block, purpose, stream low 32 bits, stream high 32 bits}
//
// and word w of the stream, w = 0, 1, 2, …, is word w mod 4 of block w div 4.
// Streams with different names share no counter under the same key, so they
// never overlap. This layout and the numbers of the purposes are part of what
// makes a run reproducible: another implementation (a CUDA kernel) follows
// them, and they don't change between versions.
//
// Integers, uniform floats, permutations and signs are the same bits on every
// machine. NormFloat64 and Normals go through math.Log and math.Cos, whose last
// bit may differ between processor architectures.
//
// It is not a source of secrets: Philox is not a cipher.
package rng
