package train

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// crashCopy copies the run folder from to a new one, as a killed process would
// leave it: the last line of the log is cut in half.
func crashCopy(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "killed")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, "steps.jsonl")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, max(info.Size()-40, 0)); err != nil {
		t.Fatal(err)
	}
	return to
}

// optimized are the ways of making steps that remember something of their own.
var optimized = map[string]func(*Config){
	"adam":      func(c *Config) { c.Optimizer, c.Momentum, c.LR = optim.Adam, 0, 0.01 },
	"adamw":     func(c *Config) { c.Optimizer, c.Momentum, c.LR, c.WeightDecay = optim.AdamW, 0, 0.01, 0.1 },
	"sgld":      func(c *Config) { c.Optimizer, c.Momentum, c.SGLDTemperature = optim.SGLD, 0, 1e-4 },
	"sam":       func(c *Config) { c.Optimizer = optim.SAM },
	"asam":      func(c *Config) { c.Optimizer, c.Noise = optim.ASAM, "sigma:8" },
	"averages":  func(c *Config) { c.EMA, c.SWA = 0.9, "5:3" },
	"swa":       func(c *Config) { c.EMA, c.SWA, c.Measure = 0.9, "1e", "none" },
	"growing":   func(c *Config) { c.BatchSchedule, c.BatchMax, c.Schedule = "step:7:1.5", 64, "cosine" },
	"norm-test": func(c *Config) { c.Batch, c.AdaptiveBatch, c.BatchMax, c.Measure = 8, "norm-test:0.2", 40, "none" },
	"noise-scale": func(c *Config) {
		c.Batch, c.AdaptiveBatch, c.BatchMax, c.Sampling = 16, "noise-scale:0.5", 40, "replacement"
	},
	"sigma":     func(c *Config) { c.Noise = "sigma:4" },
	"diagonal":  func(c *Config) { c.Noise, c.Measure = "diagonal:4", "none" },
	"isotropic": func(c *Config) { c.Noise, c.Measure = "isotropic:4", "none" },
	"gaussian":  func(c *Config) { c.Noise = "gaussian:0.01" },
}

// resumable are runs that keep different things from step to step.
func resumable(t *testing.T) map[string]Config {
	plain, stateful, float64s, full := smallConfig(t), smallConfig(t), smallConfig(t), smallConfig(t)
	plain.Momentum, plain.Measure = 0, "none"
	stateful.Schedule, stateful.FlatnessWindow = "one-cycle", 4
	float64s.DType, float64s.MeasureEvery, float64s.Nesterov = problem.Float64, 3, true
	full.Sampling, full.Epochs, full.FlatnessSamples = "full", 20, 50
	list := map[string]Config{"plain": plain, "stateful": stateful, "float64": float64s, "full": full}
	for name, change := range optimized {
		c := smallConfig(t)
		change(&c)
		list[name] = c
	}
	return list
}

func TestKilledAndResumedRunEndsWithTheSameBits(t *testing.T) {
	for name, c := range resumable(t) {
		t.Run(name, func(t *testing.T) {
			c.CheckpointEvery = 1e-9 // after every step
			var copies []string
			w := &watcher{onStep: func(s *record.Step) {
				switch s.Step {
				case 0, 4, 9, 10, 19: // at ends and starts of epochs and between
					copies = append(copies, crashCopy(t, c.Out))
				}
			}}
			if _, err := Run(context.Background(), c, false, w); err != nil {
				t.Fatal(err)
			}
			for _, dir := range copies {
				stored, err := ReadConfig(dir)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := Resume(context.Background(), dir, stored, &watcher{}); err != nil {
					t.Fatal(err)
				}
				wantSameOutcome(t, dir, c.Out)
			}
		})
	}
}

