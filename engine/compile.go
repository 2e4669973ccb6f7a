package engine

import (
	"gorgonia.org/gorgonia"

	"sgflow/engine/lower"
	"sgflow/engine/program"
)

// Option changes what Compile makes of a graph.
type Option func(*lower.Source)

// Inputs names the nodes that are written before every run, in the order of
// Session.Input; the first axis of each is the batch. Without this option
// they are all nodes without an op that the loss depends on and that are not
// parameters, in the order in which they were added to the graph.
func Inputs(nodes ...*gorgonia.Node) Option {
	return func(s *lower.Source) { s.Inputs = nodes }
}

// Predictions names the logits and the targets (both n×classes), so that a
// run counts correct predictions: rows whose largest logit is the target's.
// Not needed where the loss is an op.Loss.
func Predictions(logits, targets *gorgonia.Node) Option {
	return func(s *lower.Source) { s.Logits, s.Targets = logits, targets }
}

// WithoutCurvature leaves out Hessian-vector products; compiling is faster
// and a run needs less memory.
func WithoutCurvature() Option {
	return func(s *lower.Source) { s.Curvature = false }
}

// Compile differentiates the graph below loss with respect to params and
// lowers it. The graph is not modified, and values bound to its nodes are not
// used. Parameters are flattened in the order given.
//
// An op that is not supported is an error that names the node, the op and the
// nearest supported one. The batch size the graph was built with is only a
// placeholder, but it should differ from all other dimensions: where an op
// would leave open which axis is the batch, Compile says so.
//
// Compile may be called concurrently on different graphs.
func Compile(loss *gorgonia.Node, params gorgonia.Nodes, options ...Option) (*program.Program, error) {
	s := lower.Source{Loss: loss, Params: params, Curvature: true}
	for _, o := range options {
		o(&s)
	}
	if s.Inputs == nil && loss != nil {
		s.Inputs = inputsOf(loss, params)
	}
	return lower.Lower(s)
}

// inputsOf returns the leaves below loss that are not parameters.
func inputsOf(loss *gorgonia.Node, params gorgonia.Nodes) gorgonia.Nodes {
	g := loss.Graph()
	seen := map[*gorgonia.Node]bool{}
	for _, p := range params {
		seen[p] = true
	}
	below := map[*gorgonia.Node]bool{}
	var visit func(n *gorgonia.Node)
	visit = func(n *gorgonia.Node) {
		if seen[n] {
			return
		}
		seen[n] = true
		below[n] = n.Op() == nil
		for it := g.From(n.ID()); it.Next(); {
			visit(it.Node().(*gorgonia.Node))
		}
	}
	visit(loss)
	var inputs gorgonia.Nodes
	for _, n := range g.AllNodes() {
		if below[n] {
			inputs = append(inputs, n)
		}
	}
	return inputs
}
