//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"math"
	"testing"

	"sgflow/engine/problem"
	"sgflow/engine/train"
)

// Optimizers other than SGD, and ways of training in which the host has a part in each
// step, are on a device what they are on the processor.
func TestOptimizersAgreeWithTheProcessor(t *testing.T) {
	for name, change := range map[string]func(*train.Config){
		"sam, SWA":  func(c *train.Config) { c.Optimizer, c.SWA = "sam", "1:1" },
		"asam, EMA": func(c *train.Config) { c.Optimizer, c.EMA = "asam", 0.5 },
		"adam":      func(c *train.Config) { c.Optimizer, c.Momentum, c.LR = "adam", 0, 1e-3 },
		"adamw, EMA": func(c *train.Config) {
			c.Optimizer, c.Momentum, c.LR, c.WeightDecay, c.EMA = "adamw", 0, 1e-3, 0.1, 0.5
		},
		"sgld":            func(c *train.Config) { c.Optimizer, c.Momentum, c.SGLDTemperature = "sgld", 0, 1e-3 },
		"sigma":           func(c *train.Config) { c.Noise = "sigma:4" },
		"diagonal":        func(c *train.Config) { c.Noise = "diagonal:4" },
		"isotropic":       func(c *train.Config) { c.Noise = "isotropic:4" },
		"growing batches": func(c *train.Config) { c.BatchSchedule = "step:1:2" },
	} {
		var logs [2][]map[string]float64
		var ends [2][4]float64
		for k, device := range []string{"cuda", "cpu"} {
			c := config(t, device)
			c.Steps, c.Batch, c.Measure = 3, 8, "noise"
			if device == "cpu" {
				c.DType = problem.Float64
			}
			change(&c)
			s := mustTrain(t, c)
			logs[k] = steps(t, c.Out)
			ends[k][0], _ = s.TestLoss.Get()
			ends[k][1], _ = s.EMATestLoss.Get()
			ends[k][2], _ = s.SWATestLoss.Get()
		}
		for k, want := range logs[1] {
			for q, x := range want {
				// The second term is for numbers that are differences of larger ones.
				if y, ok := logs[0][k][q]; !ok || math.Abs(x-y) > 1e-3*math.Abs(x)+1e-6 {
					t.Errorf("%s, step %d: %s is %v, want %v", name, k, q, y, x)
				}
			}
		}
		for k, x := range ends[1] {
			if math.Abs(x-ends[0][k]) > 1e-4*x {
				t.Errorf("%s: test losses %v, want %v", name, ends[0], ends[1])
			}
		}
	}
}
