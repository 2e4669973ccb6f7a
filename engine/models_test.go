package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
	"pgregory.net/rapid"

	"sgflow/engine"
	"sgflow/engine/lower"
	"sgflow/engine/op"
	"sgflow/engine/program"
	"sgflow/engine/rng"
	"sgflow/models"
)

// problem is a network of the models package with data to run it on.
type problem struct {
	spec    models.Spec
	input   models.Shape
	classes int
	loss    op.LossKind
	batch   int
	theta   []float64 // all parameters, flat
	v       []float64 // a direction
	x, y    []float64
}

func newProblem(t testing.TB, spec string, input models.Shape, classes int, loss op.LossKind, batch int) *problem {
	t.Helper()
	s, err := models.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	p := &problem{spec: s, input: input, classes: classes, loss: loss, batch: batch}
	init, err := s.Init(11, input, classes, loss)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	stream := rng.New(rng.Probes, 4, 0)
	for _, q := range init {
		for _, w := range q.Data {
			p.theta = append(p.theta, w+0.05*stream.NormFloat64()) // biases not zero either
			p.v = append(p.v, stream.NormFloat64())
		}
	}
	for range batch * input.Size() {
		p.x = append(p.x, stream.NormFloat64())
	}
	p.y = make([]float64, batch*classes)
	for i := range batch {
		p.y[i*classes+int(stream.Uint32n(uint32(classes)))] = 1
	}
	return p
}

