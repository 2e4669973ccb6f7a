package kernel

import "fmt"

// ConvGeom is the geometry of a two-dimensional convolution (cross-correlation,
// as in PyTorch). Inputs are Batch×InC×InH×InW, weights OutC×InC×KH×KW, outputs
// Batch×OutC×OutH×OutW, all without gaps.
type ConvGeom struct {
	Batch, InC, InH, InW int
	OutC, KH, KW         int
	StrideH, StrideW     int
	PadH, PadW           int
	DilH, DilW           int
}

// OutH is the number of output rows.
func (g ConvGeom) OutH() int { return outSize(g.InH, g.KH, g.StrideH, g.PadH, g.DilH) }

// OutW is the number of output columns.
func (g ConvGeom) OutW() int { return outSize(g.InW, g.KW, g.StrideW, g.PadW, g.DilW) }

func outSize(in, k, stride, pad, dil int) int {
	span := (k-1)*dil + 1
	if stride < 1 || in+2*pad < span {
		return 0
	}
	return (in+2*pad-span)/stride + 1
}

// Check reports the first size that makes no sense.
func (g ConvGeom) Check() error {
	for _, f := range []struct {
		name string
		v    int
		min  int
	}{
		{"Batch", g.Batch, 1}, {"InC", g.InC, 1}, {"InH", g.InH, 1}, {"InW", g.InW, 1},
		{"OutC", g.OutC, 1}, {"KH", g.KH, 1}, {"KW", g.KW, 1},
		{"StrideH", g.StrideH, 1}, {"StrideW", g.StrideW, 1}, {"PadH", g.PadH, 0}, {"PadW", g.PadW, 0},
		{"DilH", g.DilH, 1}, {"DilW", g.DilW, 1},
	} {
		if f.v < f.min {
			return fmt.Errorf("kernel: convolution: %s is %d, must be at least %d", f.name, f.v, f.min)
		}
	}
	if g.OutH() < 1 || g.OutW() < 1 {
		return fmt.Errorf("kernel: convolution: a %d×%d kernel with dilation %d×%d does not fit a %d×%d input with padding %d×%d",
			g.KH, g.KW, g.DilH, g.DilW, g.InH, g.InW, g.PadH, g.PadW)
	}
	return nil
}

// PoolGeom is the geometry of a two-dimensional pooling of planes of InH×InW
// into OutH×OutW. Windows that don't fit are dropped.
type PoolGeom struct {
	Channels, InH, InW int
	KH, KW             int
	StrideH, StrideW   int
	PadH, PadW         int
}

// OutH is the number of output rows.
func (g PoolGeom) OutH() int { return outSize(g.InH, g.KH, g.StrideH, g.PadH, 1) }

// OutW is the number of output columns.
func (g PoolGeom) OutW() int { return outSize(g.InW, g.KW, g.StrideW, g.PadW, 1) }

// Check reports the first size that makes no sense. Padding must be smaller than
// the window, so that every window has an input.
func (g PoolGeom) Check() error {
	for _, f := range []struct {
		name string
		v    int
		min  int
	}{
		{"Channels", g.Channels, 1}, {"InH", g.InH, 1}, {"InW", g.InW, 1}, {"KH", g.KH, 1}, {"KW", g.KW, 1},
		{"StrideH", g.StrideH, 1}, {"StrideW", g.StrideW, 1}, {"PadH", g.PadH, 0}, {"PadW", g.PadW, 0},
	} {
		if f.v < f.min {
			return fmt.Errorf("kernel: pooling: %s is %d, must be at least %d", f.name, f.v, f.min)
		}
	}
	if g.OutH() < 1 || g.OutW() < 1 {
		return fmt.Errorf("kernel: pooling: a %d×%d window does not fit a %d×%d input", g.KH, g.KW, g.InH, g.InW)
	}
	if g.PadH >= g.KH || g.PadW >= g.KW {
		return fmt.Errorf("kernel: pooling: padding %d×%d is not smaller than the window %d×%d", g.PadH, g.PadW, g.KH, g.KW)
	}
	return nil
}
