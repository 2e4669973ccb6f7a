package main

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is one vector width and element type: the names that the kernels are
// written in. Operands are in Go's order, the destination last. Registers are
// fixed by hand: the kernels are as wide as the register file allows.
type isa struct {
	suffix string // of function names: F32AVX512 and the like
	size   int    // bytes of an element
	width  int    // bytes of a vector
	count  int    // vector registers
	masked bool   // AVX-512 masks
	rows   int    // rows of the largest tile with two vectors a row
	scalar string // Go's name of the element type
}

func newISA(path string, size int) (*isa, error) {
	s := &isa{size: size, scalar: map[int]string{4: "float32", 8: "float64"}[size]}
	switch path {
	case "avx512":
		s.width, s.count, s.masked, s.rows = 64, 32, true, 14
	case "avx2":
		s.width, s.count, s.rows = 32, 16, 6
	default:
		return nil, fmt.Errorf("unknown path %q", path)
	}
	s.suffix = fmt.Sprintf("F%d%s", 8*size, strings.ToUpper(path))
	return s, nil
}

// lanes is the number of elements in a vector.
func (s *isa) lanes() int { return s.width / s.size }

// v is vector register i.
func (s *isa) v(i int) reg.VecPhysical {
	if s.masked {
		return zmm[i]
	}
	return ymm[i]
}

var (
	zmm = []reg.VecPhysical{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
		reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20,
		reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	}
	ymm = []reg.VecPhysical{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10,
		reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15, reg.Y16, reg.Y17, reg.Y18, reg.Y19, reg.Y20,
		reg.Y21, reg.Y22, reg.Y23, reg.Y24, reg.Y25, reg.Y26, reg.Y27, reg.Y28, reg.Y29, reg.Y30, reg.Y31,
	}
	xmm = []reg.VecPhysical{
		reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7, reg.X8, reg.X9, reg.X10,
		reg.X11, reg.X12, reg.X13, reg.X14, reg.X15, reg.X16, reg.X17, reg.X18, reg.X19, reg.X20,
		reg.X21, reg.X22, reg.X23, reg.X24, reg.X25, reg.X26, reg.X27, reg.X28, reg.X29, reg.X30, reg.X31,
	}
)

// pick is single for float32 and double for float64.
func (s *isa) pick(single, double func(...operand.Op)) func(...operand.Op) {
	if s.size == 4 {
		return single
	}
	return double
}

// pick3 is pick for instructions of three operands.
func (s *isa) pick3(single, double func(a, b, c operand.Op)) func(a, b, c operand.Op) {
	if s.size == 4 {
		return single
	}
	return double
}

func (s *isa) load(m, v operand.Op)  { s.pick(VMOVUPS, VMOVUPD)(m, v) }
func (s *isa) store(v, m operand.Op) { s.pick(VMOVUPS, VMOVUPD)(v, m) }
func (s *isa) bcast(m, v operand.Op) {
	if s.size == 4 {
		VBROADCASTSS(m, v)
	} else {
		VBROADCASTSD(m, v)
	}
}

// fma is dst += a·b.
func (s *isa) fma(b, a, dst operand.Op) { s.pick(VFMADD231PS, VFMADD231PD)(b, a, dst) }

// fmaBroadcast is dst += m·b for one element m in memory.
func (s *isa) fmaBroadcast(m, b, dst operand.Op) {
	s.pick(VFMADD231PS_BCST, VFMADD231PD_BCST)(m, b, dst)
}
func (s *isa) add(a, b, dst operand.Op) { s.pick(VADDPS, VADDPD)(a, b, dst) }
func (s *isa) sub(b, a, dst operand.Op) { s.pick(VSUBPS, VSUBPD)(b, a, dst) } // a−b
func (s *isa) mul(a, b, dst operand.Op) { s.pick(VMULPS, VMULPD)(a, b, dst) }

// relu is dst = max(0,x), with zero a register of zeros: NaN and −0 stay.
func (s *isa) relu(x, zero, dst operand.Op) { s.pick(VMAXPS, VMAXPD)(x, zero, dst) }

func (s *isa) zero(i int) {
	if s.masked {
		VPXORD(s.v(i), s.v(i), s.v(i))
	} else {
		VXORPS(s.v(i), s.v(i), s.v(i))
	}
}

// lastMask makes the mask of the first n lanes, n in a register that is
// destroyed: in opmask K1, or in vector register i.
func (s *isa) lastMask(n reg.GPPhysical, i int) {
	if s.masked {
		MOVQ(operand.I32(-1), reg.RAX)
		BZHIQ(n, reg.RAX, reg.RAX)
		KMOVW(reg.EAX, reg.K1)
		return
	}
	// The table holds lanes() ones and then zeros; reading it later by as many
	// lanes as there are ones to drop leaves n.
	NEGQ(n)
	LEAQ(s.maskTable(), reg.RAX)
	VMOVUPS(operand.Mem{Base: reg.RAX, Index: n, Scale: uint8(s.size), Disp: s.width}, s.v(i))
}

// maskTable is lanes() elements of ones and as many of zeros.
func (s *isa) maskTable() operand.Mem {
	return operand.NewDataAddr(operand.Symbol{Name: "lanes" + s.suffix, Static: true}, 0)
}

// defineMaskTable writes it, once a file.
func (s *isa) defineMaskTable() {
	if s.masked {
		return
	}
	GLOBL("lanes"+s.suffix, attr.RODATA|attr.NOPTR)
	for i := range s.width / 4 {
		DATA(8*i, operand.U64(map[bool]uint64{true: ^uint64(0)}[8*i < s.width]))
	}
}

// loadMasked loads the lanes of the mask (K1, or register mask) and zeros the
// others; it touches no memory of the others.
func (s *isa) loadMasked(m operand.Mem, mask int, v operand.Op) {
	if s.masked {
		s.pick3(VMOVUPS_Z, VMOVUPD_Z)(m, reg.K1, v)
	} else {
		s.pick3(VMASKMOVPS, VMASKMOVPD)(m, s.v(mask), v)
	}
}

// storeMasked stores the lanes of the mask.
func (s *isa) storeMasked(v operand.Op, mask int, m operand.Mem) {
	if s.masked {
		s.pick(VMOVUPS, VMOVUPD)(v, reg.K1, m)
	} else {
		s.pick3(VMASKMOVPS, VMASKMOVPD)(v, s.v(mask), m)
	}
}

// declare makes the types of package kernel that signatures name known to avo,
// which without loading the package (whose assembly may not exist yet) looks
// names up among Go's own.
func declare() {
	for name, t := range map[string]types.Type{"tile": types.NewStruct(nil, nil), "pointer": types.Typ[types.UnsafePointer]} {
		obj := types.NewTypeName(token.NoPos, nil, name, nil)
		types.NewNamed(obj, t, nil)
		types.Universe.Insert(obj)
	}
}

// function begins a function.
func (s *isa) function(name, signature, doc string) {
	TEXT(name+s.suffix, attr.NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + s.suffix + " " + doc)
}

// ret ends a function.
func ret() {
	VZEROUPPER()
	RET()
}

// mem is a memory operand at base + index·scale + disp; index may be nil.
func mem(base reg.GPPhysical, index reg.GPPhysical, scale, disp int) operand.Mem {
	m := operand.Mem{Base: base, Disp: disp}
	if index != nil {
		m.Index, m.Scale = index, uint8(scale)
	}
	return m
}
