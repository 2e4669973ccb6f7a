package report

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// The truth of the made-up sweep.
const (
	stepsMin     = 40.0
	criticalSize = 150.0
	bestHeat     = 2e-3 // temperature with the best test accuracy
	samplesOf    = 60_000
)

var (
	madeBatches = []int{16, 32, 64, 128, 256, 512, 1024}
	madeRates   = []float64{0.05, 0.2}
	madeSeeds   = []uint64{1, 2, 3, 4}
)

// madeConfig is the configuration of a made-up run.
func madeConfig(batch int, lr float64, seed uint64) train.Config {
	c := train.Default()
	c.Model, c.Batch, c.LR, c.Seed, c.Epochs = "mlp:784-32-10", batch, lr, seed, 1
	return c
}

// madeSteps are the steps of a run that reaches a loss of 0.1 after
// S_min(1 + B_crit/B) steps, or 1.4 times as many at the lower rate, times what
// its seed adds. It is twice as long as that at the higher rate.
func madeSteps(c *train.Config) []record.Step {
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Batch)))
	luck := math.Exp(0.03 * rand.New(rand.NewPCG(c.Seed, 7)).NormFloat64())
	expected := stepsMin * (1 + criticalSize/float64(c.Batch))
	steps := expected * luck * math.Exp(0.01*r.NormFloat64())
	if c.LR == madeRates[0] {
		steps *= 1.4
	}
	n := int(2 * expected)
	list := make([]record.Step, n)
	for i := range list {
		loss := 2.3 * math.Exp(-math.Log(23)*float64(i)/steps)
		s := &list[i]
		*s = record.Step{Step: i, Samples: c.Batch, LR: c.LR, Loss: loss, Accuracy: record.Some(1 - loss/2.6)}
		progress := float64(i) / float64(n)
		variance := 50 * math.Exp(0.1*r.NormFloat64())
		norm := 1.5 * math.Exp(-2*progress) * math.Exp(0.1*r.NormFloat64())
		s.Noise = record.Numbers{
			{Name: "grad_norm_sq", X: norm + variance/float64(c.Batch)}, {Name: "grad_var_trace", X: variance},
			{Name: "grad_norm_sq_unbiased", X: norm}, {Name: "noise_scale", X: variance / norm},
		}
		s.Flatness = record.Numbers{
			{Name: "lambda_max", X: 12 * math.Pow(float64(c.Batch), 0.2) / c.LR * 0.1 * math.Exp(0.05*r.NormFloat64())},
			{Name: "trace", X: 130 * math.Exp(0.05*r.NormFloat64())}, {Name: "batch_sharpness", X: 8 * math.Exp(0.05*r.NormFloat64())},
		}
	}
	return list
}

// madeSummary is how a made-up run ends.
func madeSummary(c *train.Config, steps int) record.Summary {
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.Batch)*1000+uint64(100*c.LR)))
	u := math.Log10(c.LR / float64(c.Batch) / bestHeat)
	seed := rand.New(rand.NewPCG(c.Seed, 9)).NormFloat64()
	accuracy := 0.975 - 0.01*u*u + 0.0005*seed + 0.0003*r.NormFloat64()
	return record.Summary{
		Steps: steps, Epochs: 1, Seconds: 2.5, Device: "cpu", Params: 25450, Out: "runs/x",
		TrainLoss: record.Some(0.08), TrainAccuracy: record.Some(0.99),
		TestLoss: record.Some(0.1 + 0.01*u*u + 0.001*r.NormFloat64()), TestAccuracy: record.Some(accuracy),
	}
}

// kept is the sweep folder that tests share which only read it, "" before it is
// written.
var kept string

func TestMain(m *testing.M) {
	code := m.Run()
	if kept != "" {
		_ = os.RemoveAll(kept) // under the system's temporary folder anyway
	}
	os.Exit(code)
}

// sharedSweep returns a made-up sweep folder, which is not to be changed.
func sharedSweep(t testing.TB) string {
	t.Helper()
	if kept == "" {
		dir, err := os.MkdirTemp("", "sgflow-report")
		if err != nil {
			t.Fatal(err)
		}
		kept = dir
		writeSweep(t, dir)
	}
	return kept
}

// madeSweep returns a made-up sweep folder of the test's own.
func madeSweep(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	writeSweep(t, dir)
	return dir
}

// writeSweep writes a sweep folder: a store and run folders.
func writeSweep(t testing.TB, dir string) {
	t.Helper()
	ctx := context.Background()
	s, err := store.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var runs []store.Run
	for _, batch := range madeBatches {
		for _, lr := range madeRates {
			for _, seed := range madeSeeds {
				id := fmt.Sprintf("%016x", len(runs)+1)
				runs = append(runs, store.Run{ID: id, Order: len(runs), Config: madeConfig(batch, lr, seed)})
			}
		}
	}
	if _, err := s.Add(ctx, runs); err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range runs {
		r := &runs[i]
		steps := madeSteps(&r.Config)
		summary := madeSummary(&r.Config, len(steps))
		epochs := []record.Epoch{{Step: len(steps) - 1, TestLoss: summary.TestLoss, TestAccuracy: summary.TestAccuracy, Seconds: 2}}
		first, err := s.Finish(ctx, &store.Result{
			ID: r.ID, Worker: "w", Started: began, Finished: began.Add(time.Second), Summary: summary,
			Windows: store.Summarize(steps), Epochs: epochs, Environment: map[string]string{"device": "cpu: test", "version.sgflow": "test"},
		})
		if err != nil || !first {
			t.Fatal(first, err)
		}
		madeRun(t, store.RunFolder(dir, r.ID), &r.Config, steps, &summary)
	}
}

// madeRun writes a run folder; without a summary the run has not ended.
func madeRun(t testing.TB, dir string, c *train.Config, steps []record.Step, summary *record.Summary) {
	t.Helper()
	f, err := record.Create(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	wall := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range steps {
		if err := f.Step(&steps[i], wall); err != nil {
			t.Fatal(err)
		}
	}
	run := &record.Run{Config: c, Seed: c.Seed, Device: "cpu: test", Versions: map[string]string{"sgflow": "test"}, Started: wall, Summary: summary}
	if summary != nil {
		if err := f.Epoch(&record.Epoch{Step: len(steps) - 1, TestLoss: summary.TestLoss, TestAccuracy: summary.TestAccuracy, Seconds: 2}, wall); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.WriteRun(run); err != nil {
		t.Fatal(err)
	}
}

// mustReport loads folders and makes their report.
func mustReport(t testing.TB, dirs ...string) *Report {
	t.Helper()
	l, err := Load(context.Background(), nil, dirs...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// writtenPage writes the page of a report and returns its path.
func writtenPage(t testing.TB, r *Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), PageFile)
	if err := record.WriteFileAtomic(path, r.WritePage); err != nil {
		t.Fatal(err)
	}
	return path
}
