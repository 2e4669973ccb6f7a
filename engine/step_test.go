package engine_test

import (
	"fmt"
	"testing"

	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/models"
)

// BenchmarkStep times what a training step is made of, on both presets: the
// gradient alone, with per-sample norms, one Hessian-vector product more, and
// the update.
func BenchmarkStep(b *testing.B) {
	for _, spec := range []string{"mlp", "cnn"} {
		for _, batch := range []int{1, 64, 256} {
			p := newProblem(b, spec, models.Shape{C: 1, H: 28, W: 28}, 10, op.CrossEntropy, batch)
			for _, threads := range []int{1, 2} {
				s := session[float32](b, p, batch, threads)
				v, hv := convertNew[float32](p.v), make([]float32, len(p.v))
				s.Gradient(batch, false)
				for _, c := range []struct {
					name string
					run  func()
				}{
					{"gradient", func() { s.Gradient(batch, false) }},
					{"noise", func() { s.Gradient(batch, true) }},
					{"product", func() { s.Product(hv, v) }},
					{"update", func() { s.Update(nil, optim.Update{LR: 1e-9}) }},
				} {
					b.Run(fmt.Sprintf("%s/batch=%d/threads=%d/%s", spec, batch, threads, c.name), func(b *testing.B) {
						for b.Loop() {
							c.run()
						}
					})
				}
				s.Close()
			}
		}
	}
}
