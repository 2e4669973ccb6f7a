package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// AvgPool is one member of the 2-D average-pooling family. Averages divide by
// KH·KW, padding counted (PyTorch's count_include_pad=True).
//
//	PoolForward (x)  y[i] = Σ_{k in window i} x[k] / (KH·KW)
//	PoolScatter (dy) dx[k] = Σ_{i: k in window i} dy[i] / (KH·KW)
//
// x and dx are Batch×C×InH×InW, y and dy Batch×C×OutH×OutW. The two are linear
// and adjoint, so each is the other's derivative. Global average pooling is
// forward with a kernel of InH×InW.
type AvgPool struct {
	traits
	Dir  PoolDir
	Geom PoolGeom
}

// Arity returns 1.
func (o AvgPool) Arity() int { return 1 }

// Type is Tensor-4 a → Tensor-4 a.
func (o AvgPool) Type() hm.Type { return hm.NewFnType(tensorType(4), tensorType(4)) }

// InferShape returns the shape of y or dx, or an error if the input's shape is
// not the one that Geom says.
func (o AvgPool) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if err := o.Geom.Check(); err != nil {
		return nil, err
	}
	x, y := o.Geom.XShape(), o.Geom.YShape()
	switch o.Dir {
	case PoolForward:
		return y, wantShape(o, "x", s[0], x)
	case PoolScatter:
		return x, wantShape(o, "dy", s[0], y)
	}
	return nil, fmt.Errorf("op: %v: average pooling has only the directions forward and scatter", o)
}

func (o AvgPool) eval(in []operand, out []float64) error {
	p := in[0].data
	count := float64(o.Geom.KH * o.Geom.KW)
	o.Geom.windows(func(yi int, w window) {
		for r := w.r0; r < w.r1; r++ {
			for c := w.c0; c < w.c1; c++ {
				k := w.base + r*o.Geom.InW + c
				if o.Dir == PoolForward {
					out[yi] += p[k] / count
				} else {
					out[k] += p[yi] / count
				}
			}
		}
	})
	return nil
}

// Do computes the pooling.
func (o AvgPool) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o AvgPool) DiffWRT(int) []bool { return []bool{true} }

// SymDiff returns the adjoint.
func (o AvgPool) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	adjoint := AvgPool{Dir: PoolScatter, Geom: o.Geom}
	if o.Dir == PoolScatter {
		adjoint.Dir = PoolForward
	}
	var b build
	return b.results(b.apply(adjoint, grad))
}

// String prints the direction and the whole geometry.
func (o AvgPool) String() string { return fmt.Sprintf("AvgPool{%v %v}", o.Dir, o.Geom) }

// WriteHash writes String.
func (o AvgPool) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o AvgPool) Hashcode() uint32 { return hashcode(o) }
