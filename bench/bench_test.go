package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sgflow/engine/cpu/kernel"
	"sgflow/engine/problem"
)

// BenchmarkStep times whole training steps of the presets.
func BenchmarkStep(b *testing.B) {
	set := mnist(b)
	for _, model := range []string{"mlp", "cnn"} {
		for _, batch := range []int{1, 16, 64, 256, 1024} {
			for _, threads := range []int{1, 2} {
				for _, what := range []string{"none", "noise", "all"} {
					b.Run(fmt.Sprintf("%s/batch=%d/threads=%d/measure=%s", model, batch, threads, what), func(b *testing.B) {
						benchmarkStep(b, func() (Trainer, error) {
							return NewTrainer(set, Case{Model: model, Batch: batch, Threads: threads, Measure: what})
						})
					})
				}
			}
		}
	}
}

func benchmarkStep(b *testing.B, open func() (Trainer, error)) {
	t, err := open()
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	step := func() {
		if _, err := t.Step(); err != nil {
			b.Fatal(err)
		}
	}
	step()
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
	b.ReportMetric(2e-9*float64(t.Work())*float64(b.N)/b.Elapsed().Seconds(), "GFLOP/s")
}

// BenchmarkProduct times float32 products: squares, and the three of each dense
// layer of the mlp preset at batch 64 (forward A·Bᵀ, weight gradient Aᵀ·B,
// input gradient A·B). of-peak is the share of what Peak finds with as many
// threads.
func BenchmarkProduct(b *testing.B) {
	type product struct {
		m, n, k        int
		transA, transB bool
	}
	products := []product{{m: 512, n: 512, k: 512}, {m: 1024, n: 1024, k: 1024}}
	for _, l := range [][2]int{{512, 784}, {256, 512}, {10, 256}} {
		out, in := l[0], l[1]
		products = append(products,
			product{m: 64, n: out, k: in, transB: true},
			product{m: out, n: in, k: 64, transA: true},
			product{m: 64, n: in, k: out})
	}
	for _, threads := range []int{1, 2} {
		peak, err := Peak(threads, problem.Float32)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range products {
			name := fmt.Sprintf("%dx%dx%d", p.m, p.n, p.k)
			switch {
			case p.transA:
				name += "/AT·B"
			case p.transB:
				name += "/A·BT"
			default:
				name += "/A·B"
			}
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				pool := kernel.NewPool(threads)
				defer pool.Close()
				path, err := kernel.FromEnv()
				if err != nil {
					b.Fatal(err)
				}
				k, err := kernel.New[float32](path, pool)
				if err != nil {
					b.Fatal(err)
				}
				g := kernel.Gemm[float32]{
					M: p.m, N: p.n, K: p.k, TransA: p.transA, TransB: p.transB,
					A: ones[float32](p.m * p.k), B: ones[float32](p.k * p.n), C: ones[float32](p.m * p.n),
				}
				k.Gemm(&g)
				for b.Loop() {
					k.Gemm(&g)
				}
				rate := 2e-9 * float64(p.m) * float64(p.n) * float64(p.k) * float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "GFLOP/s")
				b.ReportMetric(rate/peak, "of-peak")
			})
		}
	}
}

// BenchmarkHessianProduct times H·v of the presets at batch 64, at a point
// where another has been computed already, as all but the first of a step are.
// gradients is its time as a multiple of the gradient's.
func BenchmarkHessianProduct(b *testing.B) {
	set := mnist(b)
	for _, model := range []string{"mlp", "cnn"} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/threads=%d", model, threads), func(b *testing.B) {
				opened, err := NewTrainer(set, Case{Model: model, Batch: 64, Threads: threads, Measure: "all"})
				if err != nil {
					b.Fatal(err)
				}
				defer opened.Close()
				if _, err := opened.Step(); err != nil {
					b.Fatal(err)
				}
				s := opened.(*trainer[float32]).session
				v := slices.Clone(s.Grad())
				out := make([]float32, len(v))
				var gradient time.Duration
				for b.Loop() {
					b.StopTimer()
					start := time.Now()
					s.Gradient(64, false)
					gradient += time.Since(start)
					s.Product(out, v)
					b.StartTimer()
					s.Product(out, v)
				}
				b.ReportMetric(float64(b.Elapsed())/float64(gradient), "gradients")
			})
		}
	}
}
