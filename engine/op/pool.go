package op

import (
	"fmt"

	"gorgonia.org/tensor"
)

// PoolDir says which map of a pooling family an op is.
type PoolDir uint8

// The members of the pooling families.
const (
	PoolForward PoolDir = iota // (x) → y
	PoolScatter                // (x, dy) → dx for MaxPool, (dy) → dx for AvgPool
	PoolGather                 // (x, u) → y, MaxPool only
)

// String prints "forward", "scatter" or "gather".
func (d PoolDir) String() string {
	switch d {
	case PoolForward:
		return "forward"
	case PoolScatter:
		return "scatter"
	case PoolGather:
		return "gather"
	}
	return fmt.Sprintf("PoolDir(%d)", uint8(d))
}

// PoolGeom is the geometry of 2-D pooling: x is Batch×C×InH×InW, y is
// Batch×C×OutH×OutW. Strides are at least 1; padding is at least 0 and at most
// half the kernel, so that every window holds an element of x. Windows that
// don't fit into the padded input are dropped.
type PoolGeom struct {
	Batch, C, InH, InW, KH, KW, StrideH, StrideW, PadH, PadW int
}

// OutH returns the height of y: ⌊(InH + 2·PadH − KH)/StrideH⌋ + 1.
func (g PoolGeom) OutH() int { return outSize(g.InH, g.KH, g.StrideH, g.PadH, 1) }

// OutW returns the width of y, as OutH.
func (g PoolGeom) OutW() int { return outSize(g.InW, g.KW, g.StrideW, g.PadW, 1) }

// XShape returns Batch×C×InH×InW.
func (g PoolGeom) XShape() tensor.Shape { return tensor.Shape{g.Batch, g.C, g.InH, g.InW} }

// YShape returns Batch×C×OutH×OutW.
func (g PoolGeom) YShape() tensor.Shape { return tensor.Shape{g.Batch, g.C, g.OutH(), g.OutW()} }

// Check returns an error if a size is not positive, the padding exceeds half
// the kernel, or no window fits.
func (g PoolGeom) Check() error {
	if min(g.Batch, g.C, g.InH, g.InW, g.KH, g.KW, g.StrideH, g.StrideW) < 1 || min(g.PadH, g.PadW) < 0 {
		return fmt.Errorf("op: pooling %v: sizes and strides must be at least 1 and padding at least 0", g)
	}
	if 2*g.PadH > g.KH || 2*g.PadW > g.KW {
		return fmt.Errorf("op: pooling %v: padding %d×%d is more than half the kernel %d×%d", g, g.PadH, g.PadW, g.KH, g.KW)
	}
	if g.OutH() < 1 || g.OutW() < 1 {
		return fmt.Errorf("op: pooling %v: the %d×%d window does not fit the %d×%d input with padding %d×%d",
			g, g.KH, g.KW, g.InH, g.InW, g.PadH, g.PadW)
	}
	return nil
}

// String prints every field.
func (g PoolGeom) String() string {
	return fmt.Sprintf("%d×%d×%d×%d k%d×%d s%d×%d p%d×%d", g.Batch, g.C, g.InH, g.InW,
		g.KH, g.KW, g.StrideH, g.StrideW, g.PadH, g.PadW)
}

// window is the part of one pooling window that lies inside x: rows r0..r1-1
// and columns c0..c1-1 of the plane that starts at element base.
type window struct{ base, r0, r1, c0, c1 int }

// windows calls f for every element of y in row-major order with its window.
func (g PoolGeom) windows(f func(yi int, w window)) {
	yi := 0
	for plane := range g.Batch * g.C {
		for i := range g.OutH() {
			r := i*g.StrideH - g.PadH
			for j := range g.OutW() {
				c := j*g.StrideW - g.PadW
				f(yi, window{
					base: plane * g.InH * g.InW,
					r0:   max(r, 0), r1: min(r+g.KH, g.InH),
					c0: max(c, 0), c1: min(c+g.KW, g.InW),
				})
				yi++
			}
		}
	}
}
