package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels for pooling by windows of 2×2 without overlap, in float32. Each
// turns two rows of a plane, read as even and odd columns, into a row of
// outputs. The four places of a window are numbered row by row; v holds them in
// registers 0 to 3.

// Registers of the pooling kernels.
var (
	poolY, poolAt, poolX = reg.RDI, reg.RSI, reg.R8
	poolRows, poolOutW   = reg.R9, reg.R10
	poolInW              = reg.R11 // bytes
	poolBase             = reg.R12 // index of the top row's next column
	poolLeft             = reg.R13 // outputs left in the row
	poolAcc              = reg.RCX
	poolFrom             = reg.RDX // the window's top left
)

// Vector registers: a mask or temporaries from 8 on.
const (
	poolIndex = 4  // places of the best, or of the outputs
	poolIota  = 8  // 0 2 4 …
	poolOne   = 9  // 1
	poolWidth = 10 // elements of an input row
	poolEven  = 11 // permutations, AVX-512 only
	poolOdd   = 12
	poolLow   = 13
	poolHigh  = 14
	poolMask  = 15
	poolTemp  = 5
	poolTemp2 = 6
	poolValue = 7
)

// pools writes the pooling kernels.
func pools(s *isa) {
	s.poolTables()
	s.maxPool()
	s.gather()
	s.scatter()
}

// poolTables writes the permutations that take rows apart and put them together.
func (s *isa) poolTables() {
	if !s.masked {
		s.defineMaskTable()
	}
	n := s.lanes()
	table := func(name string, f func(i int) int) {
		GLOBL(name+s.suffix, attr.RODATA|attr.NOPTR)
		for i := range n {
			DATA(4*i, operand.U32(f(i)))
		}
	}
	table("iota", func(i int) int { return 2 * i })
	if s.masked {
		table("even", func(i int) int { return 2 * i })
		table("odd", func(i int) int { return 2*i + 1 })
		table("low", func(i int) int { return i/2 + i%2*n })
		table("high", func(i int) int { return n/2 + i/2 + i%2*n })
	}
}

func (s *isa) loadTable(name string, i int) {
	LEAQ(operand.NewDataAddr(operand.Symbol{Name: name + s.suffix, Static: true}, 0), reg.RAX)
	s.load(mem(reg.RAX, nil, 0, 0), s.v(i))
}

// spread broadcasts the 32-bit integer in RAX to register i.
func (s *isa) spread(i int) {
	VMOVQ(reg.RAX, xmm[i])
	VPBROADCASTD(xmm[i], s.v(i))
}

// poolLoop runs body for each vector of outputs, with poolIndex the index of
// each window's top left, poolFrom its address, and whether the vector is
// narrow: masked by K1 or poolMask, its second half of each input row maybe
// missing.
func (s *isa) poolLoop(body func(narrow bool)) {
	for i, r := range []reg.GPPhysical{poolRows, poolOutW, poolInW} {
		MOVQ(operand.NewParamAddr([]string{"rows", "outW", "inW"}[i], 24+8*i), r)
	}
	s.loadTable("iota", poolIota)
	if s.masked {
		for i, name := range []string{"even", "odd", "low", "high"} {
			s.loadTable(name, poolEven+i)
		}
	}
	s.poolMasks()
	MOVQ(operand.I32(1), reg.RAX)
	s.spread(poolOne)
	MOVQ(poolInW, reg.RAX)
	s.spread(poolWidth)
	XORQ(poolBase, poolBase)
	Label("row")
	MOVQ(poolOutW, poolLeft)
	Label("vector")
	MOVQ(poolBase, reg.RAX)
	s.spread(poolIndex)
	VPADDD(s.v(poolIota), s.v(poolIndex), s.v(poolIndex))
	LEAQ(mem(poolX, poolBase, 4, 0), poolFrom)
	CMPQ(poolLeft, operand.Imm(uint64(s.lanes())))
	JLT(operand.LabelRef("narrow"))
	body(false)
	ADDQ(operand.Imm(uint64(s.width)), poolY)
	ADDQ(operand.Imm(uint64(s.width)), poolAt)
	ADDQ(operand.Imm(uint64(2*s.lanes())), poolBase)
	SUBQ(operand.Imm(uint64(s.lanes())), poolLeft)
	JGT(operand.LabelRef("vector"))
	JMP(operand.LabelRef("next"))
	Label("narrow")
	body(true)
	LEAQ(mem(poolY, poolLeft, 4, 0), poolY)
	LEAQ(mem(poolAt, poolLeft, 4, 0), poolAt)
	LEAQ(mem(poolBase, poolLeft, 2, 0), poolBase)
	Label("next")
	// From the end of this pair of rows to the start of the next.
	SUBQ(poolOutW, poolBase)
	SUBQ(poolOutW, poolBase)
	LEAQ(mem(poolBase, poolInW, 2, 0), poolBase)
	DECQ(poolRows)
	JGT(operand.LabelRef("row"))
	ret()
}

