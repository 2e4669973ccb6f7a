package measure

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// signMatrix is a P×m matrix of random signs, held as bits: bit j mod 8 of
// codes[j div 8][i] is set where the entry (i, j) is −1. Sums over eight columns
// at a time are then one of 256 values, looked up by the code ("four Russians",
// Arlazarov, Dinic, Kronrod & Faradžev 1970), so that a product takes P·m/8 steps
// and the matrix P·m/8 bytes.
type signMatrix[T engine.Float] struct {
	s     *engine.Session[T]
	p, m  int
	seed  uint64
	codes [][]uint8
	table [][256]float64 // of the product in progress
}

const codeBits = 8

// newSignMatrix returns the matrix whose column j is the probe of number
// first + j of the seed.
func newSignMatrix[T engine.Float](s *engine.Session[T], m int, seed, first uint64) *signMatrix[T] {
	a := &signMatrix[T]{s: s, p: s.Program().NumParams, m: m, seed: seed}
	groups := (m + codeBits - 1) / codeBits
	a.codes, a.table = make([][]uint8, groups), make([][256]float64, groups)
	for g := range a.codes {
		a.codes[g] = make([]uint8, a.p)
	}
	s.Split(a.p, 4*m, func(from, to int) {
		x := make([]float32, to-from)
		for j := range m {
			rng.Signs(x, rng.New(rng.Probes, seed, first+uint64(j)), uint64(from))
			code := a.codes[j/codeBits][from:to]
			for i, v := range x {
				code[i] |= uint8(math.Float32bits(v)>>31) << (j % codeBits)
			}
		}
	})
	return a
}

// times computes out = base + A·z, rounded once.
func (a *signMatrix[T]) times(out, base []T, z []float64) {
	for g := range a.table {
		for code := range a.table[g] {
			sum := 0.0
			for b := range a.columns(g) {
				sum += signed(z[g*codeBits+b], code, b)
			}
			a.table[g][code] = sum
		}
	}
	a.s.Split(a.p, len(a.codes), func(from, to int) {
		var sums [1024]float64 // a block at a time, so that codes are read in order
		for ; from < to; from += len(sums) {
			block := sums[:min(len(sums), to-from)]
			clear(block)
			for g := range a.codes {
				table := &a.table[g]
				for i, code := range a.codes[g][from : from+len(block)] {
					block[i] += table[code]
				}
			}
			for i, v := range block {
				out[from+i] = T(float64(base[from+i]) + v)
			}
		}
	})
}

// transposed computes out = Aᵀx.
func (a *signMatrix[T]) transposed(out []float64, x []T) {
	a.s.Split(len(a.codes), a.p, func(from, to int) {
		for g := from; g < to; g++ {
			sums := &a.table[g]
			clear(sums[:])
			for i, code := range a.codes[g] {
				sums[code] += float64(x[i])
			}
			for b := range a.columns(g) {
				dot := 0.0
				for code, v := range sums {
					dot += signed(v, code, b)
				}
				out[g*codeBits+b] = dot
			}
		}
	})
}

// gram returns AᵀA: the product of two columns is P less twice the number of
// places where they differ.
func (a *signMatrix[T]) gram() *mat.SymDense {
	packed := make([][]uint64, a.m) // columns, a bit an entry
	for j := range packed {
		packed[j] = make([]uint64, (a.p+63)/64)
	}
	a.s.Split(a.m, a.p, func(from, to int) {
		for j := from; j < to; j++ {
			for i, code := range a.codes[j/codeBits] {
				packed[j][i/64] |= uint64(code>>(j%codeBits)&1) << (i % 64)
			}
		}
	})
	products := make([]float64, a.m*a.m)
	a.s.Split(a.m, a.p, func(from, to int) {
		for j := from; j < to; j++ {
			for k := j; k < a.m; k++ {
				differ := 0
				for w, x := range packed[j] {
					differ += bits.OnesCount64(x ^ packed[k][w])
				}
				products[j*a.m+k] = float64(a.p - 2*differ)
			}
		}
	})
	return mat.NewSymDense(a.m, products) // of which it reads the upper triangle
}

// columns returns how many columns group g has.
func (a *signMatrix[T]) columns(g int) int { return min(codeBits, a.m-g*codeBits) }

// signed returns −v where bit b of the code is set, else v.
func signed(v float64, code, b int) float64 {
	if code>>b&1 == 1 {
		return -v
	}
	return v
}
