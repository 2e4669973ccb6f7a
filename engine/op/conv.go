package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// ConvDir says which of the three bilinear maps of a convolution a [Conv] is.
type ConvDir uint8

// The members of the convolution family.
const (
	ConvForward ConvDir = iota // (x, w) → y
	ConvInput                  // (dy, w) → dx
	ConvWeight                 // (x, dy) → dw
)

// String prints "forward", "input" or "weight".
func (d ConvDir) String() string {
	switch d {
	case ConvForward:
		return "forward"
	case ConvInput:
		return "input"
	case ConvWeight:
		return "weight"
	}
	return fmt.Sprintf("ConvDir(%d)", uint8(d))
}

// ConvGeom is the geometry of a 2-D convolution: x is Batch×InC×InH×InW, w is
// OutC×InC×KH×KW, y is Batch×OutC×OutH×OutW. Strides and dilations are at least
// 1, padding (zeros, on both sides) at least 0.
type ConvGeom struct {
	Batch, InC, InH, InW, OutC, KH, KW, StrideH, StrideW, PadH, PadW, DilH, DilW int
}

// OutH returns the height of y: ⌊(InH + 2·PadH − DilH·(KH−1) − 1)/StrideH⌋ + 1.
func (g ConvGeom) OutH() int { return outSize(g.InH, g.KH, g.StrideH, g.PadH, g.DilH) }

// OutW returns the width of y, as OutH.
func (g ConvGeom) OutW() int { return outSize(g.InW, g.KW, g.StrideW, g.PadW, g.DilW) }

// outSize returns the number of windows along one axis, 0 if none fits or the
// stride is not positive.
func outSize(in, kernel, stride, pad, dil int) int {
	room := in + 2*pad - dil*(kernel-1) - 1
	if room < 0 || stride < 1 {
		return 0
	}
	return room/stride + 1
}

// XShape returns Batch×InC×InH×InW.
func (g ConvGeom) XShape() tensor.Shape { return tensor.Shape{g.Batch, g.InC, g.InH, g.InW} }

// WShape returns OutC×InC×KH×KW.
func (g ConvGeom) WShape() tensor.Shape { return tensor.Shape{g.OutC, g.InC, g.KH, g.KW} }

// YShape returns Batch×OutC×OutH×OutW.
func (g ConvGeom) YShape() tensor.Shape { return tensor.Shape{g.Batch, g.OutC, g.OutH(), g.OutW()} }

// Check returns an error if a size is not positive or no window fits.
func (g ConvGeom) Check() error {
	if min(g.Batch, g.InC, g.InH, g.InW, g.OutC, g.KH, g.KW, g.StrideH, g.StrideW, g.DilH, g.DilW) < 1 || min(g.PadH, g.PadW) < 0 {
		return fmt.Errorf("op: convolution %v: sizes, strides and dilations must be at least 1 and padding at least 0", g)
	}
	if g.OutH() < 1 || g.OutW() < 1 {
		return fmt.Errorf("op: convolution %v: the %d×%d kernel with dilation %d×%d does not fit the %d×%d input with padding %d×%d",
			g, g.KH, g.KW, g.DilH, g.DilW, g.InH, g.InW, g.PadH, g.PadW)
	}
	return nil
}

// String prints every field.
func (g ConvGeom) String() string {
	return fmt.Sprintf("%d×%d×%d×%d out%d k%d×%d s%d×%d p%d×%d d%d×%d", g.Batch, g.InC, g.InH, g.InW,
		g.OutC, g.KH, g.KW, g.StrideH, g.StrideW, g.PadH, g.PadW, g.DilH, g.DilW)
}

