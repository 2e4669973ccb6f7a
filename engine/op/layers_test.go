package op_test

import (
	"fmt"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// constant adds fixed data to the graph of n.
func constant(n *G.Node, name string, v G.Value) *G.Node {
	return n.Graph().AddNode(G.NewConstant(v, G.WithName(name)))
}

func TestDenseNetDerivatives(t *testing.T) {
	for _, f := range []op.Func{op.Tanh, op.Sigmoid, op.GELU, op.ReLU} {
		for _, k := range []op.LossKind{op.CrossEntropy, op.MSE} {
			for _, n := range []int{1, 3} {
				t.Run(strings.Join([]string{f.String(), k.String()}, "/"), func(t *testing.T) {
					r := source(20)
					x := normals(r, n*4)
					checkDerivatives(t, []input{leaf(r, 5, 4), leaf(r, 5), leaf(r, 3, 5), leaf(r, 3)}, func(t *testing.T, in G.Nodes) *G.Node {
						m := must(t)
						h := m(f.Of(m(op.Dense(constant(in[0], "x", dense(x, n, 4)), in[0], in[1]))))
						z := m(op.Dense(h, in[2], in[3]))
						return m(k.Of(z, constant(in[0], "y", dense(targets(n, 3), n, 3))))
					})
				})
			}
		}
	}
}

func TestConvNetDerivatives(t *testing.T) {
	for _, n := range []int{1, 2} {
		r := source(21)
		x := normals(r, n*2*9*8)
		leaves := []input{leaf(r, 3, 2, 3, 3), leaf(r, 3), leaf(r, 2, 3, 2, 2), leaf(r, 2), leaf(r, 3, 8), leaf(r, 3)}
		for _, l := range leaves { // small weights keep the fourth derivative, and so the differences' error, small
			for i := range l.data {
				l.data[i] *= 0.3
			}
		}
		checkDerivatives(t, leaves, func(t *testing.T, in G.Nodes) *G.Node {
			m := must(t)
			h := m(op.Conv2D(constant(in[0], "x", dense(x, n, 2, 9, 8)), in[0], in[1], 1, 1))
			h = m(op.MaxPool2D(m(op.ReLU.Of(h)), 2, 2))            // 3×4×4
			h = m(op.Tanh.Of(m(op.Conv2D(h, in[2], in[3], 1, 1)))) // 2×5×5
			h = m(op.Flatten(m(op.AvgPool2D(h, 2, 2))))            // 8
			return m(op.CrossEntropy.Of(m(op.Dense(h, in[4], in[5])), constant(in[0], "y", dense(targets(n, 3), n, 3))))
		})
	}
}

func TestGlobalAveragePoolNetDerivatives(t *testing.T) {
	r := source(22)
	x := normals(r, 2*1*5*6)
	checkDerivatives(t, []input{leaf(r, 3, 1, 3, 3)}, func(t *testing.T, in G.Nodes) *G.Node {
		m := must(t)
		h := m(op.GELU.Of(m(op.Conv2D(constant(in[0], "x", dense(x, 2, 1, 5, 6)), in[0], nil, 2, 0))))
		z := m(op.Flatten(m(op.GlobalAvgPool(h))))
		return m(op.MSE.Of(z, constant(in[0], "y", dense(targets(2, 3), 2, 3))))
	})
}

func TestGlobalAvgPoolIsTheMeanOfEachPlane(t *testing.T) {
	g := G.NewGraph()
	x := G.NewTensor(g, tensor.Float64, 4, G.WithShape(1, 2, 1, 3), G.WithName("x"), G.WithValue(dense([]float64{1, 2, 6, -1, 0, 4}, 1, 2, 1, 3)))
	y := must(t)(op.GlobalAvgPool(x))
	vm := G.NewTapeMachine(g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	wantClose(t, "means", numbers(t, y.Value()), []float64{3, 1}, 1e-15)
}

func TestLayerErrorsShowShapes(t *testing.T) {
	g := G.NewGraph()
	node := func(shape ...int) *G.Node {
		return G.NewTensor(g, tensor.Float64, len(shape), G.WithShape(shape...), G.WithName(fmt.Sprint(shape)))
	}
	image, rows := node(2, 3, 8, 8), node(2, 7)
	for name, c := range map[string]struct {
		build func() (*G.Node, error)
		shows string
	}{
		"dense":           {func() (*G.Node, error) { return op.Dense(rows, node(5, 6), nil) }, "(2, 7)"},
		"dense bias":      {func() (*G.Node, error) { return op.Dense(rows, node(5, 7), node(4)) }, "(4)"},
		"conv of rows":    {func() (*G.Node, error) { return op.Conv2D(rows, node(4, 3, 3, 3), nil, 1, 0) }, "(2, 7)"},
		"conv channels":   {func() (*G.Node, error) { return op.Conv2D(image, node(4, 1, 3, 3), nil, 1, 0) }, "(4, 1, 3, 3)"},
		"conv too big":    {func() (*G.Node, error) { return op.Conv2D(image, node(4, 3, 9, 9), nil, 1, 0) }, "9×9"},
		"conv stride":     {func() (*G.Node, error) { return op.Conv2D(image, node(4, 3, 3, 3), nil, 0, 0) }, "at least 1"},
		"conv of nothing": {func() (*G.Node, error) { return op.Conv2D(nil, node(4, 3, 3, 3), nil, 1, 0) }, "nil"},
		"pool of rows":    {func() (*G.Node, error) { return op.MaxPool2D(rows, 2, 2) }, "(2, 7)"},
		"pool too big":    {func() (*G.Node, error) { return op.AvgPool2D(image, 9, 1) }, "9×9"},
		"gap of rows":     {func() (*G.Node, error) { return op.GlobalAvgPool(rows) }, "(2, 7)"},
		"flatten vector":  {func() (*G.Node, error) { return op.Flatten(node(3)) }, "batch axis"},
		"reshape":         {func() (*G.Node, error) { return op.ReshapeTo(rows, 3, 5) }, "14 elements"},
		"loss":            {func() (*G.Node, error) { return op.MSE.Of(rows, node(2, 6)) }, "(2, 6)"},
		"bias of vector":  {func() (*G.Node, error) { return op.AddBias(node(3), node(3)) }, "(3)"},
		"no bias":         {func() (*G.Node, error) { return op.AddBias(rows, nil) }, "nil"},
	} {
		n, err := c.build()
		if err == nil || n != nil || !strings.Contains(err.Error(), c.shows) {
			t.Errorf("%s: node %v, error %v; want it to show %s", name, n, err, c.shows)
		}
	}
}
