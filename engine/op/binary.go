package op

import (
	"fmt"
	"hash"
	"math"
	"slices"
	"strconv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// BinaryKind is an elementwise operation on two inputs.
type BinaryKind uint8

// The elementwise operations.
const (
	Add BinaryKind = iota // x + y
	Sub                   // x − y
	Mul                   // x ⊙ y
	Div                   // x ⊘ y
)

// String prints "add", "sub", "mul" or "div".
func (k BinaryKind) String() string {
	switch k {
	case Add:
		return "add"
	case Sub:
		return "sub"
	case Mul:
		return "mul"
	case Div:
		return "div"
	}
	return fmt.Sprintf("BinaryKind(%d)", uint8(k))
}

// Of applies the operation to x and y, which have the same shape.
func (k BinaryKind) Of(x, y *G.Node) (*G.Node, error) { return Apply(Binary{Kind: k}, x, y) }

// Binary is the elementwise x ∘ y on two tensors of the same shape or two
// scalars; nothing is broadcast (see [Broadcast]).
type Binary struct {
	traits
	Kind BinaryKind
}

// Arity returns 2.
func (o Binary) Arity() int { return 2 }

// Type is a → a → a.
func (o Binary) Type() hm.Type { return hm.NewFnType(element, element, element) }

// InferShape returns the common shape, or an error if the shapes differ.
func (o Binary) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if o.Kind > Div {
		return nil, fmt.Errorf("op: %v: unknown operation", o)
	}
	if !slices.Equal(s[0], s[1]) {
		return nil, fmt.Errorf("op: %v: x is %v, y is %v: shapes must be equal (nothing is broadcast)", o, s[0], s[1])
	}
	return s[0].Clone(), nil
}

func (o Binary) eval(in []operand, out []float64) error {
	x, y := in[0].data, in[1].data
	for i := range out {
		switch o.Kind {
		case Add:
			out[i] = x[i] + y[i]
		case Sub:
			out[i] = x[i] - y[i]
		case Mul:
			out[i] = x[i] * y[i]
		case Div:
			out[i] = x[i] / y[i]
		}
	}
	return nil
}

// Do computes the operation.
func (o Binary) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: both inputs.
func (o Binary) DiffWRT(int) []bool { return []bool{true, true} }

// SymDiff returns (g, g), (g, −g), (g⊙y, g⊙x) or (g⊘y, −g⊙(x⊘y)⊘y).
func (o Binary) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	var b build
	switch o.Kind {
	case Add:
		return b.results(grad, grad)
	case Sub:
		return b.results(grad, b.unary(Neg, 0, grad))
	case Mul:
		return b.results(b.binary(Mul, grad, in[1]), b.binary(Mul, grad, in[0]))
	case Div:
		dx := b.binary(Div, grad, in[1])
		return b.results(dx, b.unary(Neg, 0, b.binary(Mul, dx, out)))
	}
	return nil, fmt.Errorf("op: %v: unknown operation", o)
}

// String prints "Binary{add}" and the like.
func (o Binary) String() string { return fmt.Sprintf("Binary{%v}", o.Kind) }

// WriteHash writes String.
func (o Binary) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Binary) Hashcode() uint32 { return hashcode(o) }

// Scale is y = Factor·x on a tensor of any shape or a scalar. Factor is finite.
type Scale struct {
	traits
	Factor float64
}

// Arity returns 1.
func (o Scale) Arity() int { return 1 }

// Type is a → a.
func (o Scale) Type() hm.Type { return hm.NewFnType(element, element) }

// InferShape returns the input's shape, or an error if Factor is not finite.
func (o Scale) InferShape(ds ...G.DimSizer) (tensor.Shape, error) {
	s, err := inputShapes(o, ds)
	if err != nil {
		return nil, err
	}
	if math.IsNaN(o.Factor) || math.IsInf(o.Factor, 0) {
		return nil, fmt.Errorf("op: %v: the factor must be finite", o)
	}
	return s[0].Clone(), nil
}

func (o Scale) eval(in []operand, out []float64) error {
	for i, x := range in[0].data {
		out[i] = o.Factor * x
	}
	return nil
}

// Do computes the product.
func (o Scale) Do(in ...G.Value) (G.Value, error) { return do(o, in) }

// DiffWRT: its input.
func (o Scale) DiffWRT(int) []bool { return []bool{true} }

// SymDiff scales the gradient.
func (o Scale) SymDiff(_ G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var b build
	return b.results(b.apply(o, grad))
}

// String prints the factor exactly.
func (o Scale) String() string {
	return "Scale{" + strconv.FormatFloat(o.Factor, 'g', -1, 64) + "}"
}

// WriteHash writes String.
func (o Scale) WriteHash(h hash.Hash) { writeHash(o, h) }

// Hashcode hashes String.
func (o Scale) Hashcode() uint32 { return hashcode(o) }
