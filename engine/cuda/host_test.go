//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"strings"
	"testing"

	"sgflow/bench"
	"sgflow/data"
)

// BenchmarkHost times the host's part in steps at batch 64: on an emulator whose kernels
// do nothing. What that itself does for a call is in it, in place of the driver's part.
func BenchmarkHost(b *testing.B) {
	if !strings.Contains(gpu(b).Name, "emulator") {
		b.Skip("on a GPU steps take as long as that does")
	}
	b.Setenv("SGFLOW_EMULATOR_EMPTY", "1")
	set, err := data.Open("mnist")
	if err != nil {
		b.Fatal(err)
	}
	for _, model := range []string{"mlp", "cnn"} {
		for _, what := range []string{"none", "noise", "all"} {
			b.Run(model+"/"+what, func(b *testing.B) {
				t, err := bench.NewTrainer(set, bench.Case{Model: model, Batch: 64, Measure: what, Device: "cuda"})
				if err != nil {
					b.Fatal(err)
				}
				defer t.Close()
				for b.Loop() {
					if _, err := t.Step(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/1e3/float64(b.N*t.Stride()), "µs/step")
			})
		}
	}
}