// Conv is one member of the 2-D convolution family (cross-correlation, as
// PyTorch's conv2d without bias):
//
//	y[b,k,i,j] = Σ_{c,r,s} x[b, c, i·StrideH + r·DilH − PadH, j·StrideW + s·DilW − PadW] · w[k,c,r,s]
//
// with zeros outside x. ConvForward computes y from (x, w). ConvInput maps
// (dy, w) to dx and ConvWeight maps (x, dy) to dw; they are the adjoints of
// y in x and in w. The three are bilinear, and each one's derivative is the
// other two.
type Conv struct {
	traits
	Dir  ConvDir
	Geom ConvGeom
}

// Arity returns 2.
func (o Conv) Arity() int { return 2 }

// Type is Tensor-4 a → Tensor-4 a → Tensor-4 a.
func (o Conv) Type() hm.Type {
	return hm.NewFnType(tensorType(4), tensorType(4), tensorType(4))
}

// InferShape returns the shape of y, dx or dw, or an error if an input's shape
// is not the one that Geom says.
func (o Conv) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if err := o.Geom.Check(); err != nil {
		return nil, err
	}
	x, w, y := o.Geom.XShape(), o.Geom.WShape(), o.Geom.YShape()
	var want [2]tensor.Shape
	var names [2]string
	var out tensor.Shape
	switch o.Dir {
	case ConvForward:
		want, names, out = [2]tensor.Shape{x, w}, [2]string{"x", "w"}, y
	case ConvInput:
		want, names, out = [2]tensor.Shape{y, w}, [2]string{"dy", "w"}, x
	case ConvWeight:
		want, names, out = [2]tensor.Shape{x, y}, [2]string{"x", "dy"}, w
	default:
		return nil, fmt.Errorf("op: %v: unknown direction", o)
	}
	for i := range want {
		if err := wantShape(o, names[i], s[i], want[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (o Conv) eval(in []operand, out []float64) error {
	g := o.Geom
	p, q := in[0].data, in[1].data
	outH, outW := g.OutH(), g.OutW()
	for b := range g.Batch {
		for k := range g.OutC {
			for i := range outH {
				for j := range outW {
					yi := ((b*g.OutC+k)*outH+i)*outW + j
					for c := range g.InC {
						for r := range g.KH {
							xr := i*g.StrideH + r*g.DilH - g.PadH
							if xr < 0 || xr >= g.InH {
								continue
							}
							for s := range g.KW {
								xc := j*g.StrideW + s*g.DilW - g.PadW
								if xc < 0 || xc >= g.InW {
									continue
								}
								xi := ((b*g.InC+c)*g.InH+xr)*g.InW + xc
								wi := ((k*g.InC+c)*g.KH+r)*g.KW + s
								switch o.Dir {
								case ConvForward:
									out[yi] += p[xi] * q[wi]
								case ConvInput:
									out[xi] += p[yi] * q[wi]
								case ConvWeight:
									out[wi] += p[xi] * q[yi]
								}
							}
						}
					}
				}
			}
		}
	}
	return nil
}

// Do computes the convolution.
func (o Conv) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: both inputs.
func (o Conv) DiffWRT(int) []bool { return []bool{true, true} }

// SymDiff returns the other two members of the family.
func (o Conv) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	as := func(d ConvDir) Conv { return Conv{Dir: d, Geom: o.Geom} }
	var b build
	switch o.Dir {
	case ConvForward: // in x, w; grad is a dy
		return b.results(b.apply(as(ConvInput), grad, in[1]), b.apply(as(ConvWeight), in[0], grad))
	case ConvInput: // in dy, w; grad is an x
		return b.results(b.apply(as(ConvForward), grad, in[1]), b.apply(as(ConvWeight), grad, in[0]))
	case ConvWeight: // in x, dy; grad is a w
		return b.results(b.apply(as(ConvInput), in[1], grad), b.apply(as(ConvForward), in[0], grad))
	}
	return nil, fmt.Errorf("op: %v: unknown direction", o)
}

// String prints the direction and the whole geometry.
func (o Conv) String() string { return fmt.Sprintf("Conv{%v %v}", o.Dir, o.Geom) }

// WriteHash writes String.
func (o Conv) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Conv) Hashcode() uint32 { return hashcode(o) }
