package main

import (
	"fmt"
	"strings"

	"github.com/mmcloughlin/avo/attr"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func vectors(s *isa) {
	s.defineMaskTable()
	two, three := "func(dst, x []%s)", "func(dst, x, y []%s)"
	s.flat("mul", three, "stores x·y.", 3, nil, func(v []reg.VecPhysical) { s.mul(v[2], v[1], v[0]) })
	s.flat("add", three, "stores x+y.", 3, nil, func(v []reg.VecPhysical) { s.add(v[2], v[1], v[0]) })
	s.flat("sub", three, "stores x−y.", 3, nil, func(v []reg.VecPhysical) { s.sub(v[2], v[1], v[0]) })
	s.flat("relu", two, "stores max(0,x).", 2, func() { s.zero(constant) },
		func(v []reg.VecPhysical) { s.relu(v[1], s.v(constant), v[0]) })
	s.flat("reluGrad", three, "stores x where y > 0, else 0.", 3, func() { s.zero(constant) },
		func(v []reg.VecPhysical) {
			const greater = 0x1e // ordered, quiet
			if s.masked {
				s.pick(VCMPPS, VCMPPD)(operand.Imm(greater), s.v(constant), v[2], reg.K2)
				if s.size == 4 {
					VMOVAPS_Z(v[1], reg.K2, v[0])
				} else {
					VMOVAPD_Z(v[1], reg.K2, v[0])
				}
				return
			}
			s.pick(VCMPPS, VCMPPD)(operand.Imm(greater), s.v(constant), v[2], v[2])
			VANDPS(v[1], v[2], v[0])
		})
	one := func() { s.loadOne(constant) }
	s.flat("tanhGrad", three, "stores x·(1−y²).", 3, one, func(v []reg.VecPhysical) {
		s.mul(v[2], v[2], v[2])
		s.sub(v[2], s.v(constant), v[2])
		s.mul(v[2], v[1], v[0])
	})
	s.flat("sigmoidGrad", three, "stores x·(y·(1−y)).", 3, one, func(v []reg.VecPhysical) {
		s.sub(v[2], s.v(constant), v[0])
		s.mul(v[0], v[2], v[2])
		s.mul(v[2], v[1], v[0])
	})
	s.flat("scale", "func(dst, x []%s, a %[1]s)", "stores a·x.", 2, func() { s.bcast(operand.NewParamAddr("a", 48), s.v(constant)) },
		func(v []reg.VecPhysical) { s.mul(v[1], s.v(constant), v[0]) })
	s.flat("axpy", "func(dst, x []%s, a %[1]s)", "stores dst+a·x.", 2, func() { s.bcast(operand.NewParamAddr("a", 48), s.v(constant)) },
		func(v []reg.VecPhysical) { s.fma(v[1], s.v(constant), v[0]) })
	s.dot64()
	s.normSq64()
	s.distance64()
	s.sum64()
	s.addNorm()
	s.exchange()
	s.sgd(true)
	s.sgd(false)
	s.adam()
}

// constant is the register of a loop's constant; edgeMask that of its mask
// where masks are vectors.
const (
	constant = 14
	edgeMask = 15
)

// loadOne broadcasts 1 to register i.
func (s *isa) loadOne(i int) {
	if s.size == 4 {
		MOVL(operand.U32(0x3f800000), reg.EAX)
		VMOVD(reg.EAX, xmm[i])
		VBROADCASTSS(xmm[i], s.v(i))
		return
	}
	MOVQ(operand.U64(0x3ff0000000000000), reg.RAX)
	VMOVQ(reg.RAX, xmm[i])
	VBROADCASTSD(xmm[i], s.v(i))
}

// Registers of the flat loops: the slices, how far along the loop is, and how
// many elements are left.
var (
	flatPtr = [4]reg.GPPhysical{reg.RDI, reg.RSI, reg.R8, reg.R9}
	flatAt  = reg.RDX
	flatN   = reg.RCX
)

// place is how a step of a flat loop reaches the vectors of its slices: whole, or
// the lanes of the edge.
type place struct {
	*isa
	u    int // in the loop's unrolling
	edge bool
}

// at is the vector of slice p, or a part of it from a byte on.
func (v place) at(p, from int) operand.Mem {
	return mem(flatPtr[p], flatAt, 1, v.u*v.width+from)
}

func (v place) load(p int, to reg.VecPhysical) {
	if v.edge {
		v.loadMasked(v.at(p, 0), edgeMask, to)
	} else {
		v.isa.load(v.at(p, 0), to)
	}
}

func (v place) store(p int, from reg.VecPhysical) {
	if v.edge {
		v.storeMasked(from, edgeMask, v.at(p, 0))
	} else {
		v.isa.store(from, v.at(p, 0))
	}
}

// loadWide loads slice p as float64: into register to and, of float32, whose
// second half that is, into the one two further. Converting from memory spares
// what would part the halves.
func (v place) loadWide(p, to int) {
	switch {
	case v.size == 8:
		v.load(p, v.v(to))
	case v.edge:
		v.load(p, v.v(to))
		v.widen(to, to, to+2)
	default:
		VCVTPS2PD(v.at(p, 0), v.v(to))
		VCVTPS2PD(v.at(p, v.width/2), v.v(to+2))
	}
}

// flatLoop loads the slice parameters, the first giving the length, and runs
// step over all vectors.
func (s *isa) flatLoop(slices string, unroll int, step func(place)) {
	names := strings.Fields(slices)
	for p, name := range names {
		MOVQ(operand.NewParamAddr(name+"_base", 24*p), flatPtr[p])
	}
	MOVQ(operand.NewParamAddr(names[0]+"_len", 8), flatN)
	XORQ(flatAt, flatAt)
	whole := func(n int) {
		for u := range n {
			step(place{isa: s, u: u})
		}
		ADDQ(operand.Imm(uint64(n*s.width)), flatAt)
	}
	SUBQ(operand.Imm(uint64(unroll*s.lanes())), flatN)
	JLT(operand.LabelRef("single"))
	Label("loop")
	whole(unroll)
	SUBQ(operand.Imm(uint64(unroll*s.lanes())), flatN)
	JGE(operand.LabelRef("loop"))
	Label("single")
	ADDQ(operand.Imm(uint64(unroll*s.lanes())), flatN)
	SUBQ(operand.Imm(uint64(s.lanes())), flatN)
	JLT(operand.LabelRef("edge"))
	Label("singleloop")
	whole(1)
	SUBQ(operand.Imm(uint64(s.lanes())), flatN)
	JGE(operand.LabelRef("singleloop"))
	Label("edge")
	ADDQ(operand.Imm(uint64(s.lanes())), flatN)
	JEQ(operand.LabelRef("end"))
	s.lastMask(flatN, edgeMask)
	step(place{isa: s, edge: true})
	Label("end")
}

// flat writes an element-wise loop over count slices; body combines their
// vectors into the first.
func (s *isa) flat(name, signature, doc string, count int, before func(), body func(v []reg.VecPhysical)) {
	s.function(name, fmt.Sprintf(signature, s.scalar), doc)
	if before != nil {
		before()
	}
	s.flatLoop(strings.Join([]string{"dst", "x", "y"}[:count], " "), 2, func(x place) {
		v := []reg.VecPhysical{s.v(4 * x.u), s.v(4*x.u + 1), s.v(4*x.u + 2)}
		for p := range count {
			if p > 0 || name == "axpy" {
				x.load(p, v[p])
			}
		}
		body(v)
		x.store(0, v[0])
	})
	ret()
}

// widen stores the two halves of register i as float64 in lo and hi; lo may be
// i, hi not.
func (s *isa) widen(i, lo, hi int) {
	if s.masked {
		VEXTRACTF64X4(operand.Imm(1), s.v(i), ymm[hi])
		VCVTPS2PD(ymm[hi], s.v(hi))
		VCVTPS2PD(ymm[i], s.v(lo))
		return
	}
	VEXTRACTF128(operand.Imm(1), s.v(i), xmm[hi])
	VCVTPS2PD(xmm[hi], s.v(hi))
	VCVTPS2PD(xmm[i], s.v(lo))
}

// total adds up the float64 lanes of accumulators 8 to 11 and returns the sum.
func (s *isa) total(offset int) {
	for _, p := range [][2]int{{9, 8}, {11, 10}, {10, 8}} {
		VADDPD(s.v(p[0]), s.v(p[1]), s.v(p[1]))
	}
	s.horizontal(8, 9)
	VMOVSD(xmm[8], operand.NewParamAddr("ret", offset))
}

// horizontal adds up the float64 lanes of register i into its lowest.
func (s *isa) horizontal(i, scratch int) {
	if s.masked {
		VEXTRACTF64X4(operand.Imm(1), s.v(i), ymm[scratch])
		VADDPD(ymm[scratch], ymm[i], ymm[i])
	}
	VEXTRACTF128(operand.Imm(1), ymm[i], xmm[scratch])
	VADDPD(xmm[scratch], xmm[i], xmm[i])
	VHADDPD(xmm[i], xmm[i], xmm[i])
}

// zeroSums clears accumulators 8 to 11.
func (s *isa) zeroSums() {
	for i := 8; i < 12; i++ {
		s.zero(i)
	}
}

// wides is how many vectors of float64 a vector's elements are.
func (s *isa) wides() int { return 8 / s.size }

// dot64 writes Σ x·y in float64.
func (s *isa) dot64() {
	s.function("dot", fmt.Sprintf("func(x, y []%s) float64", s.scalar), "is Σ x·y in float64.")
	s.zeroSums()
	s.flatLoop("x y", 2, func(v place) {
		x, y := 4*v.u, 4*v.u+1
		v.loadWide(0, x)
		v.loadWide(1, y)
		for h := range s.wides() {
			VFMADD231PD(s.v(x+2*h), s.v(y+2*h), s.v(8+2*v.u+h))
		}
	})
	s.total(48)
	ret()
}

// normSq64 writes Σ x² in float64, to the bits what dot64 makes of x twice.
func (s *isa) normSq64() {
	s.function("normSq", fmt.Sprintf("func(x []%s) float64", s.scalar), "is Σ x² in float64.")
	s.zeroSums()
	s.flatLoop("x", 2, func(v place) {
		x := 4 * v.u
		v.loadWide(0, x)
		for h := range s.wides() {
			VFMADD231PD(s.v(x+2*h), s.v(x+2*h), s.v(8+2*v.u+h))
		}
	})
	s.total(24)
	ret()
}

// distance64 writes Σ (x−y)² in float64.
func (s *isa) distance64() {
	s.function("distance", fmt.Sprintf("func(x, y []%s) float64", s.scalar), "is Σ (x−y)² in float64.")
	s.zeroSums()
	s.flatLoop("x y", 2, func(v place) {
		x, y := 4*v.u, 4*v.u+1
		v.loadWide(0, x)
		v.loadWide(1, y)
		for h := range s.wides() {
			d := s.v(x + 2*h)
			VSUBPD(s.v(y+2*h), d, d)
			VFMADD231PD(d, d, s.v(8+2*v.u+h))
		}
	})
	s.total(48)
	ret()
}

// sum64 writes Σ x in float64.
func (s *isa) sum64() {
	s.function("sum", fmt.Sprintf("func(x []%s) float64", s.scalar), "is Σ x in float64.")
	s.zeroSums()
	s.flatLoop("x", 2, func(v place) {
		x := 4 * v.u
		v.loadWide(0, x)
		for h := range s.wides() {
			sum := s.v(8 + 2*v.u + h)
			VADDPD(s.v(x+2*h), sum, sum)
		}
	})
	s.total(24)
	ret()
}

// addNorm writes dst += x and Σ x² in float64.
func (s *isa) addNorm() {
	s.function("addNorm", fmt.Sprintf("func(dst, x []%s) float64", s.scalar), "stores dst+x and is Σ x² in float64.")
	s.zeroSums()
	s.flatLoop("dst x", 2, func(v place) {
		x, sum := 4*v.u, s.v(4*v.u+1)
		v.load(0, sum)
		v.load(1, s.v(x))
		s.add(s.v(x), sum, sum)
		v.store(0, sum)
		v.loadWide(1, x)
		for h := range s.wides() {
			VFMADD231PD(s.v(x+2*h), s.v(x+2*h), s.v(8+2*v.u+h))
		}
	})
	s.total(48)
	ret()
}

// exchange writes dst = x, Σ dst·x with the old dst, and Σ x², in float64.
func (s *isa) exchange() {
	s.function("exchange", fmt.Sprintf("func(dst, x []%s, norm *float64) float64", s.scalar),
		"stores x, is Σ dst·x with the old dst and sets norm to Σ x², in float64.")
	s.zeroSums()
	s.flatLoop("dst x", 1, func(v place) {
		const old, x, moved = 0, 1, 4
		v.loadWide(0, old)
		v.loadWide(1, x)
		v.load(1, s.v(moved))
		v.store(0, s.v(moved))
		for h := range s.wides() {
			VFMADD231PD(s.v(old+2*h), s.v(x+2*h), s.v(8+h))
			VFMADD231PD(s.v(x+2*h), s.v(x+2*h), s.v(10+h))
		}
	})
	VADDPD(s.v(9), s.v(8), s.v(8))
	VADDPD(s.v(11), s.v(10), s.v(10))
	s.horizontal(8, 0)
	s.horizontal(10, 1)
	MOVQ(operand.NewParamAddr("norm", 48), reg.RAX)
	VMOVSD(xmm[10], mem(reg.RAX, nil, 0, 0))
	VMOVSD(xmm[8], operand.NewParamAddr("ret", 56))
	ret()
}

// sgd writes the update of kernel.sgdStep: constants c are decay, momentum,
// shrink, rateV, rateG. The negated rates are in registers.
func (s *isa) sgd(velocity bool) {
	name, sig, slices := "sgd", "func(w, g []%[1]s, c *%[1]s)", "w g"
	if velocity {
		name, sig, slices = "sgdVelocity", "func(w, g, v []%[1]s, c *%[1]s)", "w g v"
	}
	s.function(name, fmt.Sprintf(sig, s.scalar), "updates w, and v, with the constants of an sgdStep.")
	MOVQ(operand.NewParamAddr("c", 24*len(strings.Fields(slices))), reg.RAX)
	const decay, momentum, shrink, rateV, rateG = 8, 9, 10, 11, 12
	for i, r := range []int{decay, momentum, shrink, rateV, rateG} {
		s.bcast(mem(reg.RAX, nil, 0, i*s.size), s.v(r))
	}
	s.flatLoop(slices, 1, func(x place) {
		w, g, v := s.v(0), s.v(1), s.v(2)
		x.load(0, w)
		x.load(1, g)
		s.fma(w, s.v(decay), g) // g′
		s.mul(w, s.v(shrink), w)
		if velocity {
			x.load(2, v)
			s.pick(VFMADD213PS, VFMADD213PD)(g, s.v(momentum), v) // v = momentum·v + g′
			x.store(2, v)
			s.pick(VFNMADD231PS, VFNMADD231PD)(v, s.v(rateV), w)
		}
		s.pick(VFNMADD231PS, VFNMADD231PD)(g, s.v(rateG), w)
		x.store(0, w)
	})
	ret()
}

// adam writes the update of kernel.adamStep: constants c are decay, shrink, move,
// keep, add, scale, epsilon, rate.
func (s *isa) adam() {
	s.function("adam", fmt.Sprintf("func(w, g, m, v []%[1]s, c *%[1]s)", s.scalar), "updates w, m and v with the constants of an adamStep.")
	MOVQ(operand.NewParamAddr("c", 24*4), reg.RAX)
	const decay, shrink, move, keep, add, scale, epsilon, rate = 6, 7, 8, 9, 10, 11, 12, 13
	for i, r := range []int{decay, shrink, move, keep, add, scale, epsilon, rate} {
		s.bcast(mem(reg.RAX, nil, 0, i*s.size), s.v(r))
	}
	s.flatLoop("w g m v", 1, func(x place) {
		w, g, m, v, t := s.v(0), s.v(1), s.v(2), s.v(3), s.v(4)
		x.load(0, w)
		x.load(1, g)
		x.load(2, m)
		x.load(3, v)
		s.fma(w, s.v(decay), g) // g′
		s.mul(w, s.v(shrink), w)
		s.sub(m, g, t)
		s.fma(t, s.v(move), m)
		x.store(2, m)
		s.mul(g, g, t)
		s.mul(v, s.v(keep), v)
		s.fma(t, s.v(add), v)
		x.store(3, v)
		s.pick(VSQRTPS, VSQRTPD)(v, t)
		s.pick(VFMADD213PS, VFMADD213PD)(s.v(epsilon), s.v(scale), t) // t = scale·t + epsilon
		s.pick(VDIVPS, VDIVPD)(t, m, t)
		s.pick(VFNMADD231PS, VFNMADD231PD)(t, s.v(rate), w)
		x.store(0, w)
	})
	ret()
}

// pauses writes the hint that a loop is waiting.
func pauses() {
	TEXT("pause", attr.NOSPLIT, "func()")
	Doc("pause tells the processor that the caller is waiting in a loop.")
	PAUSE()
	RET()
}
