package rng

// Permutation fills dst with a uniformly random order of 0 … len(dst)−1, by
// the shuffle of Fisher and Yates from the end, with len(dst)−1 draws of
// Uint32n from s.
func Permutation(dst []int32, s *Stream) {
	for i := range dst {
		dst[i] = int32(i)
	}
	for i := len(dst) - 1; i > 0; i-- {
		j := s.Uint32n(uint32(i) + 1)
		dst[i], dst[j] = dst[j], dst[i]
	}
}

// signsPerBlock is how many elements one block of Signs decides.
const signsPerBlock = 128

// Signs fills dst with the elements first … first+len(dst)−1 of the vector of
// independent, equally likely +1 and −1 that belongs to the name of s (a
// Rademacher probe). Element i is a function of that name and i alone:
//
//	−1 where bit i mod 32 of word (i div 32) mod 4 of block i div 128 is set, else +1
//
// so any split of the vector over threads, calls or devices makes the same
// one. How far s has been read doesn't matter. The vector holds 2³⁹ elements
// and then begins again.
func Signs[T float32 | float64](dst []T, s Stream, first uint64) {
	sign := [2]T{1, -1}
	ctr := s.ctr
	for len(dst) > 0 {
		at := int(first % signsPerBlock)
		n := min(len(dst), signsPerBlock-at)
		ctr[0] = uint32(first / signsPerBlock)
		words := Block(ctr, s.key)
		for j := range dst[:n] {
			i := at + j
			dst[j] = sign[words[i>>5]>>(i&31)&1]
		}
		dst = dst[n:]
		first += uint64(n)
	}
}
