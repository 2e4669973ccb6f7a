package rng

import "testing"

// The vectors are those that Random123, the authors' own library, is
// published with (kat_vectors, philox4x32 with 10 rounds).
func TestBlockGivesTheKnownAnswersOfRandom123(t *testing.T) {
	const f = 0xffffffff
	for _, v := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{},
			[4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{f, f, f, f}, [2]uint32{f, f},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Block(v.ctr, v.key); got != v.want {
			t.Errorf("Block(%08x, %08x) = %08x, want %08x", v.ctr, v.key, got, v.want)
		}
	}
}

func TestStreamIsTheDocumentedSequenceOfBlocks(t *testing.T) {
	const seed, number = 0x1122334455667788, 0x99aabbccddeeff00
	s := New(Probes, seed, number)
	for w := range uint32(23) {
		block := Block([4]uint32{w / 4, 3, 0xddeeff00, 0x99aabbcc}, [2]uint32{0x55667788, 0x11223344})
		if got := s.Uint32(); got != block[w%4] {
			t.Fatalf("word %d is %08x, want %08x", w, got, block[w%4])
		}
	}
}

func TestPurposesKeepTheirNumbers(t *testing.T) {
	if Weights != 1 || Batches != 2 || Probes != 3 || Labels != 4 || Predictions != 5 || Projections != 6 || Noise != 7 {
		t.Error("a purpose changed its number: every run's randomness would change")
	}
}

func TestStreamsOfDifferentNamesDiffer(t *testing.T) {
	seen := map[uint64]string{}
	for _, p := range []Purpose{Weights, Batches, Probes, Labels} {
		for _, seed := range []uint64{0, 1, 1 << 32} {
			for _, number := range []uint64{0, 1, 1 << 32} {
				s := New(p, seed, number)
				x := s.Uint64()
				if seen[x] != "" {
					t.Errorf("two streams begin with %016x", x)
				}
				seen[x] = "taken"
			}
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	var ctr [4]uint32
	var sum uint32
	b.SetBytes(16)
	for b.Loop() {
		ctr[0]++
		sum += Block(ctr, [2]uint32{1, 2})[0]
	}
	sink = sum
}

var sink uint32