func TestResumeReplaysStepsAfterTheLastCheckpoint(t *testing.T) {
	c := smallConfig(t) // its only checkpoint before the end is at step 0
	var killed string
	w := &watcher{onStep: func(s *record.Step) {
		if s.Step == 13 {
			killed = crashCopy(t, c.Out)
		}
	}}
	if _, err := Run(context.Background(), c, false, w); err != nil {
		t.Fatal(err)
	}
	stored, err := ReadConfig(killed)
	if err != nil {
		t.Fatal(err)
	}
	r := &watcher{}
	if _, err := Resume(context.Background(), killed, stored, r); err != nil {
		t.Fatal(err)
	}
	if r.info.First != 0 {
		t.Errorf("resumed at step %d, want 0", r.info.First)
	}
	wantSameOutcome(t, killed, c.Out)
}

func TestInterruptedRunIsSavedWhereItStood(t *testing.T) {
	whole := smallConfig(t)
	mustRun(t, whole)
	c := smallConfig(t)
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{onStep: func(s *record.Step) {
		if s.Step == 11 {
			cancel()
		}
	}}
	_, err := Run(ctx, c, false, w)
	if !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "--resume "+c.Out) {
		t.Fatalf("error %v, want ErrInterrupted and how to go on", err)
	}
	stored, err := ReadConfig(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	stored.Threads = 1 // may change
	r := &watcher{}
	s, err := Resume(context.Background(), c.Out, stored, r)
	if err != nil {
		t.Fatal(err)
	}
	if r.info.First != 12 || s.Steps != 20 {
		t.Errorf("resumed at step %d to %d, want 12 to 20", r.info.First, s.Steps)
	}
	wantSameOutcome(t, c.Out, whole.Out)
}

func TestResumeFallsBackFromADamagedCheckpoint(t *testing.T) {
	c := smallConfig(t)
	c.CheckpointEvery = 1e-9
	var killed string
	w := &watcher{onStep: func(s *record.Step) {
		if s.Step == 13 {
			killed = crashCopy(t, c.Out)
		}
	}}
	if _, err := Run(context.Background(), c, false, w); err != nil {
		t.Fatal(err)
	}
	newest := filepath.Join(killed, "checkpoints", "step-000000013.safetensors")
	if err := os.Truncate(newest, 1000); err != nil {
		t.Fatal(err)
	}
	stored, err := ReadConfig(killed)
	if err != nil {
		t.Fatal(err)
	}
	r := &watcher{}
	if _, err := Resume(context.Background(), killed, stored, r); err != nil {
		t.Fatal(err)
	}
	if r.info.First != 12 || len(r.warnings) != 1 || !strings.Contains(r.warnings[0], newest) {
		t.Errorf("resumed at step %d with warnings %q", r.info.First, r.warnings)
	}
	wantSameOutcome(t, killed, c.Out)
}

func TestResumeOfAFinishedRunChangesNothing(t *testing.T) {
	c := smallConfig(t)
	want := mustRun(t, c)
	before := readJSON(t, filepath.Join(c.Out, "run.json"))
	stored, err := ReadConfig(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	r := &watcher{}
	got, err := Resume(context.Background(), c.Out, stored, r)
	if err != nil || *got != *want || len(r.warnings) != 1 {
		t.Errorf("%+v, %v, warnings %q", got, err, r.warnings)
	}
	if after := readJSON(t, filepath.Join(c.Out, "run.json")); after["finished"] != before["finished"] {
		t.Error("run.json has changed")
	}
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	c := smallConfig(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, c, false, &watcher{}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	other, err := ReadConfig(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	other.LR = 0.2
	_, err = Resume(context.Background(), c.Out, other, &watcher{})
	wantRequestError(t, err)
	if !strings.Contains(err.Error(), "--lr 0.2") || !strings.Contains(err.Error(), "0.1") {
		t.Errorf("error %q does not name the setting and both values", err)
	}

	// The data changes: one pixel of it.
	path := filepath.Join(c.Data, "train-images-idx3-ubyte")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	stored, err := ReadConfig(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Resume(context.Background(), c.Out, stored, &watcher{})
	wantRequestError(t, err)
	if !strings.Contains(err.Error(), "train-images") {
		t.Errorf("error %q does not name the file", err)
	}
}

func TestResumeOfNoRunIsARequestError(t *testing.T) {
	_, err := ReadConfig(t.TempDir())
	wantRequestError(t, err)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "run.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = ReadConfig(dir)
	wantRequestError(t, err)
}
