package main

import (
	"fmt"
	"iter"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of kernel.tile.
const (
	tileK = 8 * iota
	tileA
	tileLDA
	tileAoff
	tileB
	tileBoff
	tileC
	tileLDC
	tileBias
	tileRowBias
	tileLast
	tileFlags
)

// Bits of tile.flags.
const (
	flagAccumulate = 1
	flagReLU       = 2
	flagAdd        = 4
)

// Registers of the tile kernels. A's rows r are reached from three bases, five
// rows each, by multiples of lda.
var (
	argT    = reg.RDI
	argK    = reg.RCX
	baseB   = reg.RDX
	tableB  = reg.RBX
	rowB    = reg.RAX
	basesA  = [3]reg.GPPhysical{reg.RSI, reg.R10, reg.R11}
	ldA     = reg.R8
	ldA3    = reg.R9
	tableA  = reg.R8
	colA    = reg.R9
	pointC  = reg.R12
	ldC     = reg.R13
	scratch = reg.RSI
)

// tiles writes the micro-kernels of every shape.
func tiles(s *isa) {
	s.defineMaskTable()
	for _, byCols := range []bool{false, true} {
		for vecs := range tileVecs(byCols) {
			for rows := range s.tileShapes(vecs) {
				s.tile(byCols, rows, vecs)
			}
		}
	}
}

// tileVecs is the widths of tiles in vectors. The widest are for products of few
// rows, where A is by rows.
func tileVecs(byCols bool) iter.Seq[int] {
	most := 4
	if byCols {
		most = 2
	}
	return func(yield func(int) bool) {
		for v := 1; v <= most && yield(v); v++ {
		}
	}
}

// tileShapes is the numbers of rows that tiles of vecs vectors a row come in.
func (s *isa) tileShapes(vecs int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for rows := 1; rows <= s.rows; rows++ {
			if s.tileRegisters(rows, vecs) <= s.count && !yield(rows) {
				return
			}
		}
	}
}

// tileRegisters is the vector registers that a tile needs: its accumulators, a
// row of B, one broadcast, and the mask where that is a vector.
func (s *isa) tileRegisters(rows, vecs int) int {
	n := rows*vecs + vecs + 1
	if !s.masked {
		n++
	}
	return n
}

// tile writes the micro-kernel of rows×vecs.
func (s *isa) tile(byCols bool, rows, vecs int) {
	name, how := "tileRows", "by rows"
	if byCols {
		name, how = "tileCols", "by columns"
	}
	s.function(fmt.Sprintf("%s%dx%d", name, rows, vecs), "func(t *tile)",
		fmt.Sprintf("is the micro-kernel of %d rows of %d vectors, A %s.", rows, vecs, how))
	MOVQ(operand.NewParamAddr("t", 0), argT)
	field := func(offset int) operand.Mem { return mem(argT, nil, 0, offset) }
	mask := s.count - 1
	acc := func(i, j int) reg.VecPhysical { return s.v(i*vecs + j) }
	b := func(j int) reg.VecPhysical { return s.v(rows*vecs + j) }
	spare := rows*vecs + vecs // the broadcast, or any temporary

	MOVQ(field(tileLast), reg.RCX)
	s.lastMask(reg.RCX, mask)
	MOVQ(field(tileC), pointC)
	MOVQ(field(tileLDC), ldC)
	s.tileStart(rows, vecs, field, acc, b, spare, mask)

	MOVQ(field(tileK), argK)
	MOVQ(field(tileA), basesA[0])
	MOVQ(field(tileB), baseB)
	MOVQ(field(tileBoff), tableB)
	if byCols {
		MOVQ(field(tileAoff), tableA)
	} else {
		MOVQ(field(tileLDA), ldA)
		LEAQ(mem(ldA, ldA, 2, 0), ldA3)
		if rows > 5 {
			LEAQ(mem(basesA[0], ldA, 4, 0), basesA[1])
			ADDQ(ldA, basesA[1])
		}
		if rows > 10 {
			LEAQ(mem(basesA[1], ldA, 4, 0), basesA[2])
			ADDQ(ldA, basesA[2])
		}
	}

	// element is A(i, u) relative to where the loop stands.
	element := func(i, u int) operand.Mem {
		if byCols {
			return mem(colA, nil, 0, i*s.size)
		}
		base, at := basesA[i/5], u*s.size
		switch i % 5 {
		case 0:
			return mem(base, nil, 0, at)
		case 3:
			return mem(base, ldA3, 1, at)
		default:
			return mem(base, ldA, i%5, at)
		}
	}
	step := func(u int, whole bool) {
		MOVQ(mem(tableB, nil, 0, 8*u), rowB)
		if byCols {
			// One addition costs less than an index in each broadcast.
			MOVQ(mem(tableA, nil, 0, 8*u), colA)
			ADDQ(basesA[0], colA)
		}
		for j := range vecs {
			m := mem(baseB, rowB, 1, j*s.width)
			if j == vecs-1 && !whole {
				s.loadMasked(m, mask, b(j))
			} else {
				s.load(m, b(j))
			}
		}
		for i := range rows {
			if vecs == 1 && s.masked {
				s.fmaBroadcast(element(i, u), b(0), acc(i, 0))
				continue
			}
			s.bcast(element(i, u), s.v(spare))
			for j := range vecs {
				s.fma(b(j), s.v(spare), acc(i, j))
			}
		}
	}
	advance := func(n int) {
		ADDQ(operand.Imm(uint64(8*n)), tableB)
		if byCols {
			ADDQ(operand.Imm(uint64(8*n)), tableA)
			return
		}
		for g := range (rows + 4) / 5 {
			ADDQ(operand.Imm(uint64(n*s.size)), basesA[g])
		}
	}
	// The shorter vectors leave the processor more instructions a multiply-add.
	unroll := 2
	if !s.masked {
		unroll = 4
	}
	sum := func(label string, whole bool) {
		SUBQ(operand.Imm(uint64(unroll)), argK)
		JLT(operand.LabelRef(label + "rest"))
		Label(label + "loop")
		for u := range unroll {
			step(u, whole)
		}
		advance(unroll)
		SUBQ(operand.Imm(uint64(unroll)), argK)
		JGE(operand.LabelRef(label + "loop"))
		Label(label + "rest")
		ADDQ(operand.Imm(uint64(unroll)), argK)
		JEQ(operand.LabelRef("finish"))
		Label(label + "one")
		step(0, whole)
		advance(1)
		DECQ(argK)
		JNE(operand.LabelRef(label + "one"))
	}
	if !s.masked {
		// A load by a mask costs more than one without.
		CMPQ(field(tileLast), operand.Imm(uint64(s.lanes())))
		JNE(operand.LabelRef("part"))
		sum("whole", true)
		JMP(operand.LabelRef("finish"))
		Label("part")
	}
	sum("", false)
	Label("finish")
	s.tileFinish(rows, vecs, field, acc, b(0), spare, mask)
	ret()
}

