package models

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// BuildOptions say for which data and in which precision a graph is built.
type BuildOptions struct {
	// Input is the shape of a sample.
	Input Shape
	// Classes is the number of classes.
	Classes int
	// Batch is the number of samples in X.
	Batch int
	// Loss is the loss; the zero value is cross-entropy.
	Loss op.LossKind
	// Dtype is tensor.Float32 or tensor.Float64; the zero value is Float32.
	Dtype tensor.Dtype
}

// Param is one parameter of a network: an input of the graph, without a value.
type Param struct {
	// Name is the PyTorch name, such as "conv1.weight"; Node bears it too.
	Name string
	Node *G.Node
	// Shape is out×in for a dense weight, out×in×kH×kW for a convolution's,
	// out for a bias.
	Shape []int
}

// Network is the Gorgonia graph of the mean loss of one batch.
type Network struct {
	Graph *G.ExprGraph
	// X is the batch, Batch×(C·H·W): a sample is a row, channel by channel and
	// row by row, also for convolutional networks.
	X *G.Node
	// Y holds the target rows, Batch×Classes, one-hot.
	Y *G.Node
	// Logits is the output, Batch×Classes.
	Logits *G.Node
	// Loss is the scalar mean loss over the batch.
	Loss *G.Node
	// Params are the parameters, layer by layer, weight before bias.
	Params []Param
}

// Build makes the graph. No values are bound: X, Y and the parameters are
// inputs (see [Spec.Init] for initial parameters). A spec that does not fit is
// the error of [Spec.Shapes].
func (s Spec) Build(b BuildOptions) (*Network, error) {
	if b.Dtype == (tensor.Dtype{}) {
		b.Dtype = tensor.Float32
	}
	if b.Dtype != tensor.Float32 && b.Dtype != tensor.Float64 {
		return nil, fmt.Errorf("models: dtype %v, want float32 or float64", b.Dtype)
	}
	if b.Batch < 1 {
		return nil, fmt.Errorf("models: batch of %d samples, want at least 1", b.Batch)
	}
	layers, err := s.Shapes(b.Input, b.Classes)
	if err != nil {
		return nil, err
	}
	n := &Network{Graph: G.NewGraph()}
	n.X = n.input("x", b.Dtype, []int{b.Batch, b.Input.Size()})
	n.Y = n.input("y", b.Dtype, []int{b.Batch, b.Classes})
	h := n.X
	for _, l := range layers {
		if h, err = n.apply(l, h, b); err != nil {
			return nil, fmt.Errorf("models: layer %v: %w", l.Name, err)
		}
	}
	if n.Logits, err = flat(h); err != nil {
		return nil, fmt.Errorf("models: logits: %w", err)
	}
	if n.Loss, err = b.Loss.Of(n.Logits, n.Y); err != nil {
		return nil, fmt.Errorf("models: loss: %w", err)
	}
	return n, nil
}

// apply adds one layer to the output h of the ones before it.
func (n *Network) apply(l LayerShape, h *G.Node, b BuildOptions) (*G.Node, error) {
	var err error
	switch l.Layer.Kind {
	case KindActivation:
		return l.Layer.Fn.Of(h)
	case KindDense:
		if h, err = flat(h); err != nil {
			return nil, err
		}
	default:
		if h.Shape().Dims() == 2 {
			if h, err = op.ReshapeTo(h, b.Batch, l.In.C, l.In.H, l.In.W); err != nil {
				return nil, err
			}
		}
	}
	var nodes []*G.Node
	for _, p := range l.params() {
		node := n.input(p.name, b.Dtype, p.shape)
		n.Params = append(n.Params, Param{Name: p.name, Node: node, Shape: p.shape})
		nodes = append(nodes, node)
	}
	switch l.Layer.Kind {
	case KindConv:
		return op.Conv2D(h, nodes[0], nodes[1], l.Layer.Stride, l.Layer.Pad)
	case KindMaxPool:
		return op.MaxPool2D(h, l.Layer.Kernel, l.Layer.Stride)
	case KindAvgPool:
		return op.AvgPool2D(h, l.Layer.Kernel, l.Layer.Stride)
	case KindGlobalAvgPool:
		return op.GlobalAvgPool(h)
	}
	return op.Dense(h, nodes[0], nodes[1])
}

// input adds an input node.
func (n *Network) input(name string, dtype tensor.Dtype, shape []int) *G.Node {
	return G.NewTensor(n.Graph, dtype, len(shape), G.WithShape(shape...), G.WithName(name))
}

// flat flattens the samples of h unless they are vectors already.
func flat(h *G.Node) (*G.Node, error) {
	if h.Shape().Dims() == 2 {
		return h, nil
	}
	return op.Flatten(h)
}

// parameter is the name and shape of one parameter tensor.
type parameter struct {
	name  string
	shape []int
}

// params lists the parameters of a fitted layer, weight before bias.
func (l LayerShape) params() []parameter {
	switch l.Layer.Kind {
	case KindConv:
		k := l.Layer.Kernel
		return []parameter{{l.Name + ".weight", []int{l.Layer.Out, l.In.C, k, k}}, {l.Name + ".bias", []int{l.Layer.Out}}}
	case KindDense:
		return []parameter{{l.Name + ".weight", []int{l.Layer.Out, l.In.Size()}}, {l.Name + ".bias", []int{l.Layer.Out}}}
	}
	return nil
}
