package landscape

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/rng"
	"sgflow/engine/trajectory"
)

// smallData writes an IDX folder: 120 and 40 samples of 3×3 pixels in 3 classes.
func smallData(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	stream := rng.New(rng.Labels, 1, 0)
	write := func(name string, dims []int, body []byte) {
		head := []byte{0, 0, 8, byte(len(dims))}
		for _, d := range dims {
			head = binary.BigEndian.AppendUint32(head, uint32(d))
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(head, body...), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for i, prefix := range []string{"train", "t10k"} {
		n := []int{120, 40}[i]
		var pixels, labels []byte
		for k := range n {
			labels = append(labels, byte(k%3))
			for at := range 9 {
				bright := 0
				if at%3 == k%3 {
					bright = 100
				}
				pixels = append(pixels, byte(bright+int(stream.Uint32n(150))))
			}
		}
		write(prefix+"-images-idx3-ubyte", []int{n, 3, 3}, pixels)
		write(prefix+"-labels-idx1-ubyte", []int{n}, labels)
	}
	return dir
}

// small is a landscape of the small data in float64.
func small(t testing.TB) Config {
	c := Default()
	c.Data, c.Model, c.Limit, c.DType = smallData(t), "mlp:9-5-3,act=tanh", 0, problem.Float64
	c.Grid, c.Steps, c.Points, c.Frames = 5, 40, 20, 0
	c.Batch, c.LR, c.Seed = 4, 0.3, 3
	return c
}

// quiet is a Progress that says nothing.
func quiet(string, int, int) {}

// nothing is a progress of one stage.
func nothing(int, int) {}

// opened returns the compiled problem of c with a session at its weights.
func opened[T engine.Float](t testing.TB, c Config) (*problem.Opened, *engine.Session[T]) {
	t.Helper()
	p, err := c.Problem.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Compile(true); err != nil {
		t.Fatal(err)
	}
	s, err := problem.NewSession[T](p, p.Train.N)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := problem.SetWeights(p, s); err != nil {
		t.Fatal(err)
	}
	return p, s
}

// objective returns the objective on the training set and all its samples.
func objective[T engine.Float](p *problem.Opened, s *engine.Session[T]) (*measure.Objective[T], []int32) {
	return problem.NewObjective(p, s, p.Train), problem.Sequence(0, p.Train.N)
}

// direct returns loss and accuracy of mlp:9-5-3,act=tanh on the split at theta, by
// loops in float64.
func loopLoss(theta []float64, split *data.Split) (loss, accuracy float64) {
	w1, b1, w2, b2 := theta[:45], theta[45:50], theta[50:65], theta[65:68]
	for i := range split.N {
		var hidden [5]float64
		for h := range hidden {
			sum := b1[h]
			for k := range 9 {
				sum += w1[9*h+k] * float64(split.Pixels[9*i+k]) / 255
			}
			hidden[h] = math.Tanh(sum)
		}
		var logits [3]float64
		total, best := 0.0, 0
		for o := range logits {
			logits[o] = b2[o]
			for h, x := range hidden {
				logits[o] += w2[5*o+h] * x
			}
			total += math.Exp(logits[o])
			if logits[o] > logits[best] {
				best = o
			}
		}
		loss += math.Log(total) - logits[split.Labels[i]]
		if best == int(split.Labels[i]) {
			accuracy++
		}
	}
	return loss / float64(split.N), accuracy / float64(split.N)
}

// normals returns n standard normal numbers of a stream.
func normals(n int, stream uint64) []float64 {
	s := rng.New(rng.Probes, 8, stream)
	x := make([]float64, n)
	for i := range x {
		x[i] = s.NormFloat64()
	}
	return x
}

// pathOf stores the points as a trajectory.
func pathOf(t testing.TB, points ...[]float64) *trajectory.Trajectory {
	t.Helper()
	return storedPath(t, trajectory.Header{Params: []record.ParamSpec{{Name: "w", Shape: []int{len(points[0])}}}}, points...)
}

func storedPath(t testing.TB, h trajectory.Header, points ...[]float64) *trajectory.Trajectory {
	t.Helper()
	dir := t.TempDir()
	w, err := trajectory.Create[float64](dir, h)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range points {
		if err := w.Add(i, float64(i), x); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := trajectory.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// near fails the test unless got is want to the relative tolerance.
func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*max(math.Abs(want), 1e-300)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}
