//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"slices"
	"testing"

	"sgflow/engine"
	"sgflow/engine/op"
	"sgflow/models"
)

// What Gather has left to the next run is as if the inputs had been filled at once, whatever
// comes in between.
func TestGatherIsFilling(t *testing.T) {
	const capacity, samples = 6, 20
	a, b, c := []int32{3, 19, 0, 7, 11, 3}, []int32{5, 12, 1}, []int32{8, 2}
	for k, w := range append(slices.Clone(networks[:2]), network{"mlp:8-6-3", models.Shape{C: 8, H: 1, W: 1}, 3, op.CrossEntropy}) {
		p, d := w.program(t), bytesOf(w, samples)
		other := bytesOf(w, samples)
		for k := range other.Sets {
			slices.Reverse(other.Sets[k].Pixels)
		}
		for what, steps := range map[string][]func(s *engine.Session[float32], gather func(indices []int32)) int{
			"one batch, then another": {
				func(_ *engine.Session[float32], gather func([]int32)) int { gather(a); return len(a) },
				func(_ *engine.Session[float32], gather func([]int32)) int { gather(b); return len(b) },
				func(_ *engine.Session[float32], gather func([]int32)) int { gather(a); return len(a) },
			},
			"two batches before a run of both": {func(_ *engine.Session[float32], gather func([]int32)) int {
				gather(a)
				gather(b)
				gather(c)
				return len(a)
			}},
			"a run of a part": {func(_ *engine.Session[float32], gather func([]int32)) int { gather(a); return 4 }},
			"a wait between":  {func(s *engine.Session[float32], gather func([]int32)) int { gather(a); s.Wait(); return len(a) }},
			"the host between": {func(s *engine.Session[float32], gather func([]int32)) int {
				gather(a)
				s.Input(0)[1] = 0.5
				return len(a)
			}},
			"other data": {
				func(_ *engine.Session[float32], gather func([]int32)) int { gather(b); return len(b) },
				func(s *engine.Session[float32], gather func([]int32)) int {
					s.SetData(other)
					d = other
					gather(b)
					return len(b)
				},
			},
		} {
			d = bytesOf(w, samples)
			first := d
			got, want := session[float32](t, w, p, capacity, gpu(t)), session[float32](t, w, p, capacity, gpu(t))
			if !got.SetData(first) {
				t.Fatal("the data does not fit")
			}
			for i, step := range steps {
				var gradients [2][]float32
				var losses [2]float64
				for j, s := range []*engine.Session[float32]{got, want} {
					n := step(s, func(indices []int32) {
						if s == got {
							s.Gather(0, indices)
						} else {
							load(s, w, d, indices)
						}
					})
					s.Gradient(n, true)
					losses[j] = s.Loss()
					s.Wait()
					gradients[j] = slices.Clone(s.Grad())
				}
				if losses[0] != losses[1] || !slices.Equal(gradients[0], gradients[1]) {
					t.Errorf("network %d, %s, step %d: loss %v, %v where the inputs are filled", k, what, i, losses[0], losses[1])
				}
			}
		}
	}
}
