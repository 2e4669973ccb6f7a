package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Registers of the dot kernels: pointers to the rows of A and B, and how far
// along them the loop is.
var (
	dotA  = [4]reg.GPPhysical{reg.RSI, reg.R12, reg.R13, reg.RBX}
	dotB  = [4]reg.GPPhysical{reg.R8, reg.R9, reg.R10, reg.R11}
	dotAt = reg.RAX
)

// dots writes the dot kernels. AVX2 has registers for two rows of A only;
// package kernel puts four rows together from two calls.
func dots(s *isa) {
	for m := 1; m <= s.dotRows(); m++ {
		for n := 1; n <= 4; n++ {
			s.dot(m, n)
		}
	}
}

// dotRows is the most rows of a dot kernel.
func (s *isa) dotRows() int {
	if s.masked {
		return 4
	}
	return 2
}

// dot writes the dot kernel of m×n elements.
func (s *isa) dot(m, n int) {
	s.function(fmt.Sprintf("dot%dx%d", m, n), "func(t *tile)",
		fmt.Sprintf("is the dot kernel of %d rows of A and %d of B.", m, n))
	MOVQ(operand.NewParamAddr("t", 0), argT)
	field := func(offset int) operand.Mem { return mem(argT, nil, 0, offset) }
	acc := func(i, j int) reg.VecPhysical { return s.v(i*n + j) }
	b := func(j int) reg.VecPhysical { return s.v(m*n + j) }
	a := s.v(m*n + n)
	mask := s.count - 1

	MOVQ(field(tileBoff), reg.RCX)
	MOVQ(field(tileB), reg.RDX)
	for j := range n {
		MOVQ(mem(reg.RCX, nil, 0, 8*j), dotB[j])
		ADDQ(reg.RDX, dotB[j])
	}
	MOVQ(field(tileLDA), reg.RDX)
	MOVQ(field(tileA), dotA[0])
	for i := 1; i < m; i++ {
		LEAQ(mem(dotA[i-1], reg.RDX, 1, 0), dotA[i])
	}
	for i := range m * n {
		s.zero(i)
	}
	MOVQ(field(tileK), argK)
	MOVQ(argK, reg.RDX)
	ANDQ(operand.Imm(uint64(s.lanes()-1)), reg.RDX)
	s.lastMask(reg.RDX, mask) // uses RAX
	XORQ(dotAt, dotAt)
	step := func(masked bool) {
		load := func(base reg.GPPhysical, v reg.VecPhysical) {
			if masked {
				s.loadMasked(mem(base, dotAt, 1, 0), mask, v)
			} else {
				s.load(mem(base, dotAt, 1, 0), v)
			}
		}
		for j := range n {
			load(dotB[j], b(j))
		}
		for i := range m {
			load(dotA[i], a)
			for j := range n {
				s.fma(b(j), a, acc(i, j))
			}
		}
	}
	SUBQ(operand.Imm(uint64(s.lanes())), argK)
	JLT(operand.LabelRef("rest"))
	Label("loop")
	step(false)
	ADDQ(operand.Imm(uint64(s.width)), dotAt)
	SUBQ(operand.Imm(uint64(s.lanes())), argK)
	JGE(operand.LabelRef("loop"))
	Label("rest")
	ADDQ(operand.Imm(uint64(s.lanes())), argK)
	JEQ(operand.LabelRef("sum"))
	step(true)
	Label("sum")

	// The mask is now that of n lanes.
	MOVQ(operand.I32(n), reg.RDX)
	s.lastMask(reg.RDX, mask)
	MOVQ(field(tileC), pointC)
	MOVQ(field(tileLDC), ldC)
	MOVQ(field(tileFlags), argK)
	for i := range m {
		sums := s.addLanes([4]int{i * n, i*n + min(1, n-1), i*n + min(2, n-1), i*n + min(3, n-1)}, m*n, m*n+1)
		maskReg := s.quarter(mask)
		at := mem(pointC, nil, 0, 0)
		label := fmt.Sprintf("store%d", i)
		TESTQ(operand.U32(flagAccumulate|flagAdd), argK)
		JEQ(operand.LabelRef(label))
		prior := s.quarter(m*n + 1)
		if s.masked {
			s.pick3(VMOVUPS_Z, VMOVUPD_Z)(at, reg.K1, prior)
		} else {
			s.pick3(VMASKMOVPS, VMASKMOVPD)(at, maskReg, prior)
		}
		s.add(prior, sums, sums)
		Label(label)
		if s.masked {
			s.pick(VMOVUPS, VMOVUPD)(sums, reg.K1, at)
		} else {
			s.pick3(VMASKMOVPS, VMASKMOVPD)(sums, maskReg, at)
		}
		if i < m-1 {
			ADDQ(ldC, pointC)
		}
	}
	ret()
}

