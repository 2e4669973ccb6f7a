//go:build gpu && cgo && linux && amd64

package cuda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"sgflow/engine/rng"
	"sgflow/engine/steps"
)

// The benchmarks speak of a GPU; on the emulator they say nothing.

var (
	benchSpecs   = []string{"mlp", "cnn"}
	benchBatches = []int{64, 256, 1024, 4096}
	benchStream  = rng.New(rng.Probes, 1, 1)
)

// benchMachine is a machine with random parameters and data of MNIST's size.
func benchMachine(b *testing.B, spec string, batch int) *Machine {
	b.Helper()
	if emulated(b) {
		b.Skip("the emulator's times say nothing of a GPU's")
	}
	m := newMachine(b, preset(b, spec), batch, 0)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range m.Theta() {
		m.Theta()[i] = float32(r.NormFloat64() * 0.03)
	}
	const samples = 60_000
	pixels, labels, values := make([]uint8, samples*784), make([]int32, samples), make([]float32, 256)
	for i := range pixels {
		pixels[i] = uint8(r.Uint32())
	}
	for i := range labels {
		labels[i] = int32(r.IntN(10))
	}
	for i := range values {
		values[i] = float32(i) / 255
	}
	if !m.SetData([][]uint8{pixels}, [][]int32{labels}, values, 10) {
		b.Fatal("MNIST does not fit")
	}
	m.Start(&steps.Request[float32]{Batch: batch, Indices: make([]int32, batch), Rates: []float64{0}}) // fills the inputs
	m.Finish(&steps.Results{})
	return m
}

// eachBench runs f for every preset and batch size.
func eachBench(b *testing.B, f func(b *testing.B, m *Machine, batch int)) {
	for _, spec := range benchSpecs {
		for _, batch := range benchBatches {
			b.Run(fmt.Sprintf("%s/batch=%d", spec, batch), func(b *testing.B) { f(b, benchMachine(b, spec, batch), batch) })
		}
	}
}

// BenchmarkStep times training steps that stay on the device, plain and with noise.
func BenchmarkStep(b *testing.B) {
	eachBench(b, func(b *testing.B, m *Machine, batch int) {
		indices, rates := make([]int32, batch*steps.Most), make([]float64, steps.Most)
		r := rand.New(rand.NewPCG(2, 2))
		for i := range indices {
			indices[i] = int32(r.IntN(60_000))
		}
		var results steps.Results
		last := m.NewVector(m.program.NumParams)
		for _, noise := range []bool{false, true} {
			b.Run(map[bool]string{false: "plain", true: "noise"}[noise], func(b *testing.B) {
				if noise && !m.NoisySteps(batch) {
					b.Fatal("steps with noise do not stay on the device")
				}
				start := func(n int) {
					c := steps.Request[float32]{Batch: batch, Indices: indices[:n*batch], Rates: rates[:n], Noise: noise}
					if noise {
						c.Last = last
					}
					m.Start(&c)
				}
				finish := func() { m.Finish(&results) }
				start(steps.Most)
				finish()
				b.ResetTimer()
				started := 0
				for left := b.N; left > 0; left -= steps.Most {
					if started == slots {
						finish()
						started--
					}
					start(min(left, steps.Most))
					started++
				}
				for ; started > 0; started-- {
					finish()
				}
			})
		}
	})
}

