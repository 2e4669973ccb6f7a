package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Reshape copies a tensor of rank 1 to MaxRank into another Shape with the same
// number of elements in the same row-major order. (Gorgonia's own reshape
// aliases its input, and ops after it then overwrite that.)
type Reshape struct {
	traits
	Shape Dims // of the result
}

// Arity returns 1.
func (o Reshape) Arity() int { return 1 }

// Type is Tensor-m a → Tensor-n a; Gorgonia does not compare the rank m.
func (o Reshape) Type() hm.Type {
	return hm.NewFnType(tensorType(max(o.Shape.N, 1)), tensorType(max(o.Shape.N, 1)))
}

// InferShape returns Shape, or an error if the sizes differ or the input is a scalar.
func (o Reshape) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if err := o.Shape.check(); err != nil {
		return nil, err
	}
	if len(s[0]) == 0 || o.Shape.N == 0 {
		return nil, fmt.Errorf("op: %v: x is %v: scalars are not reshaped; use Broadcast or Sum", o, s[0])
	}
	if len(s[0]) > MaxRank || s[0].TotalSize() != o.Shape.Size() {
		return nil, fmt.Errorf("op: %v: x is %v with %d elements, the new shape has %d", o, s[0], s[0].TotalSize(), o.Shape.Size())
	}
	return o.Shape.Shape(), nil
}

func (o Reshape) eval(in []operand, out []float64) error {
	copy(out, in[0].data)
	return nil
}

// Do copies.
func (o Reshape) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Reshape) DiffWRT(int) []bool { return []bool{true} }

// SymDiff reshapes the gradient back.
func (o Reshape) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	shape, err := NewDims(in[0].Shape()...)
	if err != nil {
		return nil, err
	}
	var b build
	return b.results(b.apply(Reshape{Shape: shape}, grad))
}

// String prints the new shape.
func (o Reshape) String() string { return fmt.Sprintf("Reshape{%v}", o.Shape) }

// WriteHash writes String.
func (o Reshape) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Reshape) Hashcode() uint32 { return hashcode(o) }
