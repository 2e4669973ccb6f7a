//go:build gpu && cgo && linux && amd64

package cuda

import (
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/engine/lower"
	"sgflow/engine/op"
	"sgflow/engine/optim"
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
// launches, copies and fills. The test is to be changed only downwards.
func TestLaunchesOfAStep(t *testing.T) {
	for spec, most := range map[string]struct{ step, gradient, noise, product int }{
		"mlp": {step: 13, gradient: 11, noise: 12, product: 18},
		"cnn": {step: 18, gradient: 16, noise: 17, product: 24},
	} {
		m := newMachine(t, preset(t, spec), 64, 132) // as an H100
		pixels := make([]uint8, 64*784)
		if !m.SetData(pixels, make([]int32, 64), make([]float32, 256), 10) {
			t.Fatal("MNIST does not fit")
		}
		m.Gradient(64, false)
		m.Gradient(64, true)
		m.Product(make([]float32, m.program.NumParams), make([]float32, m.program.NumParams))
		m.Start(64, make([]int32, 64), []float64{0.1}, nil, optim.Update{})
		m.Finish(make([]float64, 1), make([]int, 1))
		for key, g := range m.graphs {
			limit := map[string]int{"gradient": most.gradient, "product": most.product}[key.what]
			if key.noise {
				limit = most.noise
			}
			if strings.HasPrefix(key.what, "step") {
				limit = most.step
			}
			if limit == 0 {
				continue
			}
			t.Logf("%s: %s, noise %t: %d nodes", spec, key.what, key.noise, g.Nodes())
			if g.Nodes() > limit {
				t.Errorf("%s: %s, noise %t: %d nodes, at most %d before", spec, key.what, key.noise, g.Nodes(), limit)
			}
		}
	}
}
