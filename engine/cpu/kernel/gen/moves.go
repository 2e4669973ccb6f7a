package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Registers of the kernels that move data.
var (
	moveDst  = reg.RDI
	moveLDD  = reg.R8
	moveLDS  = reg.R9
	moveRows = reg.RBX
	moveCols = reg.RCX
)

const moveSignature = "func(dst, src pointer, ldd, lds, rows, cols int)"

func moveParam(i int) operand.Mem {
	return operand.NewParamAddr([]string{"dst", "src", "ldd", "lds", "rows", "cols"}[i], 8*i)
}

// transpose writes the transposition of a matrix, block by block of lanes×lanes
// in registers. Blocks at the edge load and store fewer rows and lanes.
func transpose(s *isa) {
	if s.size == 4 || !s.masked {
		s.defineMaskTable()
	}
	L := s.lanes()
	s.function("transpose", moveSignature, "stores dst(j,i) = src(i,j).")
	src := [4]reg.GPPhysical{reg.RSI, reg.R10, reg.R11, reg.R12}
	lds3 := reg.R13
	MOVQ(moveParam(2), moveLDD)
	MOVQ(moveParam(3), moveLDS)
	LEAQ(mem(moveLDS, moveLDS, 2, 0), lds3)
	MOVQ(moveParam(4), moveRows)

	Label("rows") // moveRows are left, from the pointers in the parameters on
	MOVQ(moveParam(0), moveDst)
	MOVQ(moveParam(1), src[0])
	MOVQ(moveParam(5), moveCols)

	Label("columns") // moveCols are left
	for g := 1; 5*g < L; g++ {
		LEAQ(mem(src[g-1], moveLDS, 4, 0), src[g])
		ADDQ(moveLDS, src[g])
	}
	// Load: lanes beyond moveCols are not touched, rows beyond moveRows neither.
	mask := L // free until the shuffles begin
	if s.masked {
		mask = 0
	}
	row := func(i int) operand.Mem {
		switch i % 5 {
		case 0:
			return mem(src[i/5], nil, 0, 0)
		case 3:
			return mem(src[i/5], lds3, 1, 0)
		}
		return mem(src[i/5], moveLDS, i%5, 0)
	}
	CMPQ(moveCols, operand.Imm(uint64(L)))
	JLT(operand.LabelRef("narrow"))
	for i := range L {
		if i > 0 {
			CMPQ(moveRows, operand.Imm(uint64(i)))
			JLE(operand.LabelRef("loaded"))
		}
		s.load(row(i), s.v(i))
	}
	JMP(operand.LabelRef("loaded"))
	Label("narrow")
	MOVQ(moveCols, reg.RDX)
	s.lastMask(reg.RDX, mask)
	for i := range L {
		if i > 0 {
			CMPQ(moveRows, operand.Imm(uint64(i)))
			JLE(operand.LabelRef("loaded"))
		}
		s.loadMasked(row(i), mask, s.v(i))
	}
	Label("loaded")
	columns := s.transposeRegisters()

	// Store column j as row j of dst.
	CMPQ(moveRows, operand.Imm(uint64(L)))
	JLT(operand.LabelRef("low"))
	point := reg.RDX
	MOVQ(moveDst, point)
	for j, r := range columns {
		if j > 0 {
			CMPQ(moveCols, operand.Imm(uint64(j)))
			JLE(operand.LabelRef("stored"))
			ADDQ(moveLDD, point)
		}
		s.store(s.v(r), mem(point, nil, 0, 0))
	}
	JMP(operand.LabelRef("stored"))
	Label("low")
	MOVQ(moveRows, reg.RDX)
	free := 0
	for used := map[int]bool{}; ; free++ {
		for _, r := range columns {
			used[r] = true
		}
		if !used[free] {
			break
		}
	}
	s.lastMask(reg.RDX, free)
	MOVQ(moveDst, point)
	for j, r := range columns {
		if j > 0 {
			CMPQ(moveCols, operand.Imm(uint64(j)))
			JLE(operand.LabelRef("stored"))
			ADDQ(moveLDD, point)
		}
		s.storeMasked(s.v(r), free, mem(point, nil, 0, 0))
	}
	Label("stored")
	ADDQ(operand.Imm(uint64(s.width)), src[0])
	MOVQ(moveLDD, reg.RDX)
	SHLQ(operand.Imm(log2(L)), reg.RDX)
	ADDQ(reg.RDX, moveDst)
	SUBQ(operand.Imm(uint64(L)), moveCols)
	JGT(operand.LabelRef("columns"))

	// Down to the next rows, which are the next columns of dst.
	MOVQ(moveLDS, reg.RDX)
	SHLQ(operand.Imm(log2(L)), reg.RDX)
	ADDQ(reg.RDX, moveParam(1))
	ADDQ(operand.Imm(uint64(s.width)), moveParam(0))
	SUBQ(operand.Imm(uint64(L)), moveRows)
	JGT(operand.LabelRef("rows"))
	ret()
}

func log2(n int) uint64 {
	k := uint64(0)
	for ; 1<<k < n; k++ {
	}
	return k
}

