package kernel

import (
	"fmt"
	"testing"
	"time"
)

// The benchmarks report GFLOP/s, a multiply-add counting as two, on the path
// that the environment chooses.

func benchKernels[T Float](b *testing.B, threads int) *Kernels[T] {
	b.Helper()
	p, err := FromEnv()
	if err != nil {
		b.Fatal(err)
	}
	return newKernels[T](b, p, threads)
}

// measure times f and reports the rate of its macs multiply-adds, in the mean
// and in the fastest run: the latter is the kernel's own speed where other
// programs share the machine.
func measure(b *testing.B, macs int, f func()) {
	b.Helper()
	f()
	best := time.Hour
	for b.Loop() {
		t := time.Now()
		f()
		best = min(best, time.Since(t))
	}
	flops := 2 * float64(macs)
	if macs > 0 {
		b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		b.ReportMetric(flops/best.Seconds()/1e9, "best-GFLOP/s")
	}
	b.ReportMetric(float64(best.Nanoseconds())/1e3, "best-µs")
}

func benchGemm[T Float](b *testing.B, threads, m, n, k int, ta, tb, packed bool, act Activation) {
	b.Helper()
	kern := benchKernels[T](b, threads)
	r := newRand(1)
	g := &Gemm[T]{M: m, N: n, K: k, A: random[T](r, m*k), TransA: ta, B: random[T](r, k*n), TransB: tb,
		C: make([]T, m*n), Act: act}
	if act != Identity {
		g.Bias = random[T](r, n)
	}
	if packed {
		g.Packed = new(Packed[T])
		kern.PackB(g.Packed, k, n, g.B, 0, tb)
	}
	measure(b, m*n*k, func() { kern.Gemm(g) })
}

func BenchmarkSquare(b *testing.B) {
	for _, n := range []int{512, 1024} {
		for threads := 1; threads <= 2; threads++ {
			for _, t := range []string{"NN", "NT", "TN"} {
				b.Run(fmt.Sprintf("%d/%s/threads=%d", n, t, threads), func(b *testing.B) {
					benchGemm[float32](b, threads, n, n, n, t[0] == 'T', t[1] == 'T', false, Identity)
				})
			}
		}
		b.Run(fmt.Sprintf("%d/NN/float64", n), func(b *testing.B) {
			benchGemm[float64](b, 1, n, n, n, false, false, false, Identity)
		})
	}
}

// The products of a step of the MLP preset, 784-512-256-10.
func BenchmarkMLP(b *testing.B) {
	for _, batch := range []int{1, 16, 64, 256, 1024} {
		for _, c := range []struct {
			name    string
			m, n, k int
			ta, tb  bool
			packed  bool
			act     Activation
		}{
			{"forward1", batch, 512, 784, false, true, false, ReLU},
			{"forward1packed", batch, 512, 784, false, true, true, ReLU},
			{"forward2", batch, 256, 512, false, true, false, ReLU},
			{"forward3", batch, 10, 256, false, true, false, Identity},
			{"weight1", 512, 784, batch, true, false, false, Identity},
			{"weight2", 256, 512, batch, true, false, false, Identity},
			{"weight3", 10, 256, batch, true, false, false, Identity},
			{"input2", batch, 512, 256, false, false, false, Identity},
			{"input3", batch, 256, 10, false, false, false, Identity},
		} {
			for threads := 1; threads <= 2; threads++ {
				b.Run(fmt.Sprintf("%s/batch=%d/threads=%d", c.name, batch, threads), func(b *testing.B) {
					benchGemm[float32](b, threads, c.m, c.n, c.k, c.ta, c.tb, c.packed, c.act)
				})
			}
		}
	}
}

