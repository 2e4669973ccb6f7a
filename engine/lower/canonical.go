package lower

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// term is what a node of the user's graph became: a node of the canonical
// graph, or a number known when compiling.
type term struct {
	node *gorgonia.Node
	num  number
}

// number is a compile-time constant; batch says that the batch size is a
// factor of it, so that it may only serve to average over the batch.
type number struct {
	value float64
	batch bool
}

// canonicalizer rebuilds a graph of stock and own ops as one of own ops only.
type canonicalizer struct {
	from, to *gorgonia.ExprGraph
	batch    int
	made     map[*gorgonia.Node]term
}

// canonicalize returns s over a fresh graph that consists of ops of package
// op alone, so that one derivative rule an op is all there is.
func canonicalize(s Source) (Source, error) {
	if s.Loss == nil {
		return s, errors.New("lower: no loss given")
	}
	if !s.Loss.IsScalar() {
		return s, fmt.Errorf("lower: the loss %q has shape %v; reduce it to a scalar with Mean or Sum", s.Loss.Name(), s.Loss.Shape())
	}
	if len(s.Params) == 0 {
		return s, errors.New("lower: no parameters given: name the nodes to differentiate by")
	}
	c := &canonicalizer{from: s.Loss.Graph(), to: gorgonia.NewGraph(), batch: batchOf(s), made: map[*gorgonia.Node]term{}}
	out := Source{Curvature: s.Curvature}
	for _, n := range s.Params {
		out.Params = append(out.Params, c.leaf(n))
	}
	for _, n := range s.Inputs {
		out.Inputs = append(out.Inputs, c.leaf(n))
	}
	var err error
	if out.Loss, err = c.nodeOf(s.Loss); err != nil {
		return s, err
	}
	if s.Logits != nil && s.Targets != nil {
		if out.Logits, err = c.nodeOf(s.Logits); err != nil {
			return s, err
		}
		if out.Targets, err = c.nodeOf(s.Targets); err != nil {
			return s, err
		}
	}
	return out, nil
}

// leaf copies an input or parameter.
func (c *canonicalizer) leaf(n *gorgonia.Node) *gorgonia.Node {
	var m *gorgonia.Node
	if n.Shape().IsScalar() {
		m = gorgonia.NewScalar(c.to, n.Dtype(), gorgonia.WithName(n.Name()))
	} else {
		m = gorgonia.NewTensor(c.to, n.Dtype(), n.Dims(), gorgonia.WithShape(n.Shape()...), gorgonia.WithName(n.Name()))
	}
	c.made[n] = term{node: m}
	return m
}

// nodeOf returns n's canonical node; a known number becomes a constant node.
func (c *canonicalizer) nodeOf(n *gorgonia.Node) (*gorgonia.Node, error) {
	t, err := c.term(n)
	if err != nil {
		return nil, err
	}
	return c.materialize(t, n)
}

func (c *canonicalizer) materialize(t term, n *gorgonia.Node) (*gorgonia.Node, error) {
	if t.node != nil {
		return t.node, nil
	}
	if t.num.batch {
		return nil, errBatchSize
	}
	if n.Dtype() == tensor.Float32 {
		return c.to.Constant(gorgonia.NewF32(float32(t.num.value))), nil
	}
	return c.to.Constant(gorgonia.NewF64(t.num.value)), nil
}

func (c *canonicalizer) term(n *gorgonia.Node) (term, error) {
	if t, ok := c.made[n]; ok {
		return t, nil
	}
	t, err := c.newTerm(n)
	if err != nil {
		var named nodeError
		if !errors.As(err, &named) {
			err = nodeError{n, err}
		}
		return term{}, err
	}
	c.made[n] = t
	return t, nil
}

// nodeError says at which node of the user's graph something went wrong.
type nodeError struct {
	node *gorgonia.Node
	err  error
}

func (e nodeError) Error() string {
	return fmt.Sprintf("lower: node %q of shape %v: %v", e.node.Name(), e.node.Shape(), e.err)
}

func (e nodeError) Unwrap() error { return e.err }

func (c *canonicalizer) newTerm(n *gorgonia.Node) (term, error) {
	if v, ok := constantOf(n); ok && n.Shape().IsScalar() {
		return term{num: number{value: v}}, nil
	}
	o := n.Op()
	if o == nil {
		return term{}, errors.New("neither a parameter nor an input was named so; name it among the parameters or the inputs")
	}
	if isOwn(o) {
		return c.own(n, o)
	}
	return c.stock(n, o)
}

// own copies a node whose op is already one of ours.
func (c *canonicalizer) own(n *gorgonia.Node, o gorgonia.Op) (term, error) {
	var args []*gorgonia.Node
	for _, child := range children(c.from, n) {
		a, err := c.nodeOf(child)
		if err != nil {
			return term{}, err
		}
		args = append(args, a)
	}
	return c.apply(o, args...)
}

func (c *canonicalizer) apply(o gorgonia.Op, args ...*gorgonia.Node) (term, error) {
	m, err := op.Apply(o, args...)
	return term{node: m}, err
}

// constantOf returns the value of a constant node all of whose elements are equal.
func constantOf(n *gorgonia.Node) (float64, bool) {
	if _, ok := n.Op().(interface{ Value() gorgonia.Value }); !ok {
		return 0, false
	}
	switch v := n.Value().Data().(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case []float64:
		return uniform(v)
	case []float32:
		return uniform(v)
	}
	return 0, false
}

func uniform[T float32 | float64](v []T) (float64, bool) {
	for _, x := range v {
		if x != v[0] {
			return 0, false
		}
	}
	return float64(v[0]), len(v) > 0
}

// isOwn reports whether o is an op of package op.
func isOwn(o gorgonia.Op) bool {
	switch o.(type) {
	case op.MatMul, op.Conv, op.MaxPool, op.AvgPool, op.Unary, op.Binary, op.Scale, op.Sum, op.Broadcast,
		op.Reshape, op.Transpose, op.Softmax, op.LogSoftmax, op.Loss:
		return true
	}
	return false
}