// eachRow runs f for each row with pointC at the row of C, and resets pointC.
func eachRow(rows int, field func(int) operand.Mem, f func(i int)) {
	for i := range rows {
		f(i)
		if i < rows-1 {
			ADDQ(ldC, pointC)
		}
	}
	MOVQ(field(tileC), pointC)
}

// tileStart sets the accumulators to what the sum starts with.
func (s *isa) tileStart(rows, vecs int, field func(int) operand.Mem, acc func(i, j int) reg.VecPhysical,
	b func(j int) reg.VecPhysical, spare, mask int) {
	last := func(j int) bool { return j == vecs-1 }
	TESTQ(operand.U32(flagAccumulate), field(tileFlags))
	JNE(operand.LabelRef("accumulate"))
	for i := range rows * vecs {
		s.zero(i)
	}
	JMP(operand.LabelRef("bias"))
	Label("accumulate")
	eachRow(rows, field, func(i int) {
		for j := range vecs {
			m := mem(pointC, nil, 0, j*s.width)
			if last(j) {
				s.loadMasked(m, mask, acc(i, j))
			} else {
				s.load(m, acc(i, j))
			}
		}
	})
	Label("bias")
	MOVQ(field(tileBias), scratch)
	TESTQ(scratch, scratch)
	JEQ(operand.LabelRef("rowbias"))
	for j := range vecs {
		m := mem(scratch, nil, 0, j*s.width)
		if last(j) {
			s.loadMasked(m, mask, b(j))
		} else {
			s.load(m, b(j))
		}
		for i := range rows {
			s.add(b(j), acc(i, j), acc(i, j))
		}
	}
	Label("rowbias")
	MOVQ(field(tileRowBias), scratch)
	TESTQ(scratch, scratch)
	JEQ(operand.LabelRef("sum"))
	for i := range rows {
		s.bcast(mem(scratch, nil, 0, i*s.size), s.v(spare))
		for j := range vecs {
			s.add(s.v(spare), acc(i, j), acc(i, j))
		}
	}
	Label("sum")
}

// tileFinish stores the accumulators.
func (s *isa) tileFinish(rows, vecs int, field func(int) operand.Mem, acc func(i, j int) reg.VecPhysical,
	temp reg.VecPhysical, spare, mask int) {
	last := func(j int) bool { return j == vecs-1 }
	MOVQ(field(tileFlags), scratch)
	TESTQ(operand.U32(flagAdd), scratch)
	JEQ(operand.LabelRef("relu"))
	eachRow(rows, field, func(i int) {
		for j := range vecs {
			m := mem(pointC, nil, 0, j*s.width)
			if last(j) {
				s.loadMasked(m, mask, temp)
				s.add(temp, acc(i, j), acc(i, j))
			} else {
				s.add(m, acc(i, j), acc(i, j))
			}
		}
	})
	Label("relu")
	TESTQ(operand.U32(flagReLU), scratch)
	JEQ(operand.LabelRef("store"))
	s.zero(spare)
	for i := range rows * vecs {
		s.relu(s.v(i), s.v(spare), s.v(i))
	}
	Label("store")
	if !s.masked {
		CMPQ(field(tileLast), operand.Imm(uint64(s.lanes())))
		JNE(operand.LabelRef("edge"))
	}
	write := func(whole bool) {
		for i := range rows {
			for j := range vecs {
				m := mem(pointC, nil, 0, j*s.width)
				if last(j) && !whole {
					s.storeMasked(acc(i, j), mask, m)
				} else {
					s.store(acc(i, j), m)
				}
			}
			if i < rows-1 {
				ADDQ(ldC, pointC)
			}
		}
	}
	write(!s.masked)
	if !s.masked {
		ret()
		Label("edge")
		write(false)
	}
}
