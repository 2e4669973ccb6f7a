package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// MaxPool is one member of the 2-D max-pooling family. Let m(i) be the place of
// the largest element of x in window i: the first in row-major order on ties;
// padding never wins; a NaN wins over numbers, so that divergence shows.
//
//	PoolForward (x)     y[i] = x[m(i)]
//	PoolScatter (x, dy) dx[k] = Σ_{i: m(i)=k} dy[i]
//	PoolGather  (x, u)  y[i] = u[m(i)]
//
// x, u and dx are Batch×C×InH×InW, y and dy Batch×C×OutH×OutW. Forward's
// derivative is scatter; scatter and gather are each other's in their second
// input, and their derivative in x is zero almost everywhere.
type MaxPool struct {
	traits
	Dir  PoolDir
	Geom PoolGeom
}

// Arity returns 1 for forward, 2 for the others.
func (o MaxPool) Arity() int {
	if o.Dir == PoolForward {
		return 1
	}
	return 2
}

// Type is Tensor-4 a → Tensor-4 a, with a second Tensor-4 a input for scatter
// and gather.
func (o MaxPool) Type() hm.Type {
	if o.Dir == PoolForward {
		return hm.NewFnType(tensorType(4), tensorType(4))
	}
	return hm.NewFnType(tensorType(4), tensorType(4), tensorType(4))
}

// InferShape returns the shape of y or dx, or an error if an input's shape is
// not the one that Geom says.
func (o MaxPool) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if err := o.Geom.Check(); err != nil {
		return nil, err
	}
	x, y := o.Geom.XShape(), o.Geom.YShape()
	if err := wantShape(o, "x", s[0], x); err != nil {
		return nil, err
	}
	switch o.Dir {
	case PoolForward:
		return y, nil
	case PoolScatter:
		return x, wantShape(o, "dy", s[1], y)
	case PoolGather:
		return y, wantShape(o, "u", s[1], x)
	}
	return nil, fmt.Errorf("op: %v: unknown direction", o)
}

func (o MaxPool) eval(in []operand, out []float64) error {
	x := in[0].data
	o.Geom.windows(func(yi int, w window) {
		best := w.base + w.r0*o.Geom.InW + w.c0
		for r := w.r0; r < w.r1; r++ {
			for c := w.c0; c < w.c1; c++ {
				k := w.base + r*o.Geom.InW + c
				if x[k] > x[best] || (x[k] != x[k] && x[best] == x[best]) {
					best = k
				}
			}
		}
		switch o.Dir {
		case PoolForward:
			out[yi] = x[best]
		case PoolScatter:
			out[best] += in[1].data[yi]
		case PoolGather:
			out[yi] = in[1].data[best]
		}
	})
	return nil
}

// Do computes the pooling.
func (o MaxPool) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: x for forward, the second input for scatter and gather.
func (o MaxPool) DiffWRT(int) []bool {
	if o.Dir == PoolForward {
		return []bool{true}
	}
	return []bool{false, true}
}

// SymDiff returns a scatter for forward and gather, a gather for scatter.
func (o MaxPool) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	switch o.Dir {
	case PoolForward:
		return b.results(b.apply(MaxPool{Dir: PoolScatter, Geom: o.Geom}, in[0], grad))
	case PoolScatter:
		return b.results(nil, b.apply(MaxPool{Dir: PoolGather, Geom: o.Geom}, in[0], grad))
	case PoolGather:
		return b.results(nil, b.apply(MaxPool{Dir: PoolScatter, Geom: o.Geom}, in[0], grad))
	}
	return nil, fmt.Errorf("op: %v: unknown direction", o)
}

// String prints the direction and the whole geometry.
func (o MaxPool) String() string { return fmt.Sprintf("MaxPool{%v %v}", o.Dir, o.Geom) }

// WriteHash writes String.
func (o MaxPool) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o MaxPool) Hashcode() uint32 { return hashcode(o) }
