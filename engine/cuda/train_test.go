//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sgflow/bench"
	"sgflow/data"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/rng"
	"sgflow/engine/train"
)

// silent is a train.Reporter that tells nobody, and calls stepped.
type silent struct{ stepped func(*record.Step) }

func (silent) Started(*train.Info)      {}
func (silent) EpochEnded(*record.Epoch) {}
func (silent) Measured([]record.Cost)   {}
func (silent) Warned(string)            {}
func (s silent) Stepped(step *record.Step) {
	if s.stepped != nil {
		s.stepped(step)
	}
}

// images writes a data set of 96 training and 30 test images, 6×6 in four classes,
// as a folder of IDX files.
func images(t *testing.T) string {
	t.Helper()
	const side, classes = 6, 4
	dir := t.TempDir()
	for prefix, n := range map[string]int{"train": 96, "t10k": 30} {
		stream := rng.New(rng.Labels, 1, uint64(n))
		pixels, labels := []byte{0, 0, 8, 3}, []byte{0, 0, 8, 1}
		for _, d := range []uint32{uint32(n), side, side} {
			pixels = binary.BigEndian.AppendUint32(pixels, d)
		}
		labels = binary.BigEndian.AppendUint32(labels, uint32(n))
		for i := range n {
			labels = append(labels, byte(i%classes))
			for k := range side * side {
				pixels = append(pixels, byte(stream.Uint32n(130)))
				if k%classes == i%classes {
					pixels[len(pixels)-1] += 120
				}
			}
		}
		for name, text := range map[string][]byte{"-images-idx3-ubyte": pixels, "-labels-idx1-ubyte": labels} {
			if err := os.WriteFile(filepath.Join(dir, prefix+name), text, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// config is a run of two epochs of five steps, the last of which is smaller.
func config(t *testing.T, device string) train.Config {
	t.Helper()
	c := train.Default()
	c.Model, c.Data, c.Device = "mlp:36-9-4", images(t), device
	c.Batch, c.Epochs, c.Momentum, c.Seed = 20, 2, 0.9, 7
	c.Out = filepath.Join(t.TempDir(), "run")
	return c
}

func mustTrain(t *testing.T, c train.Config) *record.Summary {
	t.Helper()
	s, err := train.Run(context.Background(), c, false, silent{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const weights = "checkpoints/weights.safetensors"

var times = regexp.MustCompile(`,"(ms":\{[^}]*\}|seconds":[^,}]*)`)

// outcome is what must be the same for equal runs.
func outcome(t *testing.T, dir string) []byte {
	t.Helper()
	all := read(t, dir, weights)
	for _, name := range []string{"steps.jsonl", "epochs.jsonl"} {
		all = append(all, times.ReplaceAll(read(t, dir, name), nil)...)
	}
	return all
}

// steps reads the numbers of a log, by step and name.
func steps(t *testing.T, dir string) (list []map[string]float64) {
	t.Helper()
	for lines := bufio.NewScanner(bytes.NewReader(read(t, dir, "steps.jsonl"))); lines.Scan(); {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		numbers := map[string]float64{}
		var walk func(prefix string, x any)
		walk = func(prefix string, x any) {
			switch x := x.(type) {
			case float64:
				numbers[prefix] = x
			case map[string]any:
				for name, y := range x {
					if name != "ms" && name != "bytes" {
						walk(prefix+"."+name, y)
					}
				}
			}
		}
		walk("", line)
		list = append(list, numbers)
	}
	return list
}

// Every number that training logs is the processor's, as the contract asks of
// float32.
func TestTrainingAgreesWithTheProcessor(t *testing.T) {
	for _, model := range []string{"mlp:36-9-4", "cnn:conv2k3,relu,maxpool2,fc4"} {
		var logs [2][]map[string]float64
		for k, device := range []string{"cuda", "cpu"} {
			c := config(t, device)
			c.Model, c.Steps, c.Batch = model, 3, 8
			if device == "cpu" {
				c.DType = problem.Float64
			}
			mustTrain(t, c)
			logs[k] = steps(t, c.Out)
		}
		if len(logs[0]) != 3 || len(logs[1]) != 3 {
			t.Fatalf("%d and %d steps, want 3", len(logs[0]), len(logs[1]))
		}
		for k, want := range logs[1] {
			got := logs[0][k]
			if len(got) != len(want) {
				t.Errorf("%s, step %d: %d numbers, want %d", model, k, len(got), len(want))
			}
			for name, x := range want {
				// The second term is for numbers that are differences of larger ones.
				if y, ok := got[name]; !ok || math.Abs(x-y) > 1e-3*math.Abs(x)+1e-6 {
					t.Errorf("%s, step %d: %s is %v, want %v", model, k, name, y, x)
				}
			}
		}
	}
}

// Steps that stay on the device are those that are measured one by one: the same bits of
// weights and losses, and of what is made from sums over the gradient, which have their
// terms in another order, all but the last.
func TestTrainingAheadIsTrainingOneByOne(t *testing.T) {
	for _, what := range []string{"none", "noise", "all", "flatness", "batch_sharpness", "grad_norm_sq,tic_trace,frobenius"} {
		ahead, single := config(t, "cuda"), config(t, "cuda")
		ahead.Measure, single.Measure = what, "distance" // which needs the parameters of every step
		if what != "none" {
			single.Measure = what + ",distance"
		}
		a, b := mustTrain(t, ahead), mustTrain(t, single)
		if !bytes.Equal(read(t, ahead.Out, weights), read(t, single.Out, weights)) {
			t.Errorf("--measure %s: other weights", what)
		}
		if a.TestLoss != b.TestLoss || a.TrainLoss != b.TrainLoss || a.TrainAccuracy != b.TrainAccuracy {
			t.Errorf("--measure %s: %+v, one by one %+v", what, a, b)
		}
		x, y := steps(t, ahead.Out), steps(t, single.Out)
		if len(x) != 10 || len(y) != 10 {
			t.Fatalf("%d and %d steps, want 10", len(x), len(y))
		}
		for k := range x {
			if len(x[k]) != len(y[k])-1 {
				t.Errorf("--measure %s, step %d: %d numbers, one by one %d and the distance", what, k, len(x[k]), len(y[k])-1)
			}
			for name, v := range x[k] {
				tolerance := 0.0
				if strings.Contains(name, "grad_") || strings.Contains(name, "noise_scale") || strings.Contains(name, "_test") {
					tolerance = 1e-12 * math.Abs(v)
				}
				if !(math.Abs(y[k][name]-v) <= tolerance) {
					t.Errorf("--measure %s, step %d: %s is %v, one by one %v", what, k, name, v, y[k][name])
				}
			}
		}
	}
}

func TestAnInterruptedRunGoesOnAsIfItHadNot(t *testing.T) {
	for _, measure := range []string{"none", "noise", "all"} {
		whole, parts := config(t, "cuda"), config(t, "cuda")
		whole.Measure, parts.Measure = measure, measure
		mustTrain(t, whole)
		ctx, cancel := context.WithCancel(context.Background())
		_, err := train.Run(ctx, parts, false, silent{func(s *record.Step) {
			if s.Step == 2 { // the epoch's other steps may be under way
				cancel()
			}
		}})
		if !errors.Is(err, train.ErrInterrupted) {
			t.Fatalf("error %v, want %v", err, train.ErrInterrupted)
		}
		parts, err = train.ReadConfig(parts.Out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := train.Resume(context.Background(), parts.Out, parts, silent{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(outcome(t, whole.Out), outcome(t, parts.Out)) {
			t.Errorf("--measure %s: the resumed run ends otherwise", measure)
		}
	}
}

// A bench of both devices gives rows of both; where nothing on the way needs the host a
// GPU takes many steps at once, and ends with the loss of steps taken one by one.
func TestBenchTimesBothDevices(t *testing.T) {
	set, err := data.Open(images(t))
	if err != nil {
		t.Fatal(err)
	}
	var rows []bench.Row
	var cases []bench.Case
	for _, device := range []string{"cpu", "cuda"} {
		for _, what := range []string{"none", "noise"} {
			cases = append(cases, bench.Case{Device: device, Model: "mlp:36-8-4", Batch: 16, Measure: what})
		}
	}
	err = bench.Run(context.Background(), set, cases, bench.Options{Time: time.Millisecond, WarmUp: time.Microsecond, Rounds: 1}, func(r bench.Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, device := range []string{"cpu", "cpu", "cuda:0", "cuda:0"} {
		if r := rows[i]; r.Device != device || !(r.MSPerStep > 0) || r.Steps < 5 || r.Warm < 1 || (r.PeakShare > 0) != (device == "cpu") {
			t.Errorf("row %d: %+v", i, r)
		}
	}
	var losses []float64
	for _, what := range []string{"none", "noise", "all", "noise,distance"} {
		trainer, err := bench.NewTrainer(set, bench.Case{Device: "cuda", Model: "mlp:36-8-4", Batch: 16, Measure: what})
		if err != nil {
			t.Fatal(err)
		}
		defer trainer.Close()
		loss := 0.0
		for taken := 0; taken < 100; taken += trainer.Stride() {
			if 100%trainer.Stride() != 0 { // the comparison with peers takes so many
				t.Fatalf("%s: %d steps at once", what, trainer.Stride())
			}
			if loss, err = trainer.Step(); err != nil {
				t.Fatal(err)
			}
		}
		losses = append(losses, loss)
	}
	if slices.ContainsFunc(losses, func(x float64) bool { return x != losses[0] }) {
		t.Errorf("the losses after 100 steps, many at once without noise, with it and with flatness, and one by one: %v", losses)
	}
}
