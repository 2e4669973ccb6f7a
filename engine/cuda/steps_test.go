//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sgflow/engine"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/optim"
	"sgflow/engine/rng"
)

// bytesOf is a data set of random bytes that fits the network.
func bytesOf(w network, samples int) engine.Data[float32] {
	stream := rng.New(rng.Labels, 1, 2)
	var all engine.Samples
	for range samples * w.input.Size() {
		all.Pixels = append(all.Pixels, uint8(stream.Uint32n(256)))
	}
	for range samples {
		all.Labels = append(all.Labels, int32(stream.Uint32n(uint32(w.classes))))
	}
	first := samples / 2
	pixels := first * w.input.Size()
	d := engine.Data[float32]{Classes: w.classes, Sets: []engine.Samples{
		{Pixels: all.Pixels[:pixels], Labels: all.Labels[:first]}, {Pixels: all.Pixels[pixels:], Labels: all.Labels[first:]},
	}}
	for c := range w.input.C {
		for v := range 256 {
			d.Values = append(d.Values, float32(v)/255-0.1*float32(c))
		}
	}
	return d
}

// load fills the inputs with samples of the data.
func load(s *engine.Session[float32], w network, d engine.Data[float32], indices []int32) {
	size := w.input.Size()
	plane := size / w.input.C
	clear(s.Input(1)[:len(indices)*w.classes])
	for r, i := range indices {
		set := d.Sets[0]
		if first := int32(len(set.Labels)); i >= first {
			set, i = d.Sets[1], i-first
		}
		for k := range size {
			s.Input(0)[r*size+k] = d.Values[k/plane*256+int(set.Pixels[int(i)*size+k])]
		}
		s.Input(1)[r*w.classes+int(set.Labels[i])] = 1
	}
}

func TestStepsOnTheDeviceAreThoseTakenOneByOne(t *testing.T) {
	const samples = 40
	for k, w := range []network{networks[0], networks[3], networks[0], networks[3]} {
		noise := k >= 2
		for _, c := range []optim.Config{{}, {Momentum: 0.9, Nesterov: true, WeightDecay: 0.01}, {Name: optim.SGDW, WeightDecay: 0.1}, {Name: optim.AdamW, Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-8, WeightDecay: 0.1}} {
			p, d := w.program(t), bytesOf(w, samples)
			a, b := session[float32](t, w, p, 7, gpu(t)), session[float32](t, w, p, 7, gpu(t))
			size := len(a.Params())
			var va, vb, firstA, secondA, firstB, secondB []float32
			switch {
			case c.IsAdam():
				firstA, secondA, firstB, secondB = a.NewVector(size), a.NewVector(size), b.NewVector(size), b.NewVector(size)
			case c.Momentum > 0:
				va, vb = a.NewVector(size), b.NewVector(size)
			}
			if !a.SetData(d) || !a.NoisySteps(7) {
				t.Fatal("the data does not fit")
			}
			var last, wantLast []float32
			if noise && c.Momentum == 0 {
				last, wantLast = a.NewVector(len(a.Params())), b.NewVector(len(b.Params()))
			}
			var results engine.Results
			var wantDots, dots, wantSqs, sqs, wantNorms, norms []float64
			var wantLoss, loss []float64
			var wantCorrect, correct []int
			stream, taken := rng.New(rng.Batches, 3, 3), 0
			finish := func() {
				a.Finish(&results)
				loss, correct = append(loss, results.Losses[:results.Steps]...), append(correct, results.Correct[:results.Steps]...)
				if noise {
					n := results.Steps * len(p.Params)
					dots, sqs, norms = append(dots, results.Dots[:n]...), append(sqs, results.NormSqs[:n]...), append(norms, results.SampleNorms[:n*results.Batch]...)
				}
			}
			for k, run := range []struct{ batch, steps int }{{7, 3}, {7, 5}, {2, 1}, {7, 2}, {5, 4}} {
				if k >= 2 {
					finish()
				}
				o := engine.Steps[float32]{Batch: run.batch, Noise: noise, Last: last, Optimizer: optim.Optimizer[float32]{
					Update: c.Update(0), Velocity: va, Adam: c.AdamUpdate(0, taken), First: firstA, Second: secondA,
				}}
				for i := range run.steps {
					batch := make([]int32, run.batch)
					for j := range batch {
						batch[j] = int32(stream.Uint32n(samples))
					}
					rate := 0.1 / float64(i+k+1)
					o.Indices, o.Rates = append(o.Indices, batch...), append(o.Rates, rate)
					load(b, w, d, batch)
					b.Gradient(run.batch, noise)
					wantLoss, wantCorrect = append(wantLoss, b.Loss()), append(wantCorrect, b.Correct())
					if noise {
						dot, sq := make([]float64, len(p.Params)), make([]float64, len(p.Params))
						b.ExchangeParts(dot, sq, wantLast, b.Grad())
						b.Wait()
						wantDots, wantSqs = append(wantDots, dot...), append(wantSqs, sq...)
						for q := range p.Params {
							wantNorms = append(wantNorms, b.SampleNorms(q)...)
						}
					}
					if c.IsAdam() {
						b.Adam(firstB, secondB, c.AdamUpdate(rate, taken))
					} else {
						b.Update(vb, c.Update(rate))
					}
					taken++
				}
				a.Start(o)
			}
			finish()
			finish()
			if !slices.Equal(loss, wantLoss) || !slices.Equal(correct, wantCorrect) {
				t.Errorf("%s, %+v: losses %v, correct %v; one by one %v, %v", w.spec, c, loss, correct, wantLoss, wantCorrect)
			}
			if !slices.Equal(norms, wantNorms) {
				t.Errorf("%s, %+v: norms %v; one by one %v", w.spec, c, norms, wantNorms)
			}
			// Sums of the same terms in float64, in another order: with at most 10⁴ terms off by
			// less than 10⁴·2⁻⁵³ of the sum of their magnitudes.
			for k, want := range wantSqs {
				before := wantSqs[max(0, k-len(p.Params))]
				if math.Abs(sqs[k]-want) > 1e-12*want || math.Abs(dots[k]-wantDots[k]) > 1e-12*math.Sqrt(want*before) {
					t.Errorf("%s, %+v, sum %d: product %v, square %v; one by one %v, %v", w.spec, c, k, dots[k], sqs[k], wantDots[k], want)
				}
			}
			a.Wait()
			b.Wait()
			if !slices.Equal(a.Params(), b.Params()) || !slices.Equal(va, vb) || !slices.Equal(firstA, firstB) || !slices.Equal(secondA, secondB) {
				t.Errorf("%s, %+v: other parameters than one by one", w.spec, c)
			}
		}
	}
}

