package cpu_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"gorgonia.org/gorgonia"

	"sgflow/engine"
	"sgflow/engine/cpu"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/models"
)

// preset returns a machine for a preset model on MNIST shapes, with initial
// weights, random pixels and one-hot targets.
func preset(tb testing.TB, name string, batch, threads int) *cpu.Machine[float32] {
	tb.Helper()
	input, classes := models.Shape{C: 1, H: 28, W: 28}, 10
	spec, err := models.Parse(name)
	if err != nil {
		tb.Fatal(err)
	}
	net, err := spec.Build(models.BuildOptions{Input: input, Classes: classes, Batch: 61})
	if err != nil {
		tb.Fatal(err)
	}
	var params gorgonia.Nodes
	for _, p := range net.Params {
		params = append(params, p.Node)
	}
	p, err := engine.Compile(net.Loss, params, engine.Inputs(net.X, net.Y))
	if err != nil {
		tb.Fatal(err)
	}
	m, err := cpu.New[float32](p, cpu.Options{Capacity: batch, Threads: threads})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(m.Close)
	weights, err := spec.Init(1, input, classes, op.CrossEntropy)
	if err != nil {
		tb.Fatal(err)
	}
	theta := m.Theta()
	for _, w := range weights {
		for i, v := range w.Data {
			theta[i] = float32(v)
		}
		theta = theta[len(w.Data):]
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	x, y := m.Input(0), m.Input(1)
	for i := range x {
		x[i] = max(0, rnd.Float32()*2-1)
	}
	for i := range batch {
		y[i*classes+rnd.IntN(classes)] = 1
	}
	return m
}

// BenchmarkStep measures one training step: gradient and update alone, with
// noise, and with noise and three Hessian-vector products.
func BenchmarkStep(b *testing.B) {
	for _, model := range []string{"mlp", "cnn"} {
		for _, batch := range []int{1, 64, 512} {
			for threads := 1; threads <= runtime.GOMAXPROCS(0); threads *= 2 {
				for _, measure := range []string{"none", "noise", "all"} {
					b.Run(fmt.Sprintf("%s/batch=%d/threads=%d/measure=%s", model, batch, threads, measure), func(b *testing.B) {
						m := preset(b, model, batch, threads)
						hv := make([]float32, len(m.Theta()))
						for b.Loop() {
							m.Gradient(batch, measure != "none")
							if measure == "all" {
								for range 3 {
									m.Product(hv, m.Grad())
								}
							}
							m.Step(nil, optim.Update{LR: 1e-4})
						}
					})
				}
			}
		}
	}
}
