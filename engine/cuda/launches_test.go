//go:build gpu && cgo && linux && amd64

package cuda

import (
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/lower"
	"sgflow/engine/op"
	"sgflow/engine/program"
	"sgflow/models"
)

// preset compiles one of the models' presets for MNIST.
func preset(t testing.TB, spec string) *program.Program {
	t.Helper()
	s, err := models.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Build(models.BuildOptions{Input: models.Shape{C: 1, H: 28, W: 28}, Classes: 10, Batch: lower.SymbolicBatch, Loss: op.CrossEntropy, Dtype: tensor.Float32})
	if err != nil {
		t.Fatal(err)
	}
	var params gorgonia.Nodes
	for _, q := range n.Params {
		params = append(params, q.Node)
	}
	p, err := lower.Lower(lower.Source{Loss: n.Loss, Params: params, Inputs: gorgonia.Nodes{n.X, n.Y}, Curvature: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLaunchesOfAStep holds the number of nodes in the graphs of a step at batch 64:
// launches, copies and fills. The numbers are to be changed only downwards.
func TestLaunchesOfAStep(t *testing.T) {
	const n = 64
	for spec, most := range map[string]struct{ step, noisy, gradient, gathered, noise, product int }{
		"mlp": {step: 5, noisy: 5, gradient: 6, gathered: 6, noise: 6, product: 5},
		"cnn": {step: 10, noisy: 10, gradient: 11, gathered: 11, noise: 11, product: 10},
	} {
		m := newMachine(t, preset(t, spec), n, 132) // as an H100
		if !m.SetData([][]uint8{make([]uint8, n*784)}, [][]int32{make([]int32, n)}, make([]float32, 256), 10) {
			t.Fatal("MNIST does not fit")
		}
		m.Gather(0, make([]int32, n))
		for _, c := range []struct {
			name   string
			noise  bool
			queue  func()
			atMost int
		}{
			{"a step", false, func() { m.queueStep(&step{n: n, end: m.endOf(n, false), ring: &ring{}}, false) }, most.step},
			{"a step with noise", true, func() { m.queueStep(&step{n: n, noise: true, end: m.endOf(n, true), ring: &ring{}}, false) }, most.noisy},
			{"a gradient", false, func() { m.queueGradient(n, false) }, most.gradient},
			{"a gradient that gathers its batch", false, func() { m.queueGradient(n, true) }, most.gathered},
			{"a gradient with norms", true, func() { m.queueGradient(n, false) }, most.noise},
			{"a product with the Hessian", false, func() { m.queueProduct(n) }, most.product},
		} {
			m.noise, m.toGradient = c.noise, true
			m.dry = true // makes tables
			c.queue()
			m.dry = false
			g, err := m.stream.Capture(c.name, func() error { c.queue(); return m.err })
			if err != nil {
				t.Fatal(err)
			}
			if g.Nodes() != c.atMost {
				t.Errorf("%s: %s has %d nodes, %d before", spec, c.name, g.Nodes(), c.atMost)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
