package bench

import (
	"sync"
	"testing"

	"sgflow/data"
	"sgflow/engine/program"
)

// embedded is read once for all tests; nothing changes it.
var embedded = sync.OnceValues(func() (*data.Set, error) { return data.Open("mnist") })

// mnist is the embedded data set.
func mnist(t testing.TB) *data.Set {
	t.Helper()
	set, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func compiled(t *testing.T, model string) *program.Program {
	t.Helper()
	_, p, err := Case{Model: model, Batch: 1}.open(mnist(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(true); err != nil {
		t.Fatal(err)
	}
	return p.Program
}

// A layer's product is computed three times in a step: forward, for its weight's
// gradient and for its input's, but not for the gradient of the pixels.
func TestWorkIsThatCountedByHand(t *testing.T) {
	const (
		fc1, fc2, fc3 = 784 * 512, 512 * 256, 256 * 10
		conv1, conv2  = 24 * 24 * 16 * 25, 8 * 8 * 32 * 16 * 25
		fc            = 512 * 10
	)
	for _, c := range []struct {
		model             string
		forward, gradient int
	}{
		{"mlp", fc1 + fc2 + fc3, fc1 + 2*fc2 + 2*fc3},
		{"cnn", conv1 + conv2 + fc, conv1 + 2*conv2 + 2*fc},
	} {
		p := compiled(t, c.model)
		for _, n := range []int{1, 7} {
			if got := Work(p, program.Forward, n); got != n*c.forward {
				t.Errorf("%s, batch %d, forward: %d multiply-adds, want %d", c.model, n, got, n*c.forward)
			}
			if got := Work(p, program.Gradient, n); got != n*c.gradient {
				t.Errorf("%s, batch %d, gradient: %d multiply-adds, want %d", c.model, n, got, n*c.gradient)
			}
			if got := stepWork(p, n, 0); got != n*(c.forward+c.gradient) {
				t.Errorf("%s, batch %d, step: %d multiply-adds, want %d", c.model, n, got, n*(c.forward+c.gradient))
			}
		}
	}
}

// A Hessian-vector product differentiates both passes once more, so it takes
// at most twice their work and at least as much as a forward pass.
func TestWorkOfAProductIsBetweenOnePassAndTwiceBoth(t *testing.T) {
	for _, model := range []string{"mlp", "cnn"} {
		p := compiled(t, model)
		plain := stepWork(p, 1, 0)
		product := stepWork(p, 1, 2) - stepWork(p, 1, 1)
		if forward := Work(p, program.Forward, 1); product < forward || product > 2*plain {
			t.Errorf("%s: a product takes %d multiply-adds, forward %d, step %d", model, product, forward, plain)
		}
	}
}
