package op

import (
	"fmt"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Apply adds the node o(in...) to the graph of its inputs and returns it, or
// the node that already computes it. The inputs belong to one graph, have one
// dtype (float32 or float64) and shapes that o accepts; if not, the error says
// which input is wrong and what was wanted. Not for concurrent use on one graph.
func Apply(o G.Op, in ...*G.Node) (*G.Node, error) {
	if len(in) == 0 {
		return nil, fmt.Errorf("op: %v: no inputs", o)
	}
	ds := make([]G.DimSizer, len(in))
	for i, n := range in {
		if n == nil {
			return nil, fmt.Errorf("op: %v: input %d is nil", o, i)
		}
		if n.Graph() != in[0].Graph() {
			return nil, fmt.Errorf("op: %v: input %d (%s) belongs to another graph than input 0 (%s)", o, i, n.Name(), in[0].Name())
		}
		dtype := n.Dtype()
		if dtype != tensor.Float32 && dtype != tensor.Float64 {
			return nil, fmt.Errorf("op: %v: input %d (%s) is %v; use float32 or float64", o, i, n.Name(), dtype)
		}
		if dtype != in[0].Dtype() {
			return nil, fmt.Errorf("op: %v: input %d (%s) is %v, input 0 is %v", o, i, n.Name(), dtype, in[0].Dtype())
		}
		ds[i] = n.Shape()
	}
	if _, err := o.InferShape(ds...); err != nil {
		return nil, err
	}
	return link(o, in)
}

// link is gorgonia.ApplyOp with a check of what came back: Gorgonia merges
// nodes by a 32-bit hash and does not compare their inputs, so a collision
// would silently connect the wrong ones.
func link(o G.Op, in G.Nodes) (*G.Node, error) {
	n, err := G.ApplyOp(o, in...)
	if err != nil {
		return nil, fmt.Errorf("op: %v: %w", o, err)
	}
	kids, err := children(n)
	if err != nil {
		return nil, err
	}
	if n.Op().String() != o.String() || !slices.Equal(kids, in) {
		return nil, fmt.Errorf("op: %v: gorgonia merged it with another node (%s) of the same hash; rename an input", o, n.Name())
	}
	return n, nil
}

// children returns the inputs of n in order, duplicates kept.
func children(n *G.Node) (G.Nodes, error) {
	g := n.Graph()
	if g == nil || g.Node(n.ID()) != n {
		return nil, fmt.Errorf("op: node %s is not in its graph any more (was it removed?); build the graph anew", n.Name())
	}
	var kids G.Nodes
	for it := g.From(n.ID()); it != nil && it.Next(); {
		kids = append(kids, it.Node().(*G.Node))
	}
	return kids, nil
}

// build applies ops one after another and keeps the first error, so that
// derivative rules and constructors read as expressions.
type build struct{ err error }

func (b *build) apply(o G.Op, in ...*G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	var n *G.Node
	n, b.err = Apply(o, in...)
	return n
}

func (b *build) unary(f Func, order int, x *G.Node) *G.Node {
	return b.apply(Unary{Fn: f, Order: order}, x)
}

func (b *build) binary(k BinaryKind, x, y *G.Node) *G.Node {
	return b.apply(Binary{Kind: k}, x, y)
}

// results returns what SymDiff returns: the nodes, or the first error.
func (b *build) results(n ...*G.Node) (G.Nodes, error) {
	if b.err != nil {
		return nil, b.err
	}
	return n, nil
}
