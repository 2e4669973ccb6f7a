package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/rng"
)

// The small data set of these tests: four blurred patterns in noise.
const (
	smallTrain   = 320
	smallTest    = 50
	smallClasses = 4
	smallSide    = 6
)

// smallData writes an IDX folder with the small data set.
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
	for _, half := range []struct {
		prefix string
		n      int
	}{{"train", smallTrain}, {"t10k", smallTest}} {
		var pixels, labels []byte
		for i := range half.n {
			label := i % smallClasses
			labels = append(labels, byte(label))
			for k := range smallSide * smallSide {
				bright := uint32(0)
				if k%smallClasses == label {
					bright = 120
				}
				pixels = append(pixels, byte(bright+stream.Uint32n(130)))
			}
		}
		write(half.prefix+"-images-idx3-ubyte", []int{half.n, smallSide, smallSide}, pixels)
		write(half.prefix+"-labels-idx1-ubyte", []int{half.n}, labels)
	}
	return dir
}

// smallConfig is a run of 2 epochs of 10 steps on the small data set.
func smallConfig(t testing.TB) Config {
	t.Helper()
	c := Default()
	c.Data, c.Model = smallData(t), "mlp:36-8-4,act=tanh"
	c.Batch, c.Epochs, c.Momentum, c.Seed = 32, 2, 0.9, 7
	c.Out = filepath.Join(t.TempDir(), "run")
	return c
}

// watcher is a Reporter that keeps what it is told.
type watcher struct {
	info     Info
	epochs   []record.Epoch
	warnings []string
	onStep   func(*record.Step)
}

func (w *watcher) Started(i *Info)            { w.info = *i }
func (w *watcher) EpochEnded(e *record.Epoch) { w.epochs = append(w.epochs, *e) }
func (w *watcher) Measured([]record.Cost)     {}
func (w *watcher) Warned(text string)         { w.warnings = append(w.warnings, text) }
func (w *watcher) Stepped(s *record.Step) {
	if w.onStep != nil {
		w.onStep(s)
	}
}

// mustRun trains and fails the test where that fails.
func mustRun(t testing.TB, c Config) *record.Summary {
	t.Helper()
	s, err := Run(context.Background(), c, false, &watcher{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantRequestError fails the test unless err is a request.Error.
func wantRequestError(t testing.TB, err error) {
	t.Helper()
	var request *request.Error
	if !errors.As(err, &request) {
		t.Fatalf("error %v, want a request.Error", err)
	}
}

var times = regexp.MustCompile(`,"(ms":\{[^}]*\}|seconds":[^,}]*)`)

// outcome returns what must be the same for equal runs: the final weights, and
// the logs without times.
func outcome(t testing.TB, dir string) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{"checkpoints/weights.safetensors", "steps.jsonl", "epochs.jsonl"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, times.ReplaceAll(text, nil)...)
	}
	for _, name := range []string{record.EMA, record.SWA} {
		text, err := os.ReadFile(record.AveragePath(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}

// wantSameOutcome fails the test unless both run folders hold the same bits.
func wantSameOutcome(t testing.TB, got, want string) {
	t.Helper()
	if !bytes.Equal(outcome(t, got), outcome(t, want)) {
		t.Errorf("the runs in %s and %s differ", got, want)
	}
}

// readJSON reads a JSON file as maps.
func readJSON(t testing.TB, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