func (p *problem) build(t testing.TB, batch int) *models.Network {
	t.Helper()
	n, err := p.spec.Build(models.BuildOptions{Input: p.input, Classes: p.classes, Batch: batch, Loss: p.loss, Dtype: tensor.Float64})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func nodes(n *models.Network) gorgonia.Nodes {
	var list gorgonia.Nodes
	for _, q := range n.Params {
		list = append(list, q.Node)
	}
	return list
}

func (p *problem) program(t testing.TB) *program.Program {
	t.Helper()
	n := p.build(t, lower.SymbolicBatch)
	c, err := engine.Compile(n.Loss, nodes(n), engine.Inputs(n.X, n.Y))
	if err != nil {
		t.Fatalf("%v: %v", p.spec, err)
	}
	return c
}

// session loads the first batch samples into a session with room for capacity.
func session[T engine.Float](t testing.TB, p *problem, capacity, threads int) *engine.Session[T] {
	t.Helper()
	s, err := engine.NewSession[T](p.program(t), engine.Config{Batch: capacity, Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	convert(s.Params(), p.theta)
	convert(s.Input(0), p.x)
	convert(s.Input(1), p.y)
	return s
}

func convert[T engine.Float](dst []T, src []float64) {
	for i, x := range src {
		dst[i] = T(x)
	}
}

// reference runs the differentiated graph on Gorgonia's TapeMachine.
func (p *problem) reference(t testing.TB) (loss float64, grad, hv []float64) {
	t.Helper()
	n := p.build(t, p.batch)
	d, err := op.Differentiate(n.Loss, nodes(n))
	if err != nil {
		t.Fatal(err)
	}
	let := func(n *gorgonia.Node, data []float64) {
		if err := gorgonia.Let(n, tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(slices.Clone(data)))); err != nil {
			t.Fatal(err)
		}
	}
	let(d.Node(n.X), p.x)
	let(d.Node(n.Y), p.y)
	at := 0
	for i, q := range d.Params {
		size := q.Shape().TotalSize()
		let(q, p.theta[at:at+size])
		let(d.Vectors[i], p.v[at:at+size])
		at += size
	}
	var lossValue gorgonia.Value
	gorgonia.Read(d.Loss, &lossValue)
	read := func(list gorgonia.Nodes) []gorgonia.Value {
		values := make([]gorgonia.Value, len(list))
		for i, g := range list {
			if g != nil {
				gorgonia.Read(g, &values[i])
			}
		}
		return values
	}
	grads, products := read(d.Grads), read(d.HessianProducts)
	vm := gorgonia.NewTapeMachine(d.Graph)
	defer vm.Close()
	if err := vm.RunAll(); err != nil {
		t.Fatal(err)
	}
	flat := func(values []gorgonia.Value) []float64 {
		var list []float64
		for i, v := range values {
			if v == nil {
				list = append(list, make([]float64, d.Params[i].Shape().TotalSize())...)
				continue
			}
			list = append(list, v.Data().([]float64)...)
		}
		return list
	}
	return lossValue.Data().(float64), flat(grads), flat(products)
}

// far returns the first index at which two vectors differ by more than tol
// times the largest element, or −1.
func far[T engine.Float](got []T, want []float64, tol float64) int {
	scale := maxAbs(want)
	for i, w := range want {
		if d := float64(got[i]) - w; !(d <= tol*scale && -d <= tol*scale) {
			return i
		}
	}
	return -1
}

func agree[T engine.Float](t testing.TB, p *problem, tol float64) {
	t.Helper()
	s := session[T](t, p, p.batch+3, 2)
	defer s.Close()
	loss, grad, hv := p.reference(t)
	s.Gradient(p.batch, true)
	got := make([]T, len(hv))
	s.Product(got, convertNew[T](p.v))
	if relative(s.Loss(), loss, loss) > tol {
		t.Errorf("%v: loss %.15g, tape machine %.15g", p.spec, s.Loss(), loss)
	}
	if i := far(s.Grad(), grad, tol); i >= 0 {
		t.Errorf("%v: gradient[%d] = %g, tape machine %g", p.spec, i, s.Grad()[i], grad[i])
	}
	if i := far(got, hv, tol); i >= 0 {
		t.Errorf("%v: (Hv)[%d] = %g, tape machine %g", p.spec, i, got[i], hv[i])
	}
}

func convertNew[T engine.Float](src []float64) []T {
	dst := make([]T, len(src))
	convert(dst, src)
	return dst
}

var fixedSpecs = []struct {
	spec    string
	input   models.Shape
	classes int
	loss    op.LossKind
	batch   int
}{
	{"mlp:12-9-7-4", models.Shape{C: 1, H: 3, W: 4}, 4, op.CrossEntropy, 5},
	{"mlp:12-9-4,act=tanh", models.Shape{C: 1, H: 3, W: 4}, 4, op.MSE, 1},
	{"mlp:12-9-4,act=sigmoid", models.Shape{C: 1, H: 3, W: 4}, 4, op.CrossEntropy, 3},
	{"mlp:12-9-4,act=gelu", models.Shape{C: 1, H: 3, W: 4}, 4, op.MSE, 6},
	{"mlp:12-4", models.Shape{C: 1, H: 3, W: 4}, 4, op.MSE, 6},
	{"cnn:conv3k3s2p1,relu,maxpool2,fc5", models.Shape{C: 2, H: 9, W: 11}, 5, op.CrossEntropy, 4},
	{"cnn:conv4k3,tanh,avgpool2,conv5k2,gelu,gap,fc3", models.Shape{C: 1, H: 10, W: 9}, 3, op.CrossEntropy, 3},
	{"cnn:conv3k5p2,sigmoid,maxpool3s2,conv2k1,fc6,relu,fc3", models.Shape{C: 3, H: 8, W: 7}, 3, op.MSE, 1},
	{"cnn:conv2k3p1,relu,conv2k3p1,relu,gap,fc3", models.Shape{C: 1, H: 5, W: 5}, 3, op.MSE, 7},
}

func TestModelsAgreeWithTheTapeMachine(t *testing.T) {
	for _, c := range fixedSpecs {
		t.Run(c.spec, func(t *testing.T) {
			p := newProblem(t, c.spec, c.input, c.classes, c.loss, c.batch)
			t.Run("float64", func(t *testing.T) { agree[float64](t, p, 1e-10) })
			// float32 rounds every operation to 6e-8 of terms that cancel.
			t.Run("float32", func(t *testing.T) { agree[float32](t, p, 2e-4) })
		})
	}
}

// randomSpec draws a network that fits an image of the given shape.
func randomSpec(r *rapid.T) (spec string, input models.Shape, classes int) {
	input = models.Shape{C: rapid.IntRange(1, 3).Draw(r, "C"), H: rapid.IntRange(5, 11).Draw(r, "H"), W: rapid.IntRange(5, 11).Draw(r, "W")}
	classes = rapid.IntRange(2, 4).Draw(r, "classes")
	act := rapid.SampledFrom([]string{"relu", "tanh", "sigmoid", "gelu"})
	var layers []string
	h, w := input.H, input.W
	for range rapid.IntRange(0, 2).Draw(r, "convs") {
		k := rapid.IntRange(1, min(3, h, w)).Draw(r, "k")
		s := rapid.IntRange(1, 2).Draw(r, "stride")
		p := rapid.IntRange(0, k/2).Draw(r, "pad")
		layers = append(layers, fmt.Sprintf("conv%dk%ds%dp%d", rapid.IntRange(1, 4).Draw(r, "out"), k, s, p), act.Draw(r, "act"))
		h, w = (h+2*p-k)/s+1, (w+2*p-k)/s+1
		if kind := rapid.SampledFrom([]string{"maxpool", "avgpool", ""}).Draw(r, "pool"); kind != "" && min(h, w) >= 2 {
			layers = append(layers, kind+"2")
			h, w = h/2, w/2
		}
	}
	if rapid.Bool().Draw(r, "hidden") {
		layers = append(layers, fmt.Sprintf("fc%d", rapid.IntRange(1, 9).Draw(r, "width")), act.Draw(r, "act"))
	}
	layers = append(layers, fmt.Sprintf("fc%d", classes))
	return "cnn:" + strings.Join(layers, ","), input, classes
}

func TestRandomModelsAgreeWithTheTapeMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		spec, input, classes := randomSpec(r)
		loss := rapid.SampledFrom([]op.LossKind{op.CrossEntropy, op.MSE}).Draw(r, "loss")
		p := newProblem(t, spec, input, classes, loss, rapid.IntRange(1, 6).Draw(r, "batch"))
		agree[float64](t, p, 1e-9) // of the largest element: near-cancelling products of many layers
		if t.Failed() {
			r.Fatalf("%s on %v, batch %d", spec, input, p.batch)
		}
	})
}