// quarter is the register i that holds four elements.
func (s *isa) quarter(i int) reg.VecPhysical {
	if s.size == 4 {
		return xmm[i]
	}
	return ymm[i]
}

// addLanes adds up the lanes of each of four vectors and returns a register
// with the four sums, which is register t. Registers t and u are overwritten,
// and the vectors.
func (s *isa) addLanes(v [4]int, t, u int) reg.VecPhysical {
	// Halve zmm to ymm first.
	if s.masked && s.size == 8 {
		// Pairs of 128-bit lanes: [a b] in each lane of t, [c d] in each of u.
		VUNPCKLPD(s.v(v[1]), s.v(v[0]), s.v(t))
		VUNPCKHPD(s.v(v[1]), s.v(v[0]), s.v(u))
		s.add(s.v(u), s.v(t), s.v(t))
		VUNPCKLPD(s.v(v[3]), s.v(v[2]), s.v(u))
		VUNPCKHPD(s.v(v[3]), s.v(v[2]), s.v(v[0]))
		s.add(s.v(v[0]), s.v(u), s.v(u))
		VEXTRACTF64X4(operand.Imm(1), s.v(t), ymm[v[0]])
		VADDPD(ymm[v[0]], ymm[t], ymm[t])
		VEXTRACTF64X4(operand.Imm(1), s.v(u), ymm[v[0]])
		VADDPD(ymm[v[0]], ymm[u], ymm[u])
		VSHUFF64X2(operand.Imm(0), ymm[u], ymm[t], ymm[v[0]])
		VSHUFF64X2(operand.Imm(3), ymm[u], ymm[t], ymm[t])
		VADDPD(ymm[v[0]], ymm[t], ymm[t])
		return ymm[t]
	}
	if s.size == 8 {
		VHADDPD(ymm[v[1]], ymm[v[0]], ymm[t])
		VHADDPD(ymm[v[3]], ymm[v[2]], ymm[u])
		VPERM2F128(operand.Imm(0x20), ymm[u], ymm[t], ymm[v[0]])
		VPERM2F128(operand.Imm(0x31), ymm[u], ymm[t], ymm[t])
		VADDPD(ymm[v[0]], ymm[t], ymm[t])
		return ymm[t]
	}
	// In each 128-bit lane: t = [a0+a2 b0+b2 a1+a3 b1+b3], u the same of c and d.
	VUNPCKLPS(s.v(v[1]), s.v(v[0]), s.v(t))
	VUNPCKHPS(s.v(v[1]), s.v(v[0]), s.v(u))
	s.add(s.v(u), s.v(t), s.v(t))
	VUNPCKLPS(s.v(v[3]), s.v(v[2]), s.v(u))
	VUNPCKHPS(s.v(v[3]), s.v(v[2]), s.v(v[0]))
	s.add(s.v(v[0]), s.v(u), s.v(u))
	VUNPCKLPD(s.v(u), s.v(t), s.v(v[0]))
	VUNPCKHPD(s.v(u), s.v(t), s.v(t))
	s.add(s.v(v[0]), s.v(t), s.v(t))
	if s.masked {
		VEXTRACTF64X4(operand.Imm(1), s.v(t), ymm[v[0]])
		VADDPS(ymm[v[0]], ymm[t], ymm[t])
	}
	if t < 16 && v[0] < 16 {
		VEXTRACTF128(operand.Imm(1), ymm[t], xmm[v[0]])
	} else {
		VEXTRACTF32X4(operand.Imm(1), ymm[t], xmm[v[0]])
	}
	VADDPS(xmm[v[0]], xmm[t], xmm[t])
	return xmm[t]
}
