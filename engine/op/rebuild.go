package op

import (
	"fmt"

	G "gorgonia.org/gorgonia"
)

// copier rebuilds parts of a graph in a fresh one. Gorgonia marks the nodes it
// has differentiated and skips them the next time, so a graph can be
// differentiated only once; a rebuilt one bears no marks. Nodes that no root
// needs stay behind.
type copier struct {
	to    *G.ExprGraph
	image map[*G.Node]*G.Node
	taken map[*G.Node]*G.Node // image → original, to notice merged inputs
}

func newCopier() *copier {
	return &copier{to: G.NewGraph(), image: map[*G.Node]*G.Node{}, taken: map[*G.Node]*G.Node{}}
}

// copy makes the images of n and of all that it is computed from.
func (c *copier) copy(n *G.Node) (*G.Node, error) {
	order, err := topological(n)
	if err != nil {
		return nil, err
	}
	for _, n := range order {
		if c.image[n] != nil {
			continue
		}
		m, err := c.one(n)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", n.Name(), err)
		}
		if twin := c.taken[m]; twin != nil && n.Op() == nil {
			return nil, fmt.Errorf("op: nodes %s and %s of the graph cannot be told apart; give inputs different names", twin.Name(), n.Name())
		}
		c.image[n], c.taken[m] = m, n
	}
	return c.image[n], nil
}

// all is copy for a list; nil stays nil.
func (c *copier) all(ns G.Nodes) (G.Nodes, error) {
	out := make(G.Nodes, len(ns))
	for i, n := range ns {
		if n == nil {
			continue
		}
		m, err := c.copy(n)
		if err != nil {
			return nil, err
		}
		out[i] = m
	}
	return out, nil
}

// one makes the image of n, whose inputs have theirs.
func (c *copier) one(n *G.Node) (*G.Node, error) {
	if n.Op() == nil {
		return c.input(n, n.Name()), nil
	}
	kids, err := children(n)
	if err != nil {
		return nil, err
	}
	if isConstant(n) {
		// Gorgonia merges constants by name alone, and names 64 the integer
		// and 64 the float alike; so the name says what it is.
		name := fmt.Sprintf("constant %d of %v", len(c.image), n.Type())
		return c.to.AddNode(G.NewConstant(n.Value(), G.WithName(name))), nil
	}
	if len(kids) == 0 {
		return nil, fmt.Errorf("op: %v draws its own values; feed them through an input instead", n.Op())
	}
	for i := range kids {
		kids[i] = c.image[kids[i]]
	}
	return link(n.Op(), kids)
}

// input makes an input node like n with the given name. It shares n's value.
func (c *copier) input(n *G.Node, name string) *G.Node {
	opts := []G.NodeConsOpt{G.WithType(n.Type()), G.In(c.to), G.WithShape(n.Shape()...), G.WithName(name)}
	if v := n.Value(); v != nil {
		opts = append(opts, G.WithValue(v))
	}
	return G.NewUniqueNode(opts...)
}

// isConstant reports whether n is a Gorgonia constant; their ops carry the value.
func isConstant(n *G.Node) bool {
	_, ok := n.Op().(interface{ Value() G.Value })
	return ok
}

// topological returns the nodes that the roots are computed from and the roots
// themselves, inputs before the nodes that use them, in an order that depends
// on the graph alone.
func topological(roots ...*G.Node) (G.Nodes, error) {
	var order G.Nodes
	seen := map[*G.Node]bool{}
	var visit func(n *G.Node) error
	visit = func(n *G.Node) error {
		if seen[n] {
			return nil
		}
		seen[n] = true
		kids, err := children(n)
		if err != nil {
			return err
		}
		for _, k := range kids {
			if err := visit(k); err != nil {
				return err
			}
		}
		order = append(order, n)
		return nil
	}
	for _, r := range roots {
		if err := visit(r); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// influence returns which nodes a change of from reaches through derivatives:
// from itself and every node of order with a differentiable input among them.
// order is topological.
func influence(order G.Nodes, from map[*G.Node]bool) (map[*G.Node]bool, error) {
	reached := map[*G.Node]bool{}
	for _, n := range order {
		if from[n] {
			reached[n] = true
			continue
		}
		kids, err := children(n)
		if err != nil {
			return nil, err
		}
		var diff []bool
		if o, ok := n.Op().(G.SDOp); ok {
			diff = o.DiffWRT(len(kids))
		}
		for i, k := range kids {
			if !reached[k] {
				continue
			}
			if len(diff) != len(kids) {
				return nil, fmt.Errorf("op: node %s: op %v (%T) has no derivative, and parameters reach it", n.Name(), n.Op(), n.Op())
			}
			if l, ok := n.Op().(Loss); ok && l.Order < 2 && i == 1 {
				return nil, fmt.Errorf("op: node %s: parameters reach the targets of %v; targets are data and are not differentiated", n.Name(), l)
			}
			reached[n] = reached[n] || diff[i]
		}
	}
	return reached, nil
}