// A batch of n samples gives the same whatever the program's largest batch,
// and to the bit on any number of threads.
func TestResultsDoNotDependOnCapacityOrThreads(t *testing.T) {
	for _, c := range fixedSpecs {
		p := newProblem(t, c.spec, c.input, c.classes, c.loss, 13)
		type results struct {
			loss     float64
			grad, hv []float32
			norms    []float64
		}
		run := func(capacity, threads int) results {
			s := session[float32](t, p, capacity, threads)
			defer s.Close()
			s.Gradient(13, true)
			r := results{loss: s.Loss(), hv: make([]float32, len(p.v))}
			s.Product(r.hv, convertNew[float32](p.v))
			r.grad = slices.Clone(s.Grad())
			for k := range s.Program().Params {
				r.norms = append(r.norms, s.SampleNorms(k)...)
			}
			return r
		}
		a := run(13, 1)
		for _, b := range []results{run(13, 2), run(13, 3), run(40, 2)} {
			if a.loss != b.loss || !slices.Equal(a.grad, b.grad) || !slices.Equal(a.hv, b.hv) || !slices.Equal(a.norms, b.norms) {
				t.Errorf("%s: results depend on threads or capacity", c.spec)
			}
		}
	}
}

func TestTrainingStepsAllocateNothing(t *testing.T) {
	for _, spec := range []string{"mlp", "cnn"} {
		p := newProblem(t, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, 16)
		s := session[float32](t, p, 16, 2)
		v, hv := convertNew[float32](p.v), make([]float32, len(p.v))
		step := func() {
			s.Gradient(16, true)
			s.Product(hv, v)
			s.Axpy(-0.01, s.Grad(), s.Params())
		}
		step()
		if n := testing.AllocsPerRun(50, step); n != 0 { // the runtime makes some too, now and then
			t.Errorf("%s: %g allocations a step", spec, n)
		}
		s.Close()
	}
}
