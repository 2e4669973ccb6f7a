package op

import (
	"fmt"
	"hash"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Sum adds up a tensor of the given Shape over Axes, which the result lacks;
// over all axes the result is a scalar. With Mean it divides by the number of
// elements that went into each sum. Its derivative and adjoint is the
// [Broadcast] with the same fields.
type Sum struct {
	traits
	Shape Dims // of the input
	Axes  Axes
	Mean  bool
}

// Broadcast is the adjoint of [Sum]: it inserts Axes into its input and
// repeats it along them to the given Shape; a scalar is the input for all
// axes. With Mean it divides by the number of repeats. Its derivative is the
// Sum with the same fields.
type Broadcast struct {
	traits
	Shape Dims // of the result
	Axes  Axes
	Mean  bool
}

// kept returns the shape without the axes, after checking the two.
func kept(o G.Op, shape Dims, axes Axes) (tensor.Shape, error) {
	if err := shape.check(); err != nil {
		return nil, err
	}
	if axes == 0 || axes&^AllAxes(shape.N) != 0 {
		return nil, fmt.Errorf("op: %v: axes %v of a shape of rank %d: give at least one axis, each below the rank", o, axes, shape.N)
	}
	rest := tensor.Shape{}
	for i, n := range shape.Shape() {
		if !axes.Has(i) {
			rest = append(rest, n)
		}
	}
	return rest, nil
}

// pairs calls f with the offset of every element of shape and the offset of
// its element in the tensor that lacks the axes.
func pairs(shape Dims, axes Axes, f func(full, reduced int)) {
	var stride [MaxRank]int
	s := 1
	for i := shape.N - 1; i >= 0; i-- {
		if !axes.Has(i) {
			stride[i] = s
			s *= shape.D[i]
		}
	}
	var at [MaxRank]int
	for full := range shape.Size() {
		reduced := 0
		for i := range shape.N {
			reduced += at[i] * stride[i]
		}
		f(full, reduced)
		for i := shape.N - 1; i >= 0; i-- {
			if at[i]++; at[i] < shape.D[i] {
				break
			}
			at[i] = 0
		}
	}
}

// divisor is the number of elements of a shape for each element without the
// axes if mean is set, else 1.
func divisor(shape Dims, axes Axes, mean bool) float64 {
	n := 1
	for i, d := range shape.Shape() {
		if mean && axes.Has(i) {
			n *= d
		}
	}
	return float64(n)
}

func meanName(mean bool) string {
	if mean {
		return " mean"
	}
	return ""
}

// Arity returns 1.
func (o Sum) Arity() int { return 1 }

// Type is Tensor-n a → Tensor-m a with m = n − |Axes|, a for m = 0.
func (o Sum) Type() hm.Type {
	return hm.NewFnType(tensorType(o.Shape.N), tensorType(max(o.Shape.N-o.Axes.Len(), 0)))
}

// InferShape returns Shape without Axes, or an error if the input does not
// have Shape or the axes are not its.
func (o Sum) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	rest, err := kept(o, o.Shape, o.Axes)
	if err != nil {
		return nil, err
	}
	return rest, wantShape(o, "x", s[0], o.Shape.Shape())
}

func (o Sum) eval(in []operand, out []float64) error {
	n := divisor(o.Shape, o.Axes, o.Mean)
	pairs(o.Shape, o.Axes, func(full, reduced int) { out[reduced] += in[0].data[full] })
	for i := range out {
		out[i] /= n
	}
	return nil
}

// Do computes the sum.
func (o Sum) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Sum) DiffWRT(int) []bool { return []bool{true} }

// SymDiff broadcasts the gradient.
func (o Sum) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	return b.results(b.apply(Broadcast{Shape: o.Shape, Axes: o.Axes, Mean: o.Mean}, grad))
}

// String prints every field.
func (o Sum) String() string { return fmt.Sprintf("Sum{%v %v%s}", o.Shape, o.Axes, meanName(o.Mean)) }

// WriteHash writes String.
func (o Sum) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Sum) Hashcode() uint32 { return hashcode(o) }

// Arity returns 1.
func (o Broadcast) Arity() int { return 1 }

// Type is Tensor-m a → Tensor-n a with m = n − |Axes|; a → Tensor-n a for m = 0.
func (o Broadcast) Type() hm.Type {
	return hm.NewFnType(tensorType(max(o.Shape.N-o.Axes.Len(), 0)), tensorType(o.Shape.N))
}

// InferShape returns Shape, or an error if the input is not Shape without Axes.
func (o Broadcast) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	rest, err := kept(o, o.Shape, o.Axes)
	if err != nil {
		return nil, err
	}
	return o.Shape.Shape(), wantShape(o, "x", s[0], rest)
}

func (o Broadcast) eval(in []operand, out []float64) error {
	n := divisor(o.Shape, o.Axes, o.Mean)
	pairs(o.Shape, o.Axes, func(full, reduced int) { out[full] = in[0].data[reduced] / n })
	return nil
}

// Do computes the broadcast.
func (o Broadcast) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Broadcast) DiffWRT(int) []bool { return []bool{true} }

// SymDiff sums the gradient.
func (o Broadcast) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	return b.results(b.apply(Sum{Shape: o.Shape, Axes: o.Axes, Mean: o.Mean}, grad))
}

// String prints every field.
func (o Broadcast) String() string {
	return fmt.Sprintf("Broadcast{%v %v%s}", o.Shape, o.Axes, meanName(o.Mean))
}

// WriteHash writes String.
func (o Broadcast) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Broadcast) Hashcode() uint32 { return hashcode(o) }
