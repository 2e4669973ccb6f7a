package op_test

import (
	"fmt"
	"hash"
	"strings"
	"sync"
	"testing"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// vector adds a float64 input with n elements.
func vector(g *G.ExprGraph, name string, n int) *G.Node {
	return G.NewVector(g, tensor.Float64, G.WithShape(n), G.WithName(name))
}

func TestDifferentiateLeavesTheGraphAlone(t *testing.T) {
	g := G.NewGraph()
	x, w := vector(g, "x", 3), vector(g, "w", 3)
	loss := curved(t, must(t)(op.Mul.Of(x, w)))
	var v G.Value
	G.Read(loss, &v)
	before := fmt.Sprint(g.AllNodes())
	first, err := op.Differentiate(loss, G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	second, err := op.Differentiate(loss, G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(g.AllNodes()); after != before {
		t.Errorf("graph before %s\nafter %s", before, after)
	}
	for _, n := range g.AllNodes() {
		if n.Deriv() != nil || n.DerivOf() != nil {
			t.Errorf("%v bears a derivative mark", n)
		}
	}
	if a, b := fmt.Sprint(first.Graph.AllNodes()), fmt.Sprint(second.Graph.AllNodes()); a != b {
		t.Errorf("twice the same gave %s\nand %s", a, b)
	}
}

func TestDifferentiateReturnsOneMinimalGraph(t *testing.T) {
	g := G.NewGraph()
	x, w := vector(g, "x", 3), vector(g, "w", 3)
	if _, err := op.Exp.Of(w); err != nil { // not part of the loss
		t.Fatal(err)
	}
	product := must(t)(op.Mul.Of(x, w))
	loss := curved(t, product)
	d, err := op.Differentiate(loss, G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range []G.Nodes{{d.Loss}, d.Params, d.Grads, d.Vectors, d.HessianProducts} {
		if len(ns) != 1 || ns[0] == nil || ns[0].Graph() != d.Graph {
			t.Errorf("%v is not one node of the graph", ns)
		}
	}
	if d.Node(w) != d.Params[0] || d.Node(loss) != d.Loss || d.Node(product) == nil || d.Node(x).Name() != "x" {
		t.Error("images of the original nodes are wrong")
	}
	for _, n := range d.Graph.AllNodes() {
		if n.Op() == (op.Unary{Fn: op.Exp}) {
			t.Error("a node that nothing needs was kept")
		}
		if n.Deriv() != nil {
			t.Errorf("%v bears a derivative mark", n)
		}
	}
}

func TestParametersThatTheLossIgnoresGetNil(t *testing.T) {
	g := G.NewGraph()
	x, w, u, dead := vector(g, "x", 3), vector(g, "w", 3), vector(g, "u", 3), vector(g, "dead", 2)
	// u reaches the loss only through the step function, whose derivative is 0.
	gate := must(t)(op.Apply(op.Unary{Fn: op.ReLU, Order: 1}, u))
	loss := curved(t, must(t)(op.Mul.Of(gate, must(t)(op.Mul.Of(x, w)))))
	d, err := op.Differentiate(loss, G.Nodes{dead, w, u})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} {
		if (d.Grads[i] != nil) != want || (d.HessianProducts[i] != nil) != want {
			t.Errorf("%s: gradient %v, Hv %v", d.Params[i].Name(), d.Grads[i], d.HessianProducts[i])
		}
		if d.Params[i] == nil || d.Vectors[i] == nil {
			t.Errorf("parameter %d has no input or no vector", i)
		}
	}
}

func TestLossWithoutParametersHasNoDerivatives(t *testing.T) {
	g := G.NewGraph()
	loss := curved(t, vector(g, "x", 3))
	d, err := op.Differentiate(loss, G.Nodes{vector(g, "w", 2)})
	if err != nil || d.Grads[0] != nil || d.HessianProducts[0] != nil {
		t.Errorf("%v, %v", d, err)
	}
}

func TestLinearLossHasNoHessian(t *testing.T) {
	p := compile(t, []input{{shape: []int{2}, data: []float64{3, 4}}}, func(t *testing.T, in G.Nodes) *G.Node {
		c := constant(in[0], "c", dense([]float64{5, 7}, 2))
		return must(t)(op.Apply(op.Sum{Shape: dims(t, 2), Axes: op.AxesOf(0)}, must(t)(op.Mul.Of(in[0], c))))
	})
	if p.d.HessianProducts[0] != nil {
		t.Error("a linear loss has a Hessian-vector product")
	}
	loss, grads, _ := p.run([][]float64{{1, 1}})
	wantClose(t, "loss", []float64{loss}, []float64{43}, 0)
	wantClose(t, "gradient", grads[0], []float64{5, 7}, 0)
}

// Parameters that enter as a sum share one gradient node; in a product each
// one's gradient is computed from the other, or is the other.
func TestParametersThatShareGradients(t *testing.T) {
	r := source(30)
	two := []input{leaf(r, 3), leaf(r, 3)}
	for name, build := range map[string]net{
		"sum": func(t *testing.T, in G.Nodes) *G.Node { return curved(t, must(t)(op.Add.Of(in[0], in[1]))) },
		"product": func(t *testing.T, in G.Nodes) *G.Node {
			return must(t)(op.Apply(op.Sum{Shape: dims(t, 3), Axes: 1}, must(t)(op.Mul.Of(in[0], in[1]))))
		},
		"tied": func(t *testing.T, in G.Nodes) *G.Node {
			return curved(t, must(t)(op.Mul.Of(must(t)(op.Tanh.Of(in[0])), must(t)(op.Mul.Of(in[0], in[1])))))
		},
	} {
		t.Run(name, func(t *testing.T) { checkDerivatives(t, two, build) })
	}
	t.Run("scalars", func(t *testing.T) {
		checkDerivatives(t, []input{leaf(r), leaf(r)}, func(t *testing.T, in G.Nodes) *G.Node {
			return must(t)(op.Mul.Of(in[0], in[1]))
		})
	})
	t.Run("the loss is the parameter", func(t *testing.T) {
		checkDerivatives(t, []input{leaf(r)}, func(t *testing.T, in G.Nodes) *G.Node {
			return must(t)(op.Apply(op.Scale{Factor: 2}, in[0]))
		})
	})
}

// Gorgonia finds constants by their printed value, and its gradient starts from
// one named "1".
func TestConstantsKeepTheirValues(t *testing.T) {
	checkDerivatives(t, []input{{data: []float64{1.5}}}, func(t *testing.T, in G.Nodes) *G.Node {
		impostor := constant(in[0], "1", G.NewF64(3))
		other := constant(in[0], "x", G.NewF64(1))
		y := must(t)(op.Mul.Of(impostor, must(t)(op.Square.Of(in[0]))))
		return must(t)(op.Exp.Of(must(t)(op.Mul.Of(y, other))))
	})
}

func TestVectorNamesAreFresh(t *testing.T) {
	checkDerivatives(t, []input{{shape: []int{2}, data: []float64{1, 2}}}, func(t *testing.T, in G.Nodes) *G.Node {
		taken := G.NewVector(in[0].Graph(), tensor.Float64, G.WithShape(2), G.WithName("v:a"), G.WithValue(dense([]float64{3, 4}, 2)))
		return curved(t, must(t)(op.Mul.Of(in[0], taken)))
	})
}

func TestParametersShareTheirValues(t *testing.T) {
	g := G.NewGraph()
	value := dense([]float64{1, 2}, 2)
	w := G.NewVector(g, tensor.Float64, G.WithShape(2), G.WithName("w"), G.WithValue(value))
	d, err := op.Differentiate(curved(t, w), G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	if d.Params[0].Value() != value {
		t.Error("the value was copied or lost")
	}
}

func TestDifferentiateInFloat32(t *testing.T) {
	g := G.NewGraph()
	w := G.NewVector(g, tensor.Float32, G.WithShape(2), G.WithName("w"), G.WithValue(tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{3, 4}))))
	loss := must(t)(op.Apply(op.Sum{Shape: dims(t, 2), Axes: 1}, must(t)(op.Square.Of(w))))
	d, err := op.Differentiate(loss, G.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	if err := G.Let(d.Vectors[0], tensor.New(tensor.WithShape(2), tensor.WithBacking([]float32{1, -1}))); err != nil {
		t.Fatal(err)
	}
	var hv G.Value
	G.Read(d.HessianProducts[0], &hv)
	vm := G.NewTapeMachine(d.Graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	if hv.Dtype() != tensor.Float32 {
		t.Errorf("Hv is %v", hv.Dtype())
	}
	wantClose(t, "Hv", numbers(t, hv), []float64{2, -2}, 0)
}

func TestDifferentiateRejects(t *testing.T) {
	g := G.NewGraph()
	w := vector(g, "w", 3)
	loss := curved(t, w)
	y := must(t)(op.ReshapeTo(w, 1, 3))
	trainsTargets := must(t)(op.MSE.Of(G.NewMatrix(g, tensor.Float64, G.WithShape(1, 3), G.WithName("z")), y))
	random := must(t)(op.Mul.Of(w, G.UniformRandomNode(g, tensor.Float64, 0, 1, 3)))
	for name, c := range map[string]struct {
		loss   *G.Node
		params G.Nodes
		says   string
	}{
		"no loss":       {nil, G.Nodes{w}, "nil"},
		"a vector loss": {w, G.Nodes{w}, "scalar"},
		"nil parameter": {loss, G.Nodes{nil}, "parameter 0"},
		"twice":         {loss, G.Nodes{w, w}, "twice"},
		"computed":      {loss, G.Nodes{loss}, "computed by"},
		"other graph":   {loss, G.Nodes{vector(G.NewGraph(), "w", 3)}, "another graph"},
		"other dtype":   {loss, G.Nodes{G.NewVector(g, tensor.Float32, G.WithShape(3), G.WithName("f"))}, "float32"},
		"targets":       {trainsTargets, G.Nodes{w}, "targets"},
		"random node":   {curved(t, random), G.Nodes{w}, "draws its own values"},
		"no derivative": {curved(t, must(t)(G.ApplyOp(plainOp{}, w))), G.Nodes{w}, "no derivative"},
		"broken op":     {curved(t, must(t)(G.ApplyOp(brokenOp{}, w))), G.Nodes{w}, "broken"},
	} {
		d, err := op.Differentiate(c.loss, c.params)
		if err == nil || d != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, error %v; want %q", name, d, err, c.says)
		}
	}
}

// plainOp is an identity that says nothing about derivatives.
type plainOp struct{}

func (plainOp) Arity() int                                       { return 1 }
func (plainOp) Type() hm.Type                                    { return op.Scale{}.Type() }
func (plainOp) InferShape(s ...G.DimSizer) (tensor.Shape, error) { return s[0].(tensor.Shape), nil }
func (plainOp) Do(v ...G.Value) (G.Value, error)                 { return v[0], nil }
func (plainOp) ReturnsPtr() bool                                 { return true }
func (plainOp) CallsExtern() bool                                { return false }
func (plainOp) OverwritesInput() int                             { return -1 }
func (plainOp) WriteHash(h hash.Hash)                            { h.Write([]byte("plain")) }
func (plainOp) Hashcode() uint32                                 { return 1 }
func (plainOp) String() string                                   { return "plain" }

// brokenOp claims a derivative and panics when asked for it.
type brokenOp struct{ plainOp }

func (brokenOp) WriteHash(h hash.Hash) { h.Write([]byte("broken")) }
func (brokenOp) Hashcode() uint32      { return 2 }
func (brokenOp) String() string        { return "broken" }
func (brokenOp) DiffWRT(int) []bool    { return []bool{true} }
func (brokenOp) SymDiff(G.Nodes, *G.Node, *G.Node) (G.Nodes, error) {
	panic("broken")
}

// Gorgonia's differentiation shares global nodes; run with -race.
func TestDifferentiateConcurrently(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			g := G.NewGraph()
			w := vector(g, "w", 3)
			if _, err := op.Differentiate(curved(t, w), G.Nodes{w}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