// The masks of a row's last, narrow vector: of the two vectors of an input row
// and of the outputs.
const (
	firstHalf = iota
	secondHalf
	outputs
)

// poolMasks makes the three masks, in K4 to K6, where masks are opmasks.
func (s *isa) poolMasks() {
	if !s.masked {
		return
	}
	MOVQ(poolOutW, poolLeft)
	ANDQ(operand.Imm(uint64(s.lanes()-1)), poolLeft)
	for which, k := range []reg.OpmaskPhysical{reg.K4, reg.K5, reg.K6} {
		s.makePoolMask(which)
		KMOVW(reg.K1, k)
	}
}

// poolMaskOf sets the mask for which; RAX and RBX are overwritten.
func (s *isa) poolMaskOf(which int) {
	if s.masked {
		KMOVW([]reg.OpmaskPhysical{reg.K4, reg.K5, reg.K6}[which], reg.K1)
		return
	}
	s.makePoolMask(which)
}

// makePoolMask computes the mask from poolLeft.
func (s *isa) makePoolMask(which int) {
	switch which {
	case firstHalf:
		LEAQ(mem(poolLeft, poolLeft, 1, 0), reg.RBX)
	case secondHalf:
		LEAQ(mem(poolLeft, poolLeft, 1, -s.lanes()), reg.RBX)
	default:
		MOVQ(poolLeft, reg.RBX)
	}
	XORQ(reg.RAX, reg.RAX)
	TESTQ(reg.RBX, reg.RBX)
	CMOVQLT(reg.RAX, reg.RBX)
	MOVQ(operand.I32(s.lanes()), reg.RAX)
	CMPQ(reg.RBX, reg.RAX)
	CMOVQGT(reg.RAX, reg.RBX)
	s.lastMask(reg.RBX, poolMask)
}

// halves runs f for the two vectors of an input row, with their mask set where
// narrow.
func (s *isa) halves(narrow bool, f func(h int)) {
	for h := range 2 {
		if narrow {
			s.poolMaskOf(firstHalf + h)
		}
		f(h)
	}
}

// rowAt is the address of half h of the window's row r.
func (s *isa) rowAt(r, h int) operand.Mem {
	if r == 0 {
		return mem(poolFrom, nil, 0, h*s.width)
	}
	return mem(poolFrom, poolInW, 4, h*s.width)
}

// poolLoad and poolStore move a vector, masked where narrow.
func (s *isa) poolLoad(narrow bool, m operand.Mem, i int) {
	if narrow {
		s.loadMasked(m, poolMask, s.v(i))
	} else {
		s.load(m, s.v(i))
	}
}

func (s *isa) poolStore(narrow bool, i int, m operand.Mem) {
	if narrow {
		s.storeMasked(s.v(i), poolMask, m)
	} else {
		s.store(s.v(i), m)
	}
}

