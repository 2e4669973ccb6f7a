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

// factors returns what makes up the gradients of samples, one line a parameter.
func factors(p *program.Program) string {
	_, list, _ := strings.Cut(p.String(), "per-sample gradients:\n")
	var lines []string
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// A dense weight's gradient is made of the rows that its product reads, a
// bias's of those it sums; only a weight in an unknown place has none.
func TestDenseLayersAreFactored(t *testing.T) {
	p := dense(t)
	if !p.Factored() || len(p.Phases[program.Samples]) != 0 {
		t.Errorf("dense layers need no Samples phase and are factored:\n%s", p)
	}
	for k, q := range p.Params {
		weight := q.Factors.B != program.None
		if weight != (k%2 == 0) || weight && p.Params[k+1].Factors.A != q.Factors.A {
			t.Errorf("factors of %s are wrong:\n%s", q.Name, factors(p))
		}
	}
	if got, want := factors(p), 4; strings.Count(got, "\n") != want-1 || !strings.HasPrefix(got, "w1 = n·") {
		t.Errorf("the listing has not one line of factors for each of %d parameters:\n%s", want, got)
	}
	s := newStockGraph()
	penalty := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.Square(s.w))))
	if q := s.mustLower(t, gorgonia.Must(gorgonia.Add(s.squares(s.z), penalty))); q.Factored() || q.Params[0].Factors != nil {
		t.Error("a penalised weight is factored")
	}
}

// convolution is a convolution with a bias and a dense layer from our ops; wrap
// makes the program's loss of cross-entropy's.
func convolution(t *testing.T, wrap func(g *gorgonia.ExprGraph, loss, weight *gorgonia.Node) *gorgonia.Node) *program.Program {
	t.Helper()
	g := gorgonia.NewGraph()
	array := func(name string, shape ...int) *gorgonia.Node {
		return gorgonia.NewTensor(g, tensor.Float64, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
	}
	do := func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	x, y := array("x", SymbolicBatch, 2, 5, 5), array("y", SymbolicBatch, 3)
	params := gorgonia.Nodes{array("w1", 4, 2, 3, 3), array("b1", 4), array("w2", 3, 36), array("b2", 3)}
	h := do(op.Flatten(do(op.GELU.Of(do(op.Conv2D(x, params[0], params[1], 1, 0))))))
	loss := do(op.CrossEntropy.Of(do(op.Dense(h, params[2], params[3])), y))
	if wrap != nil {
		loss = wrap(g, loss, params[2])
	}
	p, err := Lower(Source{Loss: loss, Params: params, Inputs: gorgonia.Nodes{x, y}, Curvature: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConvolutionsAreFactoredByTheSamplesPhase(t *testing.T) {
	p := convolution(t, nil)
	list := p.Phases[program.Samples]
	if !p.Factored() || count[*program.ConvSamples](list) != 1 || count[*program.BiasSamples](list) != 1 || len(list) != 2 {
		t.Errorf("the filter and its bias are not the Samples phase:\n%s", p)
	}
	for _, q := range p.Params[:2] {
		if q.Factors.B != program.None || p.Buffer(q.Factors.A).Role != program.SampleRows || p.Buffer(q.Factors.A).Width() != q.Size {
			t.Errorf("%s has not its own gradient in every row:\n%s", q.Name, p)
		}
	}
}

// J·v takes no backward pass; and derivatives at the logits are offered only
// where the loss is a function of them and of nothing else.
func TestLogitLossIsFoundWhereItIsAll(t *testing.T) {
	p := convolution(t, nil)
	l, ok := p.LogitLoss()
	if !ok || l.Classes != 3 || l.Kind != program.CrossEntropy {
		t.Fatalf("loss %+v, %v:\n%s", l, ok, p)
	}
	curvature, product, afterGradient := p.Tangent(l)
	if afterGradient || len(product) >= l.Hess || len(product) == 0 {
		t.Errorf("the tangent takes instructions %v and %v of the curvature and the product, a backward pass %v:\n%s", curvature, product, afterGradient, p)
	}
	do := func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for name, wrap := range map[string]func(g *gorgonia.ExprGraph, loss, w *gorgonia.Node) *gorgonia.Node{
		"penalised": func(_ *gorgonia.ExprGraph, loss, w *gorgonia.Node) *gorgonia.Node {
			return do(gorgonia.Add(loss, do(gorgonia.Sum(do(gorgonia.Square(w))))))
		},
		"scaled": func(g *gorgonia.ExprGraph, loss, _ *gorgonia.Node) *gorgonia.Node {
			return do(gorgonia.Mul(loss, g.Constant(gorgonia.NewF64(2))))
		},
	} {
		if convolution(t, wrap).HasLogitLoss() {
			t.Errorf("a %s loss is taken for one of the logits alone", name)
		}
	}
}

// No two buffers that are alive at once overlap, in whatever order the phases
// run: the content of a buffer that another phase reads is there to the end.
func TestPlanKeepsLiveBuffersApart(t *testing.T) {
	for name, p := range map[string]*program.Program{"dense": dense(t), "convolution": convolution(t, nil)} {
		t.Run(name, func(t *testing.T) { testPlan(t, p) })
	}
}

func testPlan(t *testing.T, p *program.Program) {
	const capacity = 9
	l := p.Plan(capacity)
	// content[k] is the buffer whose value is in element k of the arena.
	content := make([]program.BufferID, l.Reals)
	for i := range content {
		content[i] = program.None
	}
	temp := func(id program.BufferID) bool {
		b := p.Buffer(id)
		return b.Role == program.Temporary && b.Type == program.Real
	}
	holds := func(id program.BufferID) bool {
		for k := range p.Buffer(id).Len(capacity) {
			if content[l.Offset[id]+k] != id {
				return false
			}
		}
		return true
	}
	run := func(phases ...program.Phase) {
		for _, ph := range phases {
			for _, in := range p.Phases[ph] {
				for _, id := range program.Reads(in) {
					if temp(id) && !holds(id) {
						t.Fatalf("buffer %d is overwritten before %s reads it:\n%s", id, ph, p)
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
		for _, q := range p.Params {
			for _, id := range []program.BufferID{q.Factors.A, q.Factors.B} {
				if id != program.None && temp(id) && !holds(id) {
					t.Fatalf("factor %d of %s is overwritten after %v:\n%s", id, q.Name, phases, p)
				}
			}
		}
	}
	run(program.Forward, program.Gradient, program.Noise, program.Curvature, program.HessianProduct, program.Samples)
	run(program.HessianProduct) // again at the same point
	run(program.Samples)
	run(program.Gradient, program.Noise) // a pullback
	run(program.Curvature, program.HessianProduct, program.Samples, program.Gradient)
	if l.Reals == 0 {
		t.Error("nothing was planned")
	}
}