// transposeRegisters transposes the lanes×lanes block whose rows are the first
// registers, and returns the registers of its columns in order.
func (s *isa) transposeRegisters() []int {
	L := s.lanes()
	per := 16 / s.size // elements of a 128-bit lane
	// Within 128-bit lanes: afterwards register block[g·per+c] holds, in lane l,
	// rows g·per… of column l·per+c.
	block := make([]int, L)
	a, b := 0, L // banks of registers
	for i := 0; i < L; i += 2 {
		if s.size == 4 {
			VUNPCKLPS(s.v(a+i+1), s.v(a+i), s.v(b+i))
			VUNPCKHPS(s.v(a+i+1), s.v(a+i), s.v(b+i+1))
		} else {
			VUNPCKLPD(s.v(a+i+1), s.v(a+i), s.v(b+i))
			VUNPCKHPD(s.v(a+i+1), s.v(a+i), s.v(b+i+1))
		}
		block[i], block[i+1] = b+i, b+i+1
	}
	if s.size == 4 {
		for i := 0; i < L; i += 4 {
			for c := range 2 {
				VUNPCKLPD(s.v(b+i+2+c), s.v(b+i+c), s.v(a+i+2*c))
				VUNPCKHPD(s.v(b+i+2+c), s.v(b+i+c), s.v(a+i+2*c+1))
			}
			for c := range 4 {
				block[i+c] = a + i + c
			}
		}
		a, b = b, a
	}
	// Across lanes: a is the free bank now.
	columns := make([]int, L)
	for c := range per {
		if !s.masked {
			p, q := block[c], block[per+c]
			VPERM2F128(operand.Imm(0x20), s.v(q), s.v(p), s.v(a+c))
			VPERM2F128(operand.Imm(0x31), s.v(q), s.v(p), s.v(a+per+c))
			columns[c], columns[per+c] = a+c, a+per+c
			continue
		}
		shuffle := func(imm uint64, x, y, dst int) {
			if s.size == 4 {
				VSHUFF32X4(operand.Imm(imm), s.v(y), s.v(x), s.v(dst))
			} else {
				VSHUFF64X2(operand.Imm(imm), s.v(y), s.v(x), s.v(dst))
			}
		}
		p, q, r, t := block[c], block[per+c], block[2*per+c], block[3*per+c]
		t0, t1, t2, t3 := a+4*c, a+4*c+1, a+4*c+2, a+4*c+3
		shuffle(0x88, p, q, t0) // p0 p2 q0 q2
		shuffle(0xdd, p, q, t1) // p1 p3 q1 q3
		shuffle(0x88, r, t, t2)
		shuffle(0xdd, r, t, t3)
		shuffle(0x88, t0, t2, p)
		shuffle(0x88, t1, t3, q)
		shuffle(0xdd, t0, t2, r)
		shuffle(0xdd, t1, t3, t)
		columns[c], columns[per+c], columns[2*per+c], columns[3*per+c] = p, q, r, t
	}
	return columns
}

// copyRows writes the copy of a matrix between different strides.
func copyRows(s *isa) {
	s.function("copyRows", moveSignature, "stores dst(i,j) = src(i,j).")
	from := reg.RSI
	MOVQ(moveParam(0), moveDst)
	MOVQ(moveParam(1), from)
	MOVQ(moveParam(2), moveLDD)
	MOVQ(moveParam(3), moveLDS)
	MOVQ(moveParam(4), moveRows)
	MOVQ(moveParam(5), moveCols)
	// The last vector of a row has 1 to lanes columns; the others are whole.
	whole := reg.R10
	LEAQ(mem(moveCols, nil, 0, -1), whole)
	SHRQ(operand.Imm(log2(s.lanes())), whole)
	MOVQ(whole, reg.RDX)
	SHLQ(operand.Imm(log2(s.lanes())), reg.RDX)
	SUBQ(reg.RDX, moveCols)
	last := reg.R11
	MOVQ(moveCols, last)
	const mask = 15
	s.lastMask(moveCols, mask)
	for n := 0; n <= 1; n++ {
		CMPQ(whole, operand.Imm(uint64(n)))
		JEQ(operand.LabelRef(fmt.Sprintf("row%d", n)))
	}
	edge := func(at operand.Mem, to operand.Mem, label string) {
		if s.masked {
			s.loadMasked(at, mask, s.v(0))
			s.storeMasked(s.v(0), mask, to)
			return
		}
		// Masked stores are slow on some machines: avoid them for whole vectors.
		CMPQ(last, operand.Imm(uint64(s.lanes())))
		JNE(operand.LabelRef(label))
		s.load(at, s.v(0))
		s.store(s.v(0), to)
		JMP(operand.LabelRef(label + "done"))
		Label(label)
		s.loadMasked(at, mask, s.v(0))
		s.storeMasked(s.v(0), mask, to)
		Label(label + "done")
	}
	next := func(label string) {
		ADDQ(moveLDS, from)
		ADDQ(moveLDD, moveDst)
		DECQ(moveRows)
		JGT(operand.LabelRef(label))
	}

	Label("rows")
	MOVQ(whole, reg.RCX)
	XORQ(reg.RDX, reg.RDX)
	Label("vectors")
	s.load(mem(from, reg.RDX, 1, 0), s.v(0))
	s.store(s.v(0), mem(moveDst, reg.RDX, 1, 0))
	ADDQ(operand.Imm(uint64(s.width)), reg.RDX)
	DECQ(reg.RCX)
	JGT(operand.LabelRef("vectors"))
	edge(mem(from, reg.RDX, 1, 0), mem(moveDst, reg.RDX, 1, 0), "edge")
	next("rows")
	ret()

	Label("row0")
	edge(mem(from, nil, 0, 0), mem(moveDst, nil, 0, 0), "edge0")
	next("row0")
	ret()

	Label("row1")
	s.load(mem(from, nil, 0, 0), s.v(1))
	s.store(s.v(1), mem(moveDst, nil, 0, 0))
	edge(mem(from, nil, 0, s.width), mem(moveDst, nil, 0, s.width), "edge1")
	next("row1")
	ret()
}
