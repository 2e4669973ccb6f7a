package lower

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
	"sgflow/engine/program"
)

const batch = 6

// stockGraph is a linear model x·w on 6×4 inputs with targets of the same
// shape as its 6×3 outputs.
type stockGraph struct {
	g          *gorgonia.ExprGraph
	x, y, w, z *gorgonia.Node
}

func newStockGraph() *stockGraph {
	s := &stockGraph{g: gorgonia.NewGraph()}
	s.x = s.matrix("x", batch, 4)
	s.y = s.matrix("y", batch, 3)
	s.w = s.matrix("w", 4, 3)
	s.z = gorgonia.Must(gorgonia.Mul(s.x, s.w))
	return s
}

func (s *stockGraph) matrix(name string, rows, cols int) *gorgonia.Node {
	return gorgonia.NewMatrix(s.g, tensor.Float64, gorgonia.WithShape(rows, cols), gorgonia.WithName(name))
}

func (s *stockGraph) lower(loss *gorgonia.Node) (*program.Program, error) {
	return Lower(Source{Loss: loss, Params: gorgonia.Nodes{s.w}, Inputs: gorgonia.Nodes{s.x, s.y}, Curvature: true})
}

// squares is the mean of (a − y)².
func (s *stockGraph) squares(a *gorgonia.Node) *gorgonia.Node {
	return gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Sub(a, s.y))))))
}

func (s *stockGraph) mustLower(t *testing.T, loss *gorgonia.Node) *program.Program {
	t.Helper()
	p, err := s.lower(loss)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnsupportedOpIsNamedWithTheNearestSupportedOne(t *testing.T) {
	s := newStockGraph()
	_, err := s.lower(s.squares(gorgonia.Must(gorgonia.Softplus(s.z))))
	if err == nil {
		t.Fatal("softplus was compiled")
	}
	for _, want := range []string{"softplus", "node", "(6, 3)", "nearest supported one is SoftMax"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error of more than one line: %q", err)
	}
}

func TestBadSourcesAreRefused(t *testing.T) {
	s := newStockGraph()
	loss := s.squares(s.z)
	for name, c := range map[string]struct {
		source Source
		want   string
	}{
		"no loss":          {Source{Params: gorgonia.Nodes{s.w}}, "no loss"},
		"no parameters":    {Source{Loss: loss, Inputs: gorgonia.Nodes{s.x, s.y}}, "no parameters"},
		"loss not scalar":  {Source{Loss: s.z, Params: gorgonia.Nodes{s.w}, Inputs: gorgonia.Nodes{s.x, s.y}}, "reduce it to a scalar"},
		"an unnamed input": {Source{Loss: loss, Params: gorgonia.Nodes{s.w}, Inputs: gorgonia.Nodes{s.x}}, "name it among"},
		"batch sizes":      {Source{Loss: loss, Params: gorgonia.Nodes{s.w}, Inputs: gorgonia.Nodes{s.x, s.y, s.matrix("other", 5, 2)}}, "batch"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Lower(c.source); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestReshapeThatMixesSamplesIsRefused(t *testing.T) {
	s := newStockGraph()
	flat := gorgonia.Must(gorgonia.Reshape(s.z, tensor.Shape{9, 2}))
	_, err := s.lower(gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(flat)))))
	if err == nil || !strings.Contains(err.Error(), "mixes samples") {
		t.Errorf("error %v", err)
	}
}

func TestDimensionEqualToTheBatchIsRefusedWhereItIsAmbiguous(t *testing.T) {
	g := gorgonia.NewGraph()
	x := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(5, 5), gorgonia.WithName("x"))
	w := gorgonia.NewMatrix(g, tensor.Float64, gorgonia.WithShape(5, 5), gorgonia.WithName("w"))
	// The mean over both axes divides by 5·5, and no one can say which is the batch.
	loss := gorgonia.Must(gorgonia.Mean(gorgonia.Must(gorgonia.Square(gorgonia.Must(gorgonia.Mul(x, w))))))
	_, err := Lower(Source{Loss: loss, Params: gorgonia.Nodes{w}, Inputs: gorgonia.Nodes{x}})
	if err == nil || !strings.Contains(err.Error(), "another batch size") {
		t.Errorf("error %v", err)
	}
}

// Centring by the batch mean makes each sample's loss depend on all others.
func TestGraphThatCouplesSamplesIsMarked(t *testing.T) {
	s := newStockGraph()
	mean := gorgonia.Must(gorgonia.Mean(s.z, 0))
	mean = gorgonia.Must(gorgonia.Reshape(mean, tensor.Shape{1, 3}))
	centred := gorgonia.Must(gorgonia.BroadcastSub(s.z, mean, nil, []byte{0}))
	p := s.mustLower(t, s.squares(centred))
	if !p.BatchCoupled {
		t.Error("centring by the batch mean is not marked as coupling samples")
	}
	if p.Params[0].Norms != program.None {
		t.Error("per-sample norms are offered where samples have no gradient of their own")
	}
	if q := s.mustLower(t, s.squares(s.z)); q.BatchCoupled || q.Params[0].Norms == program.None {
		t.Error("a plain model is marked as coupling samples")
	}
}

