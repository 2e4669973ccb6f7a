package main

import (
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// network is a preset as a user of Gorgonia writes it.
type network struct {
	x, y   *G.Node
	params G.Nodes // in the order of the weights' file
	loss   *G.Node
}

// build makes the graph of a preset for a batch size. weights are as PyTorch
// keeps them; dense ones are transposed here, once.
func build(model string, batch int, weights map[string]*tensor.Dense) (n *network, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, fmt.Errorf("building the graph: %v", r)
		}
	}()
	g := G.NewGraph()
	n = &network{}
	param := func(name string, shape ...int) *G.Node {
		w := weights[name]
		if len(shape) == 2 && w.Dims() == 2 {
			if err := w.T(); err != nil {
				panic(err)
			}
			if err := w.Transpose(); err != nil {
				panic(err)
			}
		}
		if err := w.Reshape(shape...); err != nil {
			panic(err)
		}
		p := G.NewTensor(g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(w))
		n.params = append(n.params, p)
		return p
	}
	dense := func(h *G.Node, name string, out int) *G.Node {
		h = G.Must(G.Mul(h, param(name+".weight", h.Shape()[1], out)))
		return G.Must(G.BroadcastAdd(h, param(name+".bias", 1, out), nil, []byte{0}))
	}
	conv := func(h *G.Node, name string, out int) *G.Node {
		w := param(name+".weight", out, h.Shape()[1], 5, 5)
		h = G.Must(G.Conv2d(h, w, tensor.Shape{5, 5}, []int{0, 0}, []int{1, 1}, []int{1, 1}))
		h = G.Must(G.BroadcastAdd(h, param(name+".bias", 1, out, 1, 1), nil, []byte{0, 2, 3}))
		return G.Must(G.MaxPool2D(G.Must(G.Rectify(h)), tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
	}
	var z *G.Node
	switch model {
	case "mlp":
		n.x = G.NewMatrix(g, tensor.Float32, G.WithShape(batch, 784), G.WithName("x"))
		h := G.Must(G.Rectify(dense(n.x, "fc1", 512)))
		h = G.Must(G.Rectify(dense(h, "fc2", 256)))
		z = dense(h, "fc3", 10)
	case "cnn":
		n.x = G.NewTensor(g, tensor.Float32, 4, G.WithShape(batch, 1, 28, 28), G.WithName("x"))
		h := conv(conv(n.x, "conv1", 16), "conv2", 32)
		h = G.Must(G.Reshape(h, tensor.Shape{batch, 512}))
		z = dense(h, "fc1", 10)
	default:
		return nil, fmt.Errorf("no model %q", model)
	}
	// y holds 1/batch where a label is, so that the sum is the mean loss.
	n.y = G.NewMatrix(g, tensor.Float32, G.WithShape(batch, 10), G.WithName("y"))
	n.loss = G.Must(G.Neg(G.Must(G.Sum(G.Must(G.HadamardProd(G.Must(G.Log(G.Must(G.SoftMax(z)))), n.y))))))
	return n, nil
}
