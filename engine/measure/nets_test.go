package measure

import (
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/engine/program"
	"sgflow/engine/rng"
)

// The test networks take 3×3 single-channel images into three classes.
const (
	side    = 3
	classes = 3
	pool    = 24 // samples to choose from
)

// net builds the forward graph; x is batch×9, y batch×classes.
type net func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (loss *gorgonia.Node, params gorgonia.Nodes)

func param(g *gorgonia.ExprGraph, name string, shape ...int) *gorgonia.Node {
	return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
}

func must(t *testing.T) func(n *gorgonia.Node, err error) *gorgonia.Node {
	return func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// mlp is 9-5-3 with tanh.
func mlp(kind op.LossKind) net {
	return func(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
		do := must(t)
		p := gorgonia.Nodes{param(g, "fc1.weight", 5, 9), param(g, "fc1.bias", 5), param(g, "fc2.weight", 3, 5), param(g, "fc2.bias", 3)}
		h := do(op.Tanh.Of(do(op.Dense(x, p[0], p[1]))))
		return do(kind.Of(do(op.Dense(h, p[2], p[3])), y)), p
	}
}

// cnn is a 2×2 convolution to two channels, tanh, a max pool and a dense layer.
func cnn(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	p := gorgonia.Nodes{param(g, "conv1.weight", 2, 1, 2, 2), param(g, "conv1.bias", 2), param(g, "fc1.weight", 3, 2), param(g, "fc1.bias", 3)}
	h := do(op.ReshapeTo(x, x.Shape()[0], 1, side, side))
	h = do(op.Tanh.Of(do(op.Conv2D(h, p[0], p[1], 1, 0))))
	h = do(op.Flatten(do(op.MaxPool2D(h, 2, 2))))
	return do(op.CrossEntropy.Of(do(op.Dense(h, p[2], p[3])), y)), p
}

// shared uses one weight twice, for which no per-sample rule exists.
func shared(t *testing.T, g *gorgonia.ExprGraph, x, y *gorgonia.Node) (*gorgonia.Node, gorgonia.Nodes) {
	do := must(t)
	p := gorgonia.Nodes{param(g, "shared.weight", 9, 9), param(g, "fc1.weight", 3, 9)}
	h := do(op.Tanh.Of(do(op.Apply(op.MatMul{TransB: true}, x, p[0]))))
	h = do(op.Tanh.Of(do(op.Apply(op.MatMul{TransB: true}, h, p[0]))))
	return do(op.CrossEntropy.Of(do(op.Apply(op.MatMul{TransB: true}, h, p[1])), y)), p
}

var nets = map[string]net{"mlp": mlp(op.CrossEntropy), "mlp-mse": mlp(op.MSE), "cnn": cnn, "shared": shared}

func compile(t *testing.T, build net) *program.Program {
	t.Helper()
	g := gorgonia.NewGraph()
	const batch = 101
	x := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(batch, side*side), gorgonia.WithName("x"))
	y := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(batch, classes), gorgonia.WithName("y"))
	loss, params := build(t, g, x, y)
	p, err := engine.Compile(loss, params, engine.Inputs(x, y))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// objective returns an objective over `pool` fixed random samples, run in
// chunks of at most capacity, with random parameters.
func objective[T engine.Float](t *testing.T, build net, capacity int) *Objective[T] {
	t.Helper()
	return objectiveOf[T](t, build, engine.Config{Batch: capacity, Threads: 2})
}

// objectiveOf is objective on a session of the given kind.
func objectiveOf[T engine.Float](t *testing.T, build net, c engine.Config) *Objective[T] {
	t.Helper()
	s, err := engine.NewSession[T](compile(t, build), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	stream := rng.New(rng.Weights, 5, 0)
	for i := range s.Params() {
		s.Params()[i] = T(0.6 * stream.NormFloat64())
	}
	var x [pool * side * side]float64
	for i := range x {
		x[i] = stream.NormFloat64()
	}
	return NewObjective(s, func(indices []int32) {
		clear(s.Input(1))
		for r, i := range indices {
			for k := range side * side {
				s.Input(0)[r*side*side+k] = T(x[int(i)*side*side+k])
			}
			s.Input(1)[r*classes+int(i)%classes] = 1
		}
	})
}

func samples(n int) []int32 {
	list := make([]int32, n)
	for i := range list {
		list[i] = int32((i*5 + 2) % pool)
	}
	return list
}