// BenchmarkIdle finds the share of training at batch 64 in which the device waits for
// the host: what steps take that were all queued before the first of them runs, beside
// what they take when the host queues them as in training.
func BenchmarkIdle(b *testing.B) {
	const batch = 64
	const queued = 32 // steps behind the hold: a stream takes so many launches (about a thousand) and then makes the host wait
	for _, spec := range []string{"mlp", "cnn"} {
		b.Run(spec, func(b *testing.B) {
			m := benchMachine(b, spec, batch)
			indices, rates := make([]int32, batch*steps.Most), make([]float64, steps.Most)
			var results steps.Results
			start := func(n int) {
				m.Start(&steps.Request[float32]{Batch: batch, Indices: indices[:n*batch], Rates: rates[:n]})
			}
			finish := func() { m.Finish(&results) }
			flag, err := pinned[uint32](m, "flag", 1)
			if err != nil {
				b.Fatal(err)
			}
			begin, err := m.ctx.NewEvent()
			if err != nil {
				b.Fatal(err)
			}
			defer begin.Close()
			alone := func() time.Duration {
				m.Wait()
				flag[0] = 0
				m.check(m.stream.Hold("a run of steps", hostAddress(flag)))
				m.check(m.stream.Record(begin))
				slot := m.training.next
				start(queued)
				flag[0] = 1
				finish()
				took, err := m.training.events[slot].Since(begin)
				m.check(err)
				return took / queued
			}
			start(steps.Most)
			finish()
			var held []time.Duration
			for range 20 {
				held = append(held, alone())
			}
			slices.Sort(held)
			start(steps.Most)
			b.ResetTimer()
			for range b.N {
				start(steps.Most)
				finish()
			}
			step := b.Elapsed() / time.Duration(b.N*steps.Most)
			finish()
			if err := m.Err(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(held[10].Nanoseconds())/1e3, "device-µs/step")
			b.ReportMetric(float64(step.Nanoseconds())/1e3, "µs/step")
			b.ReportMetric(100*max(0, 1-float64(held[10])/float64(step)), "%-idle")
		})
	}
}

// BenchmarkGradient times a gradient with the samples' norms, waited for.
func BenchmarkGradient(b *testing.B) {
	eachBench(b, func(b *testing.B, m *Machine, batch int) {
		gradient := func() {
			m.Gradient(batch, true)
			m.Wait()
		}
		gradient() // captures it
		for b.Loop() {
			gradient()
		}
	})
}

// BenchmarkProduct times a Hessian-vector product, waited for.
func BenchmarkProduct(b *testing.B) {
	eachBench(b, func(b *testing.B, m *Machine, batch int) {
		v, out := m.NewVector(m.program.NumParams), m.NewVector(m.program.NumParams)
		m.Signs(v, benchStream)
		m.Gradient(batch, false)
		product := func() {
			m.Product(out, v)
			m.Wait()
		}
		for range boundAfter {
			product() // until it is bound to the vectors and captured
		}
		for b.Loop() {
			product()
		}
	})
}

// BenchmarkMatMul times single products by shape, in every tile, whole and split.
func BenchmarkMatMul(b *testing.B) {
	m := benchMachine(b, "mlp", 64)
	for _, s := range []struct {
		rows, cols, k  int
		transA, transB bool
	}{
		{64, 512, 784, false, true}, {64, 256, 512, false, true}, {64, 512, 256, false, false}, {512, 784, 64, true, false},
		{1024, 512, 784, false, true}, {512, 784, 1024, true, false},
		{4096, 512, 784, false, true}, {4096, 512, 256, false, false}, {512, 784, 4096, true, false}, {256, 512, 4096, true, false},
		{4096, 4096, 4096, false, true},
	} {
		x, y, out := m.NewVector(s.rows*s.k), m.NewVector(s.k*s.cols), m.NewVector(s.rows*s.cols)
		m.Signs(x, benchStream)
		m.Signs(y, benchStream)
		p := product{m: m, what: "benchmark", transA: s.transA, transB: s.transB}
		for _, t := range append(slices.Clone(tiles[p.orientation()]), tensorTile) {
			n := blocks(s.rows, t.rows) * blocks(s.cols, t.cols)
			for _, splits := range []int{1, 4, 16} {
				name := fmt.Sprintf("%d×%d×%d,%t,%t/%d×%d,cost=%v,splits=%d", s.rows, s.cols, s.k, s.transA, s.transB, t.rows, t.cols, t.cost, splits)
				if splits > 1 && (n > 2*m.multiprocessors || n*splits*t.rows*t.cols*real > partialBytes(m.multiprocessors) || s.k/splits < leastTerms) {
					continue
				}
				b.Run(name, func(b *testing.B) {
					const times = 20 // so that waiting does not count
					products := func() {
						for range times {
							p.runTiled(t, splits, address(out), terms{address(x), address(y), s.k}, terms{}, s.rows, s.cols)
						}
						m.Wait()
					}
					products() // when the vectors' pages have come to the device
					for b.Loop() {
						products()
					}
					seconds := b.Elapsed().Seconds() / float64(b.N) / times
					b.ReportMetric(2*float64(s.rows)*float64(s.cols)*float64(s.k)/seconds/1e12, "TFLOP/s")
					b.ReportMetric(seconds*1e6, "µs/product")
				})
			}
		}
	}
}
