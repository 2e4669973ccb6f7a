package op_test

import (
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// Graphs of Gorgonia's own ops are rebuilt and differentiated too, SizeOf and
// Repeat nodes of broadcasts included.
func TestStockNetDerivatives(t *testing.T) {
	for name, activation := range map[string]func(*G.Node) (*G.Node, error){"tanh": G.Tanh, "rectify": G.Rectify} {
		t.Run(name, func(t *testing.T) {
			r := source(40)
			x := normals(r, 2*3)
			checkDerivatives(t, []input{leaf(r, 3, 4), leaf(r, 1, 4), leaf(r, 4, 2)}, func(t *testing.T, in G.Nodes) *G.Node {
				m := must(t)
				h := m(G.BroadcastAdd(m(G.Mul(constant(in[0], "x", dense(x, 2, 3)), in[0])), in[1], nil, []byte{0}))
				z := m(G.Mul(m(activation(h)), in[2]))
				return m(G.Mean(m(G.Square(z))))
			})
		})
	}
}

// Gorgonia's softmax and max pooling have no second derivative.
func TestStockOpsThatAreNotClosedAreErrorsThatNameThem(t *testing.T) {
	g := G.NewGraph()
	m := must(t)
	w := G.NewMatrix(g, tensor.Float64, G.WithShape(2, 3), G.WithName("w"))
	image := G.NewTensor(g, tensor.Float64, 4, G.WithShape(1, 1, 4, 4), G.WithName("image"))
	pool := m(G.MaxPool2D(image, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
	for says, c := range map[string]struct{ loss, param *G.Node }{
		"softmax": {m(G.Mean(m(G.Square(m(G.SoftMax(w)))))), w},
		"MaxPool": {m(G.Mean(m(G.Square(m(G.Reshape(pool, tensor.Shape{1, 4})))))), image},
	} {
		_, err := op.Differentiate(c.loss, G.Nodes{c.param})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want it to name %s", err, says)
		}
	}
}