// A penalty on the weights is part of every sample's loss; no rule gives the
// norms then, and the program says so.
func TestWeightPenaltyHasNoNormRule(t *testing.T) {
	s := newStockGraph()
	penalty := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(s.w))))
	p := s.mustLower(t, gorgonia.Must(gorgonia.Add(s.squares(s.z), penalty)))
	if p.BatchCoupled {
		t.Error("a weight penalty is marked as coupling samples")
	}
	if p.Params[0].Norms != program.None {
		t.Error("a norm rule is offered for a gradient that is not only a product")
	}
}

func count[I program.Instr](list []program.Instr) int {
	n := 0
	for _, in := range list {
		if _, ok := in.(I); ok {
			n++
		}
	}
	return n
}

// dense builds relu(x·w1ᵀ + b1)·w2ᵀ + b2 with cross-entropy from our ops.
func dense(t *testing.T) *program.Program {
	t.Helper()
	g := gorgonia.NewGraph()
	array := func(name string, shape ...int) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
	}
	x, y := array("x", SymbolicBatch, 8), array("y", SymbolicBatch, 3)
	params := gorgonia.Nodes{array("w1", 5, 8), array("b1", 5), array("w2", 3, 5), array("b2", 3)}
	do := func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	h := do(op.ReLU.Of(do(op.Dense(x, params[0], params[1]))))
	loss := do(op.CrossEntropy.Of(do(op.Dense(h, params[2], params[3])), y))
	p, err := Lower(Source{Loss: loss, Params: params, Inputs: gorgonia.Nodes{x, y}, Curvature: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Bias, activation and mask run inside the products, and the gradient of the
// input is never computed.
func TestDenseLayersFuse(t *testing.T) {
	p := dense(t)
	forward := p.Phases[program.Forward]
	if len(forward) != 4 || count[*program.MatMul](forward) != 2 {
		t.Errorf("forward is not two products, loss and count:\n%s", p)
	}
	gradient := p.Phases[program.Gradient]
	if len(gradient) != 6 || count[*program.MatMul](gradient) != 3 || count[*program.SumBias](gradient) != 2 {
		t.Errorf("gradient is not the loss's, three products and two bias sums:\n%s", p)
	}
	product := p.Phases[program.HessianProduct]
	if n := count[*program.MatMul](product); n != 8 || count[*program.Binary](product) != 0 || count[*program.Copy](product) != 0 {
		t.Errorf("Hessian-vector product has %d products, want 8 and no separate additions or copies:\n%s", n, p)
	}
	if first := forward[0].(*program.MatMul); first.Bias == program.None || first.Func != program.ReLU {
		t.Errorf("first layer is not fused:\n%s", p)
	}
}

func TestParametersKeepOrderAndShape(t *testing.T) {
	p := dense(t)
	offset := 0
	for i, want := range []string{"w1", "b1", "w2", "b2"} {
		q := p.Params[i]
		if q.Name != want || q.Offset != offset {
			t.Errorf("parameter %d is %s at %d, want %s at %d", i, q.Name, q.Offset, want, offset)
		}
		offset += q.Size
	}
	if p.NumParams != offset || offset != 40+5+15+3 {
		t.Errorf("%d parameters, want %d", p.NumParams, 63)
	}
}

// No two buffers that are alive at once overlap.
func TestPlanKeepsLiveBuffersApart(t *testing.T) {
	p := dense(t)
	const capacity = 9
	l := p.Plan(capacity)
	var order []program.Instr
	for _, list := range p.Phases {
		order = append(order, list...)
	}
	// content[k] is the buffer whose value is in element k of the arena.
	content := make([]program.BufferID, l.Reals)
	for i := range content {
		content[i] = program.None
	}
	temp := func(id program.BufferID) bool {
		b := p.Buffer(id)
		return b.Role == program.Temporary && b.Type == program.Real
	}
	run := func(list []program.Instr) {
		for _, in := range list {
			for _, id := range program.Reads(in) {
				if !temp(id) {
					continue
				}
				for k := range p.Buffer(id).Len(capacity) {
					if content[l.Offset[id]+k] != id {
						t.Fatalf("buffer %d is overwritten before it is read:\n%s", id, p)
					}
				}
			}
			for _, id := range program.Writes(in) {
				if temp(id) {
					for k := range p.Buffer(id).Len(capacity) {
						content[l.Offset[id]+k] = id
					}
				}
			}
		}
	}
	run(order)
	run(p.Phases[program.HessianProduct]) // again at the same point
	if l.Reals == 0 {
		t.Error("nothing was planned")
	}
}
