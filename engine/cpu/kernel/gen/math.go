package main

import (
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The transcendental functions in float32. exp and tanh are those of the Cephes
// library (expf.c, tanhf.c), erfc is the Chebyshev fit of Press et al.,
// Numerical Recipes §6.2 (relative error below 1.2e-7).

// literals is the constants that the functions of a file use, in a table.
var literals []float32

// lit broadcasts the constant f to register i.
func (s *isa) lit(f float64, i int) {
	at := len(literals)
	for j, g := range literals {
		if math.Float32bits(g) == math.Float32bits(float32(f)) {
			at = j
		}
	}
	if at == len(literals) {
		literals = append(literals, float32(f))
	}
	s.bcast(operand.NewDataAddr(operand.Symbol{Name: "literals" + s.suffix, Static: true}, 4*at), s.v(i))
}

// bits broadcasts the word w to register i.
func (s *isa) bits(w uint32, i int) { s.lit(float64(math.Float32frombits(w)), i) }

// maths writes the functions and the table of their constants.
func maths(s *isa) {
	s.defineMaskTable()
	one := "func(dst, x []float32)"
	two := "func(dst, x, y []float32)"
	s.mathLoop("expMinus", "func(dst, x []float32, shift float32)", "dst x", "stores exp(x−shift).", func() {
		s.bcast(operand.NewParamAddr("shift", 48), s.v(constant))
	}, func() {
		s.sub(s.v(constant), s.v(1), s.v(0))
		s.exp(0)
	})
	s.mathLoop("sigmoid", one, "dst x", "stores 1/(1+exp(−x)).", nil, func() {
		s.zero(0)
		s.sub(s.v(1), s.v(0), s.v(0))
		s.exp(0)
		s.lit(1, 1)
		s.add(s.v(1), s.v(0), s.v(0))
		VDIVPS(s.v(0), s.v(1), s.v(0))
	})
	s.mathLoop("tanh", one, "dst x", "stores tanh x.", nil, s.tanh)
	s.mathLoop("gelu", one, "dst x", "stores x·Φ(x).", nil, func() {
		s.phi(1, 0)
		s.mul(s.v(1), s.v(0), s.v(0))
	})
	s.mathLoop("geluGrad", two, "dst x y", "stores x·(Φ(y)+y·Φ′(y)).", nil, func() {
		s.phi(2, 6)
		s.mul(s.v(2), s.v(2), s.v(0))
		s.lit(-0.5, 3)
		s.mul(s.v(3), s.v(0), s.v(0))
		s.exp(0)
		s.lit(1/math.Sqrt(2*math.Pi), 3)
		s.mul(s.v(3), s.v(0), s.v(0))
		s.fma(s.v(2), s.v(0), s.v(6))
		s.mul(s.v(6), s.v(1), s.v(0))
	})
	GLOBL("literals"+s.suffix, attr.RODATA|attr.NOPTR)
	for i, f := range literals {
		DATA(4*i, operand.U32(math.Float32bits(f)))
	}
}

// mathLoop writes a loop whose body finds its sources in registers 1 and 2 and
// leaves the result in register 0.
func (s *isa) mathLoop(name, signature, slices, doc string, before, body func()) {
	s.function(name, signature, doc)
	if before != nil {
		before()
	}
	s.flatLoop(slices, 1, func(x place) {
		x.load(1, s.v(1))
		if slices == "dst x y" {
			x.load(2, s.v(2))
		}
		body()
		x.store(0, s.v(0))
	})
	ret()
}

// horner replaces register y by the polynomial in register x with coefficients
// c, highest first; t is overwritten.
func (s *isa) horner(x, y, t int, c ...float64) {
	s.lit(c[0], y)
	for _, f := range c[1:] {
		s.lit(f, t)
		VFMADD213PS(s.v(t), s.v(x), s.v(y))
	}
}

// exp replaces register x by its exponential: 2ⁿ·exp(r) with |r| ≤ ln2/2. It
// overwrites registers 8 to 11. Beyond ±104 the result is ∞ or 0.
func (s *isa) exp(x int) {
	const n, p, t, u = 8, 9, 10, 11
	r := s.v(x)
	s.lit(-104, t)
	VMAXPS(r, s.v(t), r) // NaN stays
	s.lit(104, t)
	VMINPS(r, s.v(t), r)
	s.lit(math.Log2E, n)
	s.mul(r, s.v(n), s.v(n))
	if s.masked {
		VRNDSCALEPS(operand.Imm(0), s.v(n), s.v(n))
	} else {
		VROUNDPS(operand.Imm(0), s.v(n), s.v(n))
	}
	s.lit(-0.693359375, t) // ln2 in two parts, the first exact
	s.fma(s.v(t), s.v(n), r)
	s.lit(2.12194440e-4, t)
	s.fma(s.v(t), s.v(n), r)
	s.horner(x, p, t, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
	s.mul(r, r, s.v(t))
	VFMADD213PS(r, s.v(t), s.v(p))
	s.lit(1, t)
	s.add(s.v(t), s.v(p), s.v(p))
	if s.masked {
		VSCALEFPS(s.v(n), s.v(p), r)
		return
	}
	// 2ⁿ as a product of two powers, each a number of its own.
	VCVTPS2DQ(s.v(n), s.v(n))
	VPSRAD(operand.Imm(1), s.v(n), s.v(u))
	VPSUBD(s.v(u), s.v(n), s.v(n))
	for _, i := range []int{n, u} {
		s.bits(127, t)
		VPADDD(s.v(t), s.v(i), s.v(i))
		VPSLLD(operand.Imm(23), s.v(i), s.v(i))
	}
	s.mul(s.v(n), s.v(p), r)
	s.mul(s.v(u), r, r)
}

// choose replaces register y by register x where register a is below register b.
func (s *isa) choose(a, b, x, y int) {
	const less = 0x11 // ordered, quiet
	if s.masked {
		VCMPPS(operand.Imm(less), s.v(b), s.v(a), reg.K2)
		VMOVAPS(s.v(x), reg.K2, s.v(y))
		return
	}
	VCMPPS(operand.Imm(less), s.v(b), s.v(a), s.v(a))
	VBLENDVPS(s.v(a), s.v(x), s.v(y), s.v(y))
}

// tanh puts tanh of register 1 in register 0.
func (s *isa) tanh() {
	const x, y, a, t, p = 1, 0, 2, 3, 4
	s.bits(0x7fffffff, t)
	VANDPS(s.v(x), s.v(t), s.v(a))
	// ±(1 − 2/(exp 2|x| + 1))
	s.add(s.v(a), s.v(a), s.v(y))
	s.exp(y)
	s.lit(1, t)
	s.add(s.v(t), s.v(y), s.v(y))
	s.lit(2, p)
	VDIVPS(s.v(y), s.v(p), s.v(y))
	s.sub(s.v(y), s.v(t), s.v(y))
	s.bits(0x80000000, t)
	VANDPS(s.v(x), s.v(t), s.v(t))
	VORPS(s.v(t), s.v(y), s.v(y))
	// near zero x + x·z·P(z), z = x²
	s.mul(s.v(x), s.v(x), s.v(5))
	s.horner(5, p, t, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	s.mul(s.v(5), s.v(p), s.v(p))
	VFMADD213PS(s.v(x), s.v(x), s.v(p))
	s.lit(0.625, t)
	s.choose(a, t, p, y)
}

// phi puts Φ of register x, the normal distribution function, in register y. It
// overwrites registers 3 to 5 and those of exp.
func (s *isa) phi(x, y int) {
	const z, t, e = 3, 4, 5
	s.bits(0x7fffffff, t)
	VANDPS(s.v(x), s.v(t), s.v(z))
	s.lit(math.Sqrt2/2, t)
	s.mul(s.v(t), s.v(z), s.v(z))
	// erfc z = t·exp(−z² + P(t)), t = 1/(1+z/2)
	s.lit(1, t)
	s.lit(0.5, e)
	s.fma(s.v(z), s.v(e), s.v(t))
	s.lit(1, e)
	VDIVPS(s.v(t), s.v(e), s.v(t))
	s.horner(t, e, y, 0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
		0.37409196, 1.00002368, -1.26551223)
	VFNMADD231PS(s.v(z), s.v(z), s.v(e))
	s.exp(e)
	s.mul(s.v(t), s.v(e), s.v(e))
	s.lit(0.5, t)
	s.mul(s.v(t), s.v(e), s.v(e)) // Φ(−|x|)
	s.lit(1, y)
	s.sub(s.v(e), s.v(y), s.v(y))
	s.zero(t)
	VMOVAPS(s.v(x), s.v(z))
	s.choose(z, t, e, y)
}