// loadWindows loads the four places of the windows into registers 0 to 3.
func (s *isa) loadWindows(narrow bool) {
	s.halves(narrow, func(h int) {
		for r := range 2 {
			s.poolLoad(narrow, s.rowAt(r, h), 2*r+h)
		}
	})
	for r := range 2 {
		a, b := s.v(2*r), s.v(2*r+1)
		if s.masked {
			VMOVAPS(s.v(poolEven), s.v(poolTemp))
			VPERMI2PS(b, a, s.v(poolTemp))
			VPERMT2PS(b, s.v(poolOdd), a)
			VMOVAPS(a, b)
			VMOVAPS(s.v(poolTemp), a)
			continue
		}
		VSHUFPS(operand.Imm(0x88), b, a, s.v(poolTemp))
		VSHUFPS(operand.Imm(0xdd), b, a, b)
		VPERMPD(operand.Imm(0xd8), s.v(poolTemp), a)
		VPERMPD(operand.Imm(0xd8), b, b)
	}
}

// nextPlace moves the index in register i from place p−1 to place p.
func (s *isa) nextPlace(p, i int) {
	if p == 2 { // from the top right to the bottom left
		VPSUBD(s.v(poolOne), s.v(i), s.v(i))
		VPADDD(s.v(poolWidth), s.v(i), s.v(i))
		return
	}
	VPADDD(s.v(poolOne), s.v(i), s.v(i))
}

// Predicates of vector comparisons.
const (
	greater   = 0x1e // ordered, quiet
	unordered = 0x03
)

// maxPool writes the forward pass.
func (s *isa) maxPool() {
	s.function("maxPool", "func(y, at, x pointer, rows, outW, inW int)",
		"pools rows pairs of rows by windows of 2×2.")
	MOVQ(operand.NewParamAddr("y", 0), poolY)
	MOVQ(operand.NewParamAddr("at", 8), poolAt)
	MOVQ(operand.NewParamAddr("x", 16), poolX)
	s.poolLoop(func(narrow bool) {
		s.loadWindows(narrow)
		const best = 0
		place := poolTemp
		VMOVAPS(s.v(poolIndex), s.v(place))
		for p := 1; p < 4; p++ {
			s.nextPlace(p, place)
			v := s.v(p)
			if s.masked {
				VCMPPS(operand.Imm(greater), s.v(best), v, reg.K2)
				VCMPPS(operand.Imm(unordered), v, v, reg.K3)
				KORW(reg.K2, reg.K3, reg.K2)
				VMOVAPS(v, reg.K2, s.v(best))
				VMOVDQA32(s.v(place), reg.K2, s.v(poolIndex))
				continue
			}
			VCMPPS(operand.Imm(greater), s.v(best), v, s.v(poolTemp2))
			VCMPPS(operand.Imm(unordered), v, v, s.v(poolValue))
			VORPS(s.v(poolTemp2), s.v(poolValue), s.v(poolTemp2))
			VBLENDVPS(s.v(poolTemp2), v, s.v(best), s.v(best))
			VBLENDVPS(s.v(poolTemp2), s.v(place), s.v(poolIndex), s.v(poolIndex))
		}
		if narrow {
			s.poolMaskOf(outputs)
		}
		s.poolStore(narrow, best, mem(poolY, nil, 0, 0))
		s.poolStore(narrow, poolIndex, mem(poolAt, nil, 0, 0))
	})
}

// poolAccumulate runs add where the parameter acc is set.
func poolAccumulate(label string, add func()) {
	MOVQ(operand.NewParamAddr("acc", 48), poolAcc)
	TESTQ(poolAcc, poolAcc)
	JEQ(operand.LabelRef(label))
	add()
	Label(label)
}

