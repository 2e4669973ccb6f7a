package lower

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

// Source is a graph to be lowered.
type Source struct {
	Loss   *gorgonia.Node // scalar
	Params gorgonia.Nodes // the learnable inputs of the graph
	Inputs gorgonia.Nodes // the other inputs; axis 0 of each is the batch

	// Logits and Targets (n×classes) let the program count correct
	// predictions; found by themselves where the loss is an op.Loss.
	Logits, Targets *gorgonia.Node

	// Curvature asks for Hessian-vector products.
	Curvature bool
}

// Lower differentiates the graph and compiles it. The graph is not modified.
//
// Errors name the node and its op: an op that is not supported, a graph that
// mixes samples in a way that no batch dimension survives, inputs of
// different batch sizes.
func Lower(s Source) (*program.Program, error) {
	c, err := canonicalize(s)
	if err != nil {
		return nil, err
	}
	d, err := op.Differentiate(c.Loss, c.Params)
	if err != nil {
		return nil, fmt.Errorf("lower: %w", err)
	}
	b := &builder{graph: newGraph(batchOf(c)), made: map[*gorgonia.Node]*value{}}
	if err := b.leaves(c, d); err != nil {
		return nil, err
	}
	r, err := b.roots(c, d)
	if err != nil {
		return nil, err
	}
	p := &program.Program{}
	for _, n := range c.Params {
		size := n.Shape().TotalSize()
		p.Params = append(p.Params, program.Parameter{Name: n.Name(), Shape: n.Shape().Clone(), Offset: p.NumParams, Size: size})
		p.NumParams += size
	}
	for _, v := range append([]*value{r.loss}, r.grads...) {
		if v != nil && v.coupled {
			p.BatchCoupled = true
		}
	}
	b.graph.fuse(r)
	if err := b.graph.emit(p, r); err != nil {
		return nil, err
	}
	return p, nil
}

// batchOf returns the batch size the graph was built with, or −1 if it has no inputs.
func batchOf(s Source) int {
	if len(s.Inputs) == 0 {
		return -1
	}
	return s.Inputs[0].Shape()[0]
}

// builder makes values of graph nodes.
type builder struct {
	graph *graph
	made  map[*gorgonia.Node]*value
	g     *gorgonia.ExprGraph
}

// leaves makes the values of inputs, parameters and vectors, in their order.
func (b *builder) leaves(c Source, d *op.Derivatives) error {
	b.g = d.Graph
	for i, n := range c.Inputs {
		if n.Shape().Dims() == 0 || n.Shape()[0] != b.graph.batch {
			return fmt.Errorf("lower: input %q has shape %v, but the batch is the first axis and has size %d", n.Name(), n.Shape(), b.graph.batch)
		}
		v := b.graph.leaf(inputLeaf{i}, n.Shape(), true, n.Name())
		if image := d.Node(n); image != nil {
			b.made[image] = v
		}
	}
	for i, n := range d.Params {
		b.made[n] = b.graph.leaf(paramLeaf{i}, n.Shape(), false, n.Name())
	}
	for i, n := range d.Vectors {
		b.made[n] = b.graph.leaf(vectorLeaf{i}, n.Shape(), false, n.Name())
	}
	return nil
}

// roots makes the values that the program is to compute.
func (b *builder) roots(c Source, d *op.Derivatives) (*roots, error) {
	r := &roots{}
	var err error
	get := func(n *gorgonia.Node) *value {
		if n == nil || err != nil {
			return nil
		}
		var v *value
		v, err = b.value(n)
		return v
	}
	r.loss = get(d.Loss)
	if c.Logits != nil && c.Targets != nil {
		r.logits, r.targets = get(d.Node(c.Logits)), get(d.Node(c.Targets))
	}
	for _, n := range d.Grads {
		r.grads = append(r.grads, get(n))
	}
	if c.Curvature {
		for _, n := range d.HessianProducts {
			r.products = append(r.products, get(n))
		}
	}
	if err != nil {
		return nil, err
	}
	if r.logits == nil {
		for _, v := range b.graph.values {
			if o, ok := v.op.(op.Loss); ok && o.Order == 0 {
				r.logits, r.targets = v.args[0], v.args[1]
			}
		}
	}
	return r, nil
}

// value returns the value of a node of the differentiated graph.
func (b *builder) value(n *gorgonia.Node) (*value, error) {
	if v, ok := b.made[n]; ok {
		return v, nil
	}
	v, err := b.newValue(n)
	if err != nil {
		return nil, err
	}
	b.made[n] = v
	return v, nil
}

func (b *builder) newValue(n *gorgonia.Node) (*value, error) {
	if c, ok := constantOf(n); ok {
		if n.Shape().Dims() == 0 {
			return b.graph.constant(c), nil
		}
		return b.graph.make(fill{value: c}, n.Shape(), n.Name()), nil
	}
	o := n.Op()
	if o == nil {
		return nil, fmt.Errorf("lower: %q is neither a parameter nor an input nor computed; name it among the inputs", n.Name())
	}
	var args []*value
	for _, child := range children(b.g, n) {
		v, err := b.value(child)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	if isStockAdd(o) { // Gorgonia's sum of gradients
		return b.graph.apply(op.Binary{Kind: op.Add}, n.Shape(), n.Name(), args...)
	}
	return b.graph.apply(o, n.Shape(), n.Name(), args...)
}

// children returns the operands of n in order.
func children(g *gorgonia.ExprGraph, n *gorgonia.Node) gorgonia.Nodes {
	var list gorgonia.Nodes
	for it := g.From(n.ID()); it.Next(); {
		list = append(list, it.Node().(*gorgonia.Node))
	}
	return list
}
