package op_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/op"
)

// source returns a fixed stream of random numbers for a test.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func normals(r *rand.Rand, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = r.NormFloat64()
	}
	return s
}

// dense wraps data as a value; a scalar if there is no shape.
func dense(data []float64, shape ...int) G.Value {
	if len(shape) == 0 {
		return G.NewF64(data[0])
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data))
}

// numbers returns the elements of a float32 or float64 value as a copy.
func numbers(t testing.TB, v G.Value) []float64 {
	t.Helper()
	switch d := v.Data().(type) {
	case float64:
		return []float64{d}
	case []float64:
		return slices.Clone(d)
	case float32:
		return []float64{float64(d)}
	case []float32:
		out := make([]float64, len(d))
		for i := range d {
			out[i] = float64(d[i])
		}
		return out
	}
	t.Fatalf("value of %T", v.Data())
	return nil
}

// evaluate runs o on float64 data and returns the result with its shape.
func evaluate(t testing.TB, o G.Op, in ...G.Value) ([]float64, tensor.Shape) {
	t.Helper()
	v, err := o.Do(in...)
	if err != nil {
		t.Fatal(err)
	}
	return numbers(t, v), v.Shape()
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// wantClose fails unless |got−want| ≤ tol·(1 + the largest |want|) everywhere.
func wantClose(t testing.TB, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i := range want {
		if !(math.Abs(got[i]-want[i]) <= tol*scale) {
			t.Fatalf("%s: element %d is %v, want %v (tolerance %g)", what, i, got[i], want[i], tol*scale)
		}
	}
}

// input is one leaf of a test net.
type input struct {
	shape []int
	data  []float64
}

// net builds a scalar loss from the leaves.
type net func(t *testing.T, in G.Nodes) *G.Node

// must returns a constructor's node or fails.
func must(t testing.TB) func(*G.Node, error) *G.Node {
	return func(n *G.Node, err error) *G.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// program is a differentiated net on the TapeMachine.
type program struct {
	t      *testing.T
	d      *op.Derivatives
	vm     G.VM
	loss   G.Value
	grads  []G.Value
	hv     []G.Value
	params [][]float64 // written before each run
}

func compile(t *testing.T, leaves []input, build net) *program {
	t.Helper()
	g := G.NewGraph()
	params := make(G.Nodes, len(leaves))
	p := &program{t: t}
	for i, l := range leaves {
		data := slices.Clone(l.data)
		name := G.WithName(string(rune('a' + i)))
		if len(l.shape) == 0 {
			params[i] = G.NewScalar(g, tensor.Float64, name)
		} else {
			params[i] = G.NewTensor(g, tensor.Float64, len(l.shape), G.WithShape(l.shape...), name)
		}
		p.params = append(p.params, data)
	}
	d, err := op.Differentiate(build(t, params), params)
	if err != nil {
		t.Fatal(err)
	}
	p.d, p.grads, p.hv = d, make([]G.Value, len(leaves)), make([]G.Value, len(leaves))
	G.Read(d.Loss, &p.loss)
	for i := range leaves {
		if d.Grads[i] != nil {
			G.Read(d.Grads[i], &p.grads[i])
		}
		if d.HessianProducts[i] != nil {
			G.Read(d.HessianProducts[i], &p.hv[i])
		}
	}
	p.vm = G.NewTapeMachine(d.Graph)
	t.Cleanup(func() { p.vm.Close() })
	return p
}

// run evaluates at the current params and the vectors v.
func (p *program) run(v [][]float64) (loss float64, grads, hv [][]float64) {
	p.t.Helper()
	let := func(n *G.Node, data []float64) {
		if err := G.Let(n, dense(slices.Clone(data), n.Shape()...)); err != nil {
			p.t.Fatal(err)
		}
	}
	for i, n := range p.d.Params {
		let(n, p.params[i])
		let(p.d.Vectors[i], v[i])
	}
	if err := p.vm.RunAll(); err != nil {
		p.t.Fatal(err)
	}
	collect := func(vals []G.Value) [][]float64 {
		out := make([][]float64, len(vals))
		for i, v := range vals {
			out[i] = make([]float64, len(p.params[i])) // nil means zero
			if v != nil {
				out[i] = numbers(p.t, v)
			}
		}
		return out
	}
	loss, grads, hv = numbers(p.t, p.loss)[0], collect(p.grads), collect(p.hv)
	p.vm.Reset()
	return loss, grads, hv
}

// checkDerivatives compares the gradient with central differences of the loss
// and the Hessian-vector product with central differences of the gradient.
// With step h = 1e-5 the truncation error is about h² = 1e-10 and the rounding
// error about 1e-16/h = 1e-11, both times the size of derivatives of order
// one; 2e-8 leaves room for nets whose third derivatives are large.
func checkDerivatives(t *testing.T, leaves []input, build net) {
	t.Helper()
	const h, tol = 1e-5, 2e-8
	p := compile(t, leaves, build)
	r := source(99)
	v := make([][]float64, len(leaves))
	for i, l := range leaves {
		v[i] = normals(r, len(l.data))
	}
	_, grads, hv := p.run(v)
	for i := range p.params {
		fd := make([]float64, len(p.params[i]))
		for j, x := range p.params[i] {
			p.params[i][j] = x + h
			up, _, _ := p.run(v)
			p.params[i][j] = x - h
			down, _, _ := p.run(v)
			p.params[i][j] = x
			fd[j] = (up - down) / (2 * h)
		}
		wantClose(t, "gradient of "+p.d.Params[i].Name(), grads[i], fd, tol)
	}
	shift := func(s float64) {
		for i := range p.params {
			for j := range p.params[i] {
				p.params[i][j] += s * v[i][j]
			}
		}
	}
	shift(h)
	_, up, _ := p.run(v)
	shift(-2 * h)
	_, down, _ := p.run(v)
	for i := range hv {
		fd := make([]float64, len(hv[i]))
		for j := range fd {
			fd[j] = (up[i][j] - down[i][j]) / (2 * h)
		}
		wantClose(t, "Hv of "+p.d.Params[i].Name(), hv[i], fd, tol)
	}
}

// leaf returns a normally distributed input.
func leaf(r *rand.Rand, shape ...int) input {
	return input{shape: shape, data: normals(r, tensor.Shape(shape).TotalSize())}
}

// curved returns Σ c ⊙ y² with fixed weights c, a scalar that is curved in y, so
// that a linear op under it has a Hessian.
func curved(t *testing.T, y *G.Node) *G.Node {
	t.Helper()
	m := must(t)
	s := m(op.Square.Of(y))
	if y.IsScalar() {
		return s
	}
	shape, err := op.NewDims(y.Shape()...)
	if err != nil {
		t.Fatal(err)
	}
	c := make([]float64, shape.Size())
	for i := range c {
		c[i] = 0.5 + float64(i%7)/5
	}
	weights := y.Graph().AddNode(G.NewConstant(dense(c, shape.Shape()...), G.WithName("curve weights")))
	return m(op.Apply(op.Sum{Shape: shape, Axes: op.AllAxes(shape.N)}, m(op.Mul.Of(s, weights))))
}
