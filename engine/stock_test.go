package engine_test

import (
	"math"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// stockNet is a network written with no op of ours.
type stockNet struct {
	g      *gorgonia.ExprGraph
	x, y   *gorgonia.Node
	loss   *gorgonia.Node
	params gorgonia.Nodes
	stream rng.Stream
}

func newStock(seed uint64) *stockNet {
	return &stockNet{g: gorgonia.NewGraph(), stream: rng.New(rng.Weights, seed, 0)}
}

func (n *stockNet) normal(scale float64, shape ...int) *tensor.Dense {
	data := make([]float64, tensor.Shape(shape).TotalSize())
	for i := range data {
		data[i] = scale * n.stream.NormFloat64()
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

func (n *stockNet) param(name string, scale float64, shape ...int) *gorgonia.Node {
	p := gorgonia.NewTensor(n.g, tensor.Float64, len(shape), gorgonia.WithName(name), gorgonia.WithValue(n.normal(scale, shape...)))
	n.params = append(n.params, p)
	return p
}

func (n *stockNet) input(name string, v *tensor.Dense) *gorgonia.Node {
	return gorgonia.NewTensor(n.g, tensor.Float64, v.Dims(), gorgonia.WithName(name), gorgonia.WithValue(v))
}

func oneHot(n, classes int) *tensor.Dense {
	data := make([]float64, n*classes)
	for i := range n {
		data[i*classes+(i*7+3)%classes] = 1
	}
	return tensor.New(tensor.WithShape(n, classes), tensor.WithBacking(data))
}

// crossEntropy finishes the net as −mean(log softmax(z) ⊙ y).
func (n *stockNet) crossEntropy(z *gorgonia.Node) {
	p := gorgonia.Must(gorgonia.SoftMax(z))
	l := gorgonia.Must(gorgonia.HadamardProd(gorgonia.Must(gorgonia.Log(p)), n.y))
	n.loss = gorgonia.Must(gorgonia.Neg(gorgonia.Must(gorgonia.Mean(l))))
}

func stockMLP(batch int) *stockNet {
	n := newStock(1)
	n.x = n.input("x", n.normal(1, batch, 9))
	n.y = n.input("y", oneHot(batch, 4))
	h := gorgonia.Must(gorgonia.Mul(n.x, n.param("w1", 0.4, 9, 6)))
	h = gorgonia.Must(gorgonia.BroadcastAdd(h, n.param("b1", 0.1, 1, 6), nil, []byte{0}))
	h = gorgonia.Must(gorgonia.Rectify(h))
	z := gorgonia.Must(gorgonia.Mul(h, n.param("w2", 0.4, 6, 4)))
	z = gorgonia.Must(gorgonia.BroadcastAdd(z, n.param("b2", 0.1, 1, 4), nil, []byte{0}))
	n.crossEntropy(z)
	return n
}

func stockConvnet(batch int) *stockNet {
	n := newStock(2)
	n.x = n.input("x", n.normal(1, batch, 2, 11, 9))
	n.y = n.input("y", oneHot(batch, 3))
	c := gorgonia.Must(gorgonia.Conv2d(n.x, n.param("w1", 0.4, 4, 2, 3, 3), tensor.Shape{3, 3}, []int{1, 1}, []int{1, 1}, []int{1, 1}))
	c = gorgonia.Must(gorgonia.BroadcastAdd(c, n.param("b1", 0.1, 1, 4, 1, 1), nil, []byte{0, 2, 3}))
	c = gorgonia.Must(gorgonia.Rectify(c))
	c = gorgonia.Must(gorgonia.MaxPool2D(c, tensor.Shape{2, 2}, []int{0, 0}, []int{2, 2}))
	c = gorgonia.Must(gorgonia.Conv2d(c, n.param("w2", 0.3, 5, 4, 3, 3), tensor.Shape{3, 3}, []int{0, 0}, []int{2, 2}, []int{1, 1}))
	c = gorgonia.Must(gorgonia.Tanh(c))
	s := c.Shape()
	f := gorgonia.Must(gorgonia.Reshape(c, tensor.Shape{batch, s[1] * s[2] * s[3]}))
	z := gorgonia.Must(gorgonia.Mul(f, n.param("w3", 0.4, s[1]*s[2]*s[3], 3)))
	n.crossEntropy(z)
	return n
}

// tape returns loss and gradients by Gorgonia's own differentiation and executor.
func (n *stockNet) tape(t *testing.T) (loss float64, grads [][]float64) {
	t.Helper()
	nodes, err := gorgonia.Grad(n.loss, n.params...)
	if err != nil {
		t.Fatal(err)
	}
	var lossValue gorgonia.Value
	gorgonia.Read(n.loss, &lossValue)
	values := make([]gorgonia.Value, len(nodes))
	for i, g := range nodes {
		gorgonia.Read(g, &values[i])
	}
	vm := gorgonia.NewTapeMachine(n.g)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		grads = append(grads, append([]float64(nil), v.Data().([]float64)...))
	}
	return lossValue.Data().(float64), grads
}

// session compiles the net and loads its values.
func (n *stockNet) session(t *testing.T, batch, threads int) *engine.Session[float64] {
	t.Helper()
	p, err := engine.Compile(n.loss, n.params, engine.Inputs(n.x, n.y))
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + p.String())
	s, err := engine.NewSession[float64](p, engine.Config{Batch: batch, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for i, q := range p.Params {
		copy(s.Params()[q.Offset:], n.params[i].Value().Data().([]float64))
	}
	copy(s.Input(0), n.x.Value().Data().([]float64))
	copy(s.Input(1), n.y.Value().Data().([]float64))
	return s
}

func relative(got, want, scale float64) float64 { return math.Abs(got-want) / math.Max(scale, 1e-300) }

func maxAbs(x []float64) float64 {
	m := 0.0
	for _, v := range x {
		m = math.Max(m, math.Abs(v))
	}
	return m
}

func TestStockGraphsAgreeWithTheTapeMachine(t *testing.T) {
	const batch = 7
	for name, build := range map[string]func(int) *stockNet{"mlp": stockMLP, "convnet": stockConvnet} {
		t.Run(name, func(t *testing.T) {
			s := build(batch).session(t, batch, 2)
			s.Gradient(batch, false)
			loss, grads := build(batch).tape(t)
			if r := relative(s.Loss(), loss, math.Abs(loss)); r > 1e-10 {
				t.Errorf("loss %.17g, tape machine %.17g: relative %g", s.Loss(), loss, r)
			}
			for i, q := range s.Program().Params {
				for j, want := range grads[i] {
					if r := relative(s.Grad()[q.Offset+j], want, maxAbs(grads[i])); r > 1e-10 {
						t.Fatalf("gradient of %s[%d] = %g, tape machine %g", q.Name, j, s.Grad()[q.Offset+j], want)
					}
				}
			}
		})
	}
}

func TestProductsAgreeWithFiniteDifferencesOfGradients(t *testing.T) {
	const batch, eps = 5, 1e-6
	for name, build := range map[string]func(int) *stockNet{"mlp": stockMLP, "convnet": stockConvnet} {
		t.Run(name, func(t *testing.T) {
			s := build(batch).session(t, batch, 2)
			p := len(s.Params())
			v, hv := make([]float64, p), make([]float64, p)
			stream := rng.New(rng.Probes, 3, 0)
			for i := range v {
				v[i] = stream.NormFloat64()
			}
			s.Gradient(batch, false)
			s.Product(hv, v)
			gradientAt := func(e float64) []float64 {
				s.Axpy(e, v, s.Params())
				s.Gradient(batch, false)
				s.Axpy(-e, v, s.Params())
				return append([]float64(nil), s.Grad()...)
			}
			plus, minus := gradientAt(eps), gradientAt(-eps)
			for i := range hv {
				// Central differences: error eps²·third derivatives plus rounding/eps.
				if want := (plus[i] - minus[i]) / (2 * eps); relative(hv[i], want, maxAbs(hv)) > 1e-7 {
					t.Fatalf("(Hv)[%d] = %g, finite difference %g", i, hv[i], want)
				}
			}
		})
	}
}

// penalty adds the sum of the squares of the first parameter to the loss.
func penalty(n *stockNet) *stockNet {
	squares := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(n.params[0]))))
	n.loss = gorgonia.Must(gorgonia.Add(n.loss, squares))
	return n
}