// gather writes the pick of each window's element at a known place.
func (s *isa) gather() {
	s.function("maxPoolGather", "func(y, at, x pointer, rows, outW, inW, acc int)",
		"stores [y+] x at the places at, which lie in their windows of 2×2.")
	MOVQ(operand.NewParamAddr("y", 0), poolY)
	MOVQ(operand.NewParamAddr("at", 8), poolAt)
	MOVQ(operand.NewParamAddr("x", 16), poolX)
	s.poolLoop(func(narrow bool) {
		s.loadWindows(narrow)
		if narrow {
			s.poolMaskOf(outputs)
		}
		const result, place = 0, poolTemp2
		s.poolLoad(narrow, mem(poolAt, nil, 0, 0), place)
		for p := 1; p < 4; p++ {
			s.nextPlace(p, poolIndex)
			if s.masked {
				VPCMPEQD(s.v(poolIndex), s.v(place), reg.K2)
				VMOVAPS(s.v(p), reg.K2, s.v(result))
				continue
			}
			VPCMPEQD(s.v(poolIndex), s.v(place), s.v(poolTemp))
			VBLENDVPS(s.v(poolTemp), s.v(p), s.v(result), s.v(result))
		}
		label := "assign"
		if narrow {
			label = "narrowassign"
		}
		poolAccumulate(label, func() {
			s.poolLoad(narrow, mem(poolY, nil, 0, 0), poolValue)
			s.add(s.v(poolValue), s.v(result), s.v(result))
		})
		s.poolStore(narrow, result, mem(poolY, nil, 0, 0))
	})
}

// scatter writes the adjoint of gather.
func (s *isa) scatter() {
	s.function("maxPoolScatter", "func(y, at, x pointer, rows, outW, inW, acc int)",
		"stores [x+] y at the places at, which lie in their windows of 2×2, and [x+] 0 elsewhere in them.")
	MOVQ(operand.NewParamAddr("y", 0), poolY)
	MOVQ(operand.NewParamAddr("at", 8), poolAt)
	MOVQ(operand.NewParamAddr("x", 16), poolX)
	s.poolLoop(func(narrow bool) {
		if narrow {
			s.poolMaskOf(outputs)
		}
		const place = poolTemp2
		s.poolLoad(narrow, mem(poolY, nil, 0, 0), poolValue)
		s.poolLoad(narrow, mem(poolAt, nil, 0, 0), place)
		for p := range 4 {
			if p > 0 {
				s.nextPlace(p, poolIndex)
			}
			if s.masked {
				VPCMPEQD(s.v(poolIndex), s.v(place), reg.K2)
				VMOVAPS_Z(s.v(poolValue), reg.K2, s.v(p))
				continue
			}
			VPCMPEQD(s.v(poolIndex), s.v(place), s.v(p))
			VANDPS(s.v(poolValue), s.v(p), s.v(p))
		}
		for r := range 2 {
			a, b := s.v(2*r), s.v(2*r+1)
			if s.masked {
				VMOVAPS(s.v(poolLow), s.v(poolTemp))
				VPERMI2PS(b, a, s.v(poolTemp))
				VPERMT2PS(b, s.v(poolHigh), a)
				VMOVAPS(a, b)
				VMOVAPS(s.v(poolTemp), a)
				continue
			}
			VUNPCKLPS(b, a, s.v(poolTemp))
			VUNPCKHPS(b, a, s.v(place))
			VPERM2F128(operand.Imm(0x20), s.v(place), s.v(poolTemp), a)
			VPERM2F128(operand.Imm(0x31), s.v(place), s.v(poolTemp), b)
		}
		label := "assign"
		if narrow {
			label = "narrowassign"
		}
		s.halves(narrow, func(h int) {
			poolAccumulate(label+string(rune('0'+h)), func() {
				for r := range 2 {
					s.poolLoad(narrow, s.rowAt(r, h), poolTemp)
					s.add(s.v(poolTemp), s.v(2*r+h), s.v(2*r+h))
				}
			})
			for r := range 2 {
				s.poolStore(narrow, 2*r+h, s.rowAt(r, h))
			}
		})
	})
}
