package rng

// The multipliers and the Weyl increments of Philox 4×32, from Salmon et al.
// 2011. The multipliers were chosen there for the best avalanche; the
// increments are the golden ratio and √3−1 as 32-bit fractions.
const (
	mul0  = 0xD2511F53
	mul1  = 0xCD9E8D57
	weyl0 = 0x9E3779B9
	weyl1 = 0xBB67AE85

	rounds = 10 // the paper's recommendation; 7 already pass BigCrush
)

// Block returns the 128 bits of Philox 4×32-10 at a counter under a key. A
// round is
//
//	(c0, c1, c2, c3) ← (hi(M1·c2)⊕c1⊕k0, lo(M1·c2), hi(M0·c0)⊕c3⊕k1, lo(M0·c0))
//	(k0, k1)         ← (k0+W0, k1+W1)
//
// For a fixed key it is a bijection of the counters. It may be called
// concurrently.
func Block(ctr [4]uint32, key [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := ctr[0], ctr[1], ctr[2], ctr[3]
	k0, k1 := key[0], key[1]
	for range rounds {
		p0 := uint64(c0) * mul0
		p1 := uint64(c2) * mul1
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += weyl0
		k1 += weyl1
	}
	return [4]uint32{c0, c1, c2, c3}
}
