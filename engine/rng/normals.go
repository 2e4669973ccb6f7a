package rng

import "math"

// normalsPerBlock is how many elements one block of Normals makes.
const normalsPerBlock = 4

// Normals fills dst with the elements first … first+len(dst)−1 of the vector of
// independent standard normal numbers that belongs to the name of s. The four
// words w of block k make the elements 4k … 4k+3 by the transformation of Box
// and Muller (1958), with u = (w₀+1)/2³², v = w₁/2³²:
//
//	√(−2 ln u)·cos 2πv, √(−2 ln u)·sin 2πv
//
// and the same of w₂ and w₃. Element i is a function of the name and i alone, so
// any split of the vector over threads or calls makes the same one. Magnitudes
// are at most √(2·32 ln 2) ≈ 6.66, which a normal number exceeds once in 4·10¹⁰.
// How far s has been read doesn't matter. The vector holds 2³⁴ elements and then
// begins again.
func Normals[T float32 | float64](dst []T, s Stream, first uint64) {
	ctr := s.ctr
	for len(dst) > 0 {
		at := int(first % normalsPerBlock)
		n := min(len(dst), normalsPerBlock-at)
		ctr[0] = uint32(first / normalsPerBlock)
		words := Block(ctr, s.key)
		var z [normalsPerBlock]T
		for k := 0; k < normalsPerBlock; k += 2 {
			r := math.Sqrt(-2 * math.Log((float64(words[k])+1)*0x1p-32))
			sin, cos := math.Sincos(2 * math.Pi * 0x1p-32 * float64(words[k+1]))
			z[k], z[k+1] = T(r*cos), T(r*sin)
		}
		copy(dst, z[at:at+n])
		dst = dst[n:]
		first += uint64(n)
	}
}