// The convolutions of the CNN preset.
func BenchmarkCNN(b *testing.B) {
	for _, batch := range []int{1, 64} {
		for i, g := range []ConvGeom{
			{Batch: batch, InC: 1, InH: 28, InW: 28, OutC: 16, KH: 5, KW: 5, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1},
			{Batch: batch, InC: 16, InH: 12, InW: 12, OutC: 32, KH: 5, KW: 5, StrideH: 1, StrideW: 1, DilH: 1, DilW: 1},
		} {
			c, err := NewConv[float32](g)
			if err != nil {
				b.Fatal(err)
			}
			r := newRand(2)
			x, w, y := random[float32](r, batch*c.InC*c.inPlane), random[float32](r, c.OutC*c.depth), random[float32](r, batch*c.OutC*c.outPlane)
			bias, norms := random[float32](r, c.OutC), make([]float64, batch)
			dx, dw := make([]float32, len(x)), make([]float32, len(w))
			macs := batch * c.OutC * c.outPlane * c.depth
			for name, record := range map[string]func(*Stream[float32]){
				"forward":     func(s *Stream[float32]) { s.ConvForward(c, y, x, w, bias, ReLU, Identity, nil, false) },
				"input":       func(s *Stream[float32]) { s.ConvInput(c, dx, y, w, nil, Identity, Identity, nil, false) },
				"weight":      func(s *Stream[float32]) { s.ConvWeight(c, dw, x, y, false, nil, nil) },
				"weightnorms": func(s *Stream[float32]) { s.ConvWeight(c, dw, x, y, false, norms, nil) },
			} {
				for threads := 1; threads <= 2; threads++ {
					b.Run(fmt.Sprintf("conv%d/%s/batch=%d/threads=%d", i+1, name, batch, threads), func(b *testing.B) {
						k := benchKernels[float32](b, threads)
						measure(b, macs, func() { run(k, batch, record) })
					})
				}
			}
		}
	}
}

// streamed runs a stream of one operation.
func streamed(n int, record func(*Stream[float32])) func(*Kernels[float32]) {
	return func(k *Kernels[float32]) { run(k, n, record) }
}

// What else a step does, at batch 64; in time, as few of them are arithmetic.
func BenchmarkRest(b *testing.B) {
	r := newRand(3)
	const n = 64
	big, grad, velocity := random[float32](r, 535818), random[float32](r, 535818), random[float32](r, 535818)
	second := make([]float32, len(big))
	conv1, pooled, at := random[float32](r, n*16*576), random[float32](r, n*16*144), make([]int32, n*16*144)
	g := PoolGeom{Channels: 16, InH: 24, InW: 24, KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	logits, probabilities := random[float32](r, n*10), make([]float64, 10)
	bias, norms := make([]float32, 512), make([]float64, n)
	for _, c := range []struct {
		name string
		run  func(*Kernels[float32])
	}{
		{"sgd", func(k *Kernels[float32]) { k.SGD(SGD{LR: 1e-9}, big, grad, nil) }},
		{"sgdmomentum", func(k *Kernels[float32]) { k.SGD(SGD{LR: 1e-9, Momentum: 0.9}, big, grad, velocity) }},
		{"adam", func(k *Kernels[float32]) {
			k.Adam(Adam{Shrink: 1, Beta1: 0.9, Beta2: 0.999, Scale: 1, Epsilon: 1e-8, Rate: 1e-9}, big, grad, velocity, second)
		}},
		{"normsq", func(k *Kernels[float32]) { k.NormSq(big) }},
		{"dot", func(k *Kernels[float32]) { k.Dot(big, grad) }},
		{"exchange", func(k *Kernels[float32]) { k.Exchange(second, grad) }},
		{"exchange32768", func(k *Kernels[float32]) { k.Exchange(second[:1<<15], grad[:1<<15]) }},
		{"rownorms", streamed(n, func(s *Stream[float32]) { s.RowNormSq(norms, big, 784) })},
		{"colsum", func(k *Kernels[float32]) { k.ColSum(bias, big, n, 512, 0, false) }},
		{"channelsum", streamed(n, func(s *Stream[float32]) { s.ChannelSum(bias, conv1, 16, 576, false, norms) })},
		{"maxpool", streamed(n, func(s *Stream[float32]) { s.MaxPool(g, pooled, at, conv1) })},
		{"maxpoolscatter", streamed(n, func(s *Stream[float32]) { s.MaxPoolScatter(g, conv1, pooled, at, Identity, nil, false) })},
		{"maxpoolgather", streamed(n, func(s *Stream[float32]) { s.MaxPoolGather(g, pooled, conv1, at, false) })},
		{"relugrad", func(k *Kernels[float32]) { k.ActGrad(ReLU, conv1, conv1, conv1) }},
		{"tanh64x512", func(k *Kernels[float32]) { k.Activate(Tanh, grad[:n*512], big[:n*512]) }},
		{"gelu64x512", func(k *Kernels[float32]) { k.Activate(GELU, grad[:n*512], big[:n*512]) }},
		{"softmax", func(k *Kernels[float32]) {
			for i := range n {
				k.SoftmaxRow(probabilities, logits[i*10:][:10], 0)
			}
		}},
	} {
		for threads := 1; threads <= 2; threads++ {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				k := benchKernels[float32](b, threads)
				measure(b, 0, func() { c.run(k) })
			})
		}
	}
}