// What Starts leave lies apart, whatever their batches, although a later one's
// steps may all be over before the earlier one's results are read.
func TestResultsOfAStartOutliveTheNextOnes(t *testing.T) {
	t.Setenv("SGFLOW_EMULATOR_EAGER", "1")
	const samples, most = 40, 7
	w := networks[0]
	d, runs := bytesOf(w, samples), []struct{ batch, steps int }{{2, 128}, {most, 128}, {3, 30}, {2, 40}}
	var want []engine.Results
	for _, ahead := range []bool{false, true} {
		s := session[float32](t, w, w.program(t), most, gpu(t))
		if !s.SetData(d) {
			t.Fatal("the data does not fit")
		}
		stream := rng.New(rng.Batches, 3, 3)
		start := func(batch, steps int) {
			o := engine.Steps[float32]{Batch: batch, Noise: true, Rates: make([]float64, steps)}
			for range batch * steps {
				o.Indices = append(o.Indices, int32(stream.Uint32n(samples)))
			}
			s.Start(o)
		}
		finish := func(k int) {
			var got engine.Results
			if s.Finish(&got); !reflect.DeepEqual(got, want[k]) {
				t.Errorf("run %d: results differ from those of runs that were waited for one by one", k)
			}
		}
		for k, run := range runs {
			start(run.batch, run.steps)
			switch {
			case !ahead:
				want = append(want, engine.Results{})
				s.Finish(&want[k])
			case k > 0:
				finish(k - 1)
			}
		}
		if ahead {
			finish(len(runs) - 1)
		}
	}
}

func TestDataThatDoesNotFitIsRefused(t *testing.T) {
	w := networks[0]
	s := session[float32](t, w, w.program(t), 3, gpu(t))
	d := bytesOf(w, 5)
	d.Classes--
	if s.SetData(d) {
		t.Error("data of fewer classes than the targets have is accepted")
	}
	d = bytesOf(w, 5)
	d.Sets[1].Pixels = d.Sets[1].Pixels[:len(d.Sets[1].Pixels)-5]
	if s.SetData(d) {
		t.Error("samples of another size than the input's are accepted")
	}
}

// A device that fails while steps are queued is an error that the last Finish leaves, whatever
// is asked for before.
func TestAFailingDeviceIsAnErrorOfSteps(t *testing.T) {
	if !strings.Contains(gpu(t).Name, "emulator") {
		t.Skip("only the emulator has as much memory as it is told")
	}
	const batch = 200 // whose results are no small array
	w := networks[0]
	p, d := w.program(t), bytesOf(w, 400)
	for _, recorded := range []bool{false, true} {
		s, err := engine.NewSession[float32](p, engine.Config{Batch: batch, CUDA: gpu(t)})
		if err != nil {
			t.Fatal(err)
		}
		if !s.SetData(d) || !s.NoisySteps(batch) {
			t.Fatal("the data does not fit")
		}
		t.Setenv("SGFLOW_EMULATOR_MEMORY_MIB", "0") // from now on
		c := engine.Steps[float32]{Batch: batch, Indices: make([]int32, 2*batch), Rates: make([]float64, 2), Noise: true}
		if recorded {
			c.Recording = s.Record(func() {
				x := s.NewVector(len(s.Params()))
				s.Product(x, s.Grad())
			})
		}
		var results engine.Results
		s.Start(c)
		s.Start(c)
		for range 2 {
			if s.Finish(&results); s.Err() == nil || !math.IsNaN(results.Losses[1]) || !math.IsNaN(results.SampleNorms[0]) {
				t.Errorf("recorded %v: error %v, losses %v, norms %v", recorded, s.Err(), results.Losses[:2], results.SampleNorms[:2])
			}
		}
		if err := s.Err(); err == nil || !driver.OutOfMemory(err) {
			t.Errorf("recorded %v: error %v", recorded, err)
		}
		s.Close()
		t.Setenv("SGFLOW_EMULATOR_MEMORY_MIB", "4096")
	}
}
