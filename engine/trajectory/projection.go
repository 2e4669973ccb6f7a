package trajectory

import (
	"fmt"
	"math"

	"sgflow/engine/rng"
)

// Projection is a random linear map of θ to k = Dim numbers,
//
//	y = R·θ/√k
//
// the entries of the k×P matrix R independent, equally likely +1 and −1: row j is
// rng.Signs of the stream j of the seed. For any two points
//
//	E‖y − y'‖² = ‖θ − θ'‖²,   standard error ≤ √(2/k)·‖θ − θ'‖²
//
// and by the lemma of Johnson & Lindenstrauss (1984), for such signs due to
// Achlioptas (2003, doi:10.1016/S0022-0000(03)00025-4), the squared distances of all
// pairs of n points are within 1 ± ε at once (Bound says with what ε). Directions
// are not kept: planes need points in full.
type Projection struct {
	Dim  int
	Seed uint64
}

// Stderr returns √(2/k), which the relative standard error of a squared distance is
// not above.
func (p *Projection) Stderr() float64 { return math.Sqrt(2 / float64(p.Dim)) }

// Bound returns the ε for which the squared distances of all pairs of n points are
// within 1 ± ε of the true ones with at least the given probability: by a union
// over the pairs of Achlioptas' tails, the one that solves
//
//	n(n−1)·exp(−(k/2)(ε²/2 − ε³/3)) = 1 − probability.
//
// It is +Inf where none below 1 does: k is too small for so many points.
func (p *Projection) Bound(n int, probability float64) float64 {
	if n < 2 {
		return 0
	}
	tail := func(e float64) float64 { return e*e/2 - e*e*e/3 } // increasing up to 1
	want := 2 / float64(p.Dim) * math.Log(float64(n)*float64(n-1)/(1-probability))
	if tail(1) < want {
		return math.Inf(1)
	}
	low, high := 0.0, 1.0
	for range 60 { // beyond float64's 53 bits
		if mid := (low + high) / 2; tail(mid) < want {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// about words what the projection does to distances.
func (p *Projection) about() string {
	text := fmt.Sprintf("y = Rθ/√%d with random signs R (Philox, purpose %d, seed, a stream a row): squared distances have a relative standard error of at most √(2/%d) = %.2g",
		p.Dim, rng.Projections, p.Dim, p.Stderr())
	if e := p.Bound(100, 0.99); e < 1 {
		return text + fmt.Sprintf("; those of all pairs of 100 points are within ±%.0f %% at once with probability 0.99 (Johnson–Lindenstrauss, by Achlioptas 2003)", 100*e)
	}
	return text + "; too few numbers for Johnson–Lindenstrauss' bound on all pairs of 100 points (Achlioptas 2003)"
}

// matrix is R of a projection, held as bits: bit j mod 8 of codes[j div 8][i] is set
// where the entry (j, i) is −1. The sums of eight rows at once are then one sum for
// each of 256 codes ("four Russians", Arlazarov, Dinic, Kronrod & Faradžev 1970):
// P·k/8 additions and as many bytes.
type matrix struct {
	dim   int
	codes [][]uint8
}

const codeBits = 8

func (p *Projection) matrix(size int) *matrix {
	m := &matrix{dim: p.Dim, codes: make([][]uint8, (p.Dim+codeBits-1)/codeBits)}
	x := make([]float32, size)
	for g := range m.codes {
		m.codes[g] = make([]uint8, size)
	}
	for j := range p.Dim {
		rng.Signs(x, rng.New(rng.Projections, p.Seed, uint64(j)), 0)
		code := m.codes[j/codeBits]
		for i, v := range x {
			code[i] |= uint8(math.Float32bits(v)>>31) << (j % codeBits)
		}
	}
	return m
}

// apply stores R·x/√k in y, summed in float64.
func apply[T float32 | float64](m *matrix, y []float64, x []T) {
	scale := 1 / math.Sqrt(float64(m.dim))
	var sums [256]float64
	for g, codes := range m.codes {
		clear(sums[:])
		for i, code := range codes {
			sums[code] += float64(x[i])
		}
		for b := range min(codeBits, m.dim-g*codeBits) {
			dot := 0.0
			for code, v := range sums {
				if code>>b&1 == 1 {
					v = -v
				}
				dot += v
			}
			y[g*codeBits+b] = scale * dot
		}
	}
}
