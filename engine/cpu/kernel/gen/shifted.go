package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The shapes of the shifted kernels: as many accumulators as keep both
// multipliers busy, in as few registers as AVX-512 has.
const (
	shiftedRows = 9
	shiftedVecs = 3
)

// hasShifted reports whether the path has shifted kernels.
func (s *isa) hasShifted() bool { return s.masked && s.size == 4 }

// shifteds writes the micro-kernels that add shifted blocks up.
func shifteds(s *isa) {
	for vecs := 2; vecs <= shiftedVecs; vecs++ {
		for rows := 1; rows <= shiftedRows; rows++ {
			s.shifted(rows, vecs)
		}
	}
}

// shifted writes the shifted micro-kernel of rows×vecs: see kernel.tileSet.
func (s *isa) shifted(rows, vecs int) {
	s.function(fmt.Sprintf("tileShifted%dx%d", rows, vecs), "func(t *tile)",
		fmt.Sprintf("is the shifted micro-kernel of %d rows and %d vectors.", rows, vecs))
	MOVQ(operand.NewParamAddr("t", 0), argT)
	field := func(offset int) operand.Mem { return mem(argT, nil, 0, offset) }
	acc := func(i, j int) reg.VecPhysical { return s.v(i*vecs + j) }
	b := func(j int) reg.VecPhysical { return s.v(rows*vecs + j) }
	spare := s.v(rows*vecs + vecs)

	MOVQ(field(tileLast), reg.RCX)
	s.lastMask(reg.RCX, 0)
	for i := range rows * vecs {
		s.zero(i)
	}
	MOVQ(field(tileK), argK)
	MOVQ(field(tileA), basesA[0])
	MOVQ(field(tileB), baseB)
	MOVQ(field(tileBoff), tableB)
	MOVQ(field(tileAoff), tableA)
	shift := reg.R10
	MOVQ(field(tileLDA), shift)
	Label("loop")
	MOVQ(mem(tableB, nil, 0, 0), rowB)
	MOVQ(mem(tableA, nil, 0, 0), colA)
	ADDQ(baseB, rowB)
	ADDQ(basesA[0], colA)
	for j := range vecs {
		m := mem(rowB, nil, 0, 0)
		if j > 0 {
			m = mem(rowB, shift, j, 0)
		}
		s.loadMasked(m, 0, b(j))
	}
	for i := range rows {
		s.bcast(mem(colA, nil, 0, i*s.size), spare)
		for j := range vecs {
			s.fma(b(j), spare, acc(i, j))
		}
	}
	ADDQ(operand.Imm(8), tableB)
	ADDQ(operand.Imm(8), tableA)
	DECQ(argK)
	JNE(operand.LabelRef("loop"))

	MOVQ(field(tileC), pointC)
	MOVQ(field(tileLDC), ldC)
	for r := range rows + vecs - 1 {
		at := mem(pointC, nil, 0, 0)
		s.loadMasked(at, 0, spare)
		for j := range vecs {
			if i := r - j; i >= 0 && i < rows {
				s.add(acc(i, j), spare, spare)
			}
		}
		s.storeMasked(spare, 0, at)
		if r < rows+vecs-2 {
			ADDQ(ldC, pointC)
		}
	}
	ret()
}
