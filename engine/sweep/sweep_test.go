package sweep

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/rng"
	"sgflow/engine/sweep/grid"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
	"sgflow/engine/sweep/worker"
	"sgflow/engine/train"
)

var build = queue.NewBuild("test")

// smallData writes an IDX folder: 320 and 50 samples of 6×6 pixels in 4 classes.
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
		n := []int{320, 50}[i]
		var pixels, labels []byte
		for k := range n {
			labels = append(labels, byte(k%4))
			for at := range 36 {
				bright := 0
				if at%4 == k%4 {
					bright = 120
				}
				pixels = append(pixels, byte(bright+int(stream.Uint32n(130))))
			}
		}
		write(prefix+"-images-idx3-ubyte", []int{n, 6, 6}, pixels)
		write(prefix+"-labels-idx1-ubyte", []int{n}, labels)
	}
	return dir
}

// smallPlan is the plan of runs of a small model on the data in dir.
func smallPlan(t testing.TB, dir string, axes map[string][]string) *Plan {
	t.Helper()
	all := map[string][]string{"data": {dir}, "model": {"mlp:36-8-4"}, "epochs": {"2"}, "momentum": {"0.9"}, "lr": {"0.05"}, "measure-every": {"5"}}
	for name, values := range axes {
		all[name] = values
	}
	configs, err := (&grid.Request{Axes: all}).Plan()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(context.Background(), configs)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// witness is a Watcher that keeps what it is told.
type witness struct {
	mu       sync.Mutex
	ended    []store.Run
	retried  []string
	warnings []string
	onEnd    func(n int)
}

func (w *witness) Planned([]store.Run)        {}
func (w *witness) Progressed(*queue.Progress) {}
func (w *witness) Retrying(r *store.Run, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.retried = append(w.retried, r.ID)
}
func (w *witness) Warned(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warnings = append(w.warnings, text)
}
func (w *witness) Finished(r *store.Run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, *r)
	if w.onEnd != nil {
		w.onEnd(len(w.ended))
	}
}

// cluster is a server with in-process workers, until the test ends.
type cluster struct {
	url     string
	stop    context.CancelFunc // the workers started last
	started int
	group   sync.WaitGroup
}

func newCluster(t testing.TB, workers int) *cluster {
	t.Helper()
	s, err := queue.Serve(filepath.Join(t.TempDir(), "queue"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := &cluster{url: s.URL()}
	t.Cleanup(c.group.Wait)
	t.Cleanup(func() { c.stop() })
	c.start(t, workers)
	return c
}

// start starts workers.
func (c *cluster) start(t testing.TB, workers int) {
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	for range workers {
		name, dir := fmt.Sprint("w", c.started), t.TempDir()
		c.started++
		c.group.Go(func() {
			if err := worker.Run(ctx, worker.Options{
				Queue: queue.Options{URL: c.url, Build: build}, Name: name, Dir: dir, Threads: 1,
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// options are those of a sweep on the cluster.
func (c *cluster) options(dir string) Options {
	return Options{
		Dir: dir, Queue: queue.Options{URL: c.url, Build: build}, Retries: 2, RetryWait: time.Millisecond,
		Lease: 5 * time.Second, MostDeliveries: 5,
	}
}

func mustRun(t testing.TB, p *Plan, o Options, w *witness) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := Run(ctx, p, o, w)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// rows returns the final table as text.
func rows(t testing.TB, dir string) string {
	t.Helper()
	s, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := s.Rows(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, r := range list {
		fmt.Fprintf(&text, "%+v\n", r)
	}
	return text.String()
}

var times = regexp.MustCompile(`,"(ms":\{[^}]*\}|seconds":[^,}]*)`)

func TestRunsOfASweepAreThoseOfTrain(t *testing.T) {
	data := smallData(t)
	p := smallPlan(t, data, map[string][]string{"batch": {"16", "32"}, "seed": {"1", "2"}})
	dir := t.TempDir()
	c := newCluster(t, 2)
	o := c.options(dir)
	o.KeepWeights = true
	if r := mustRun(t, p, o, &witness{}); r.Done != 4 || r.Failed != 0 {
		t.Fatalf("report %+v", r)
	}
	for _, run := range p.Runs {
		config := run.Config
		config.Out = filepath.Join(t.TempDir(), "alone")
		if _, err := train.Run(context.Background(), config, false, silent{}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"checkpoints/weights.safetensors", "steps.jsonl", "epochs.jsonl"} {
			a, errA := os.ReadFile(filepath.Join(store.RunFolder(dir, run.ID), name))
			b, errB := os.ReadFile(filepath.Join(config.Out, name))
			if errA != nil || errB != nil {
				t.Fatal(errA, errB)
			}
			if !bytes.Equal(times.ReplaceAll(a, nil), times.ReplaceAll(b, nil)) {
				t.Errorf("%s of %s differs", name, Title(&run.Config))
			}
		}
		stored, err := train.ReadConfig(store.RunFolder(dir, run.ID))
		if err != nil || grid.ID(stored) != run.ID || stored.Out != "runs/"+run.ID {
			t.Errorf("run.json has %+v, %v", stored, err)
		}
	}
	// A second call does nothing, and gives the same table.
	before := rows(t, dir)
	w := &witness{}
	if r := mustRun(t, p, o, w); r.Reused != 4 || len(w.ended) != 0 || rows(t, dir) != before {
		t.Errorf("a second call: %+v, %d runs done", r, len(w.ended))
	}
	// With more values it does the new runs only.
	more := smallPlan(t, data, map[string][]string{"batch": {"16", "32", "64"}, "seed": {"1", "2"}})
	if r := mustRun(t, more, o, w); r.Reused != 4 || r.Done != 6 || len(w.ended) != 2 {
		t.Errorf("a wider grid: %+v, %d runs done", r, len(w.ended))
	}
}

// silent is a Reporter of nothing.
type silent struct{}

func (silent) Started(*train.Info)      {}
func (silent) Stepped(*record.Step)     {}
func (silent) EpochEnded(*record.Epoch) {}
func (silent) Measured([]record.Cost)   {}
func (silent) Warned(string)            {}

func TestFailingRunsAreMarkedAndTheRestGoesOn(t *testing.T) {
	p := smallPlan(t, smallData(t), map[string][]string{"lr": {"1e20", "0.05"}, "momentum": {"0"}})
	dir := t.TempDir()
	c := newCluster(t, 1)
	w := &witness{}
	r := mustRun(t, p, c.options(dir), w)
	if r.Done != 1 || r.Failed != 1 || len(w.retried) != 0 {
		t.Fatalf("report %+v, %d tried again", r, len(w.retried))
	}
	for _, run := range w.ended {
		if run.Config.LR == 1e20 && (run.Status != store.Failed || !run.Final || !strings.Contains(run.Error, "diverged")) {
			t.Errorf("the run that diverges is %+v", run)
		}
	}
	// Divergence is final: a second call leaves it.
	if r := mustRun(t, p, c.options(dir), &witness{}); r.Done != 1 || r.Failed != 1 {
		t.Errorf("a second call: %+v", r)
	}
}

func TestRunsThatNeedNotFailAreTriedAgain(t *testing.T) {
	data := smallData(t)
	p := smallPlan(t, data, map[string][]string{"batch": {"16"}})
	c := newCluster(t, 1)
	dir := t.TempDir()
	images := filepath.Join(data, "train-images-idx3-ubyte")
	away := images + ".away"
	if err := os.Rename(images, away); err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	r := mustRun(t, p, c.options(dir), w)
	if r.Failed != 1 || len(w.retried) != 2 || w.ended[0].Attempts != 3 || !strings.Contains(w.ended[0].Error, "train-images") {
		t.Fatalf("report %+v, retried %d times, %+v", r, len(w.retried), w.ended)
	}
	if err := os.Rename(away, images); err != nil {
		t.Fatal(err)
	}
	if r := mustRun(t, p, c.options(dir), &witness{}); r.Done != 1 || r.Failed != 0 {
		t.Errorf("when that is put right: %+v", r)
	}
}

func TestDataAndWeightsTravel(t *testing.T) {
	data := smallData(t)
	first := smallPlan(t, data, map[string][]string{"batch": {"16"}})
	c := newCluster(t, 1)
	dir := t.TempDir()
	o := c.options(dir)
	o.KeepWeights, o.ShipData = true, true
	mustRun(t, first, o, &witness{})
	weights := filepath.Join(t.TempDir(), "start.safetensors")
	if err := os.Rename(record.WeightsPath(store.RunFolder(dir, first.Runs[0].ID)), weights); err != nil {
		t.Fatal(err)
	}
	p := smallPlan(t, data, map[string][]string{"batch": {"16"}, "weights": {weights}})
	again := t.TempDir()
	o.Dir = again
	o.Ready = func(string) error { // from here on the sweep's machine has neither
		return errors.Join(os.RemoveAll(data), os.Remove(weights))
	}
	// The worker of before has the data in memory: it gets another one.
	c2 := newCluster(t, 0)
	o.Queue.URL = c2.url
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	ready := o.Ready
	o.Ready = func(url string) error {
		err := ready(url)
		group.Go(func() {
			if err := worker.Run(ctx, worker.Options{Queue: queue.Options{URL: url, Build: build}, Name: "far", Dir: filepath.Join(dir, "far"), Threads: 1}); err != nil {
				t.Error(err)
			}
		})
		return err
	}
	r := mustRun(t, p, o, &witness{})
	cancel()
	group.Wait()
	if r.Done != 1 {
		t.Errorf("report %+v", r)
	}
	s, err := store.Open(again)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if run, _, err := s.Run(context.Background(), p.Runs[0].ID); err != nil || run.Config.Weights != weights {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestChangedDataIsRefused(t *testing.T) {
	data := smallData(t)
	dir := t.TempDir()
	c := newCluster(t, 1)
	mustRun(t, smallPlan(t, data, map[string][]string{"batch": {"16"}}), c.options(dir), &witness{})
	path := filepath.Join(data, "t10k-labels-idx1-ubyte")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = Run(context.Background(), smallPlan(t, data, map[string][]string{"batch": {"32"}}), c.options(dir), &witness{})
	var request *request.Error
	if !errors.As(err, &request) || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("error %v", err)
	}
}

func TestDamagedStoreIsMadeAgainFromTheRunFolders(t *testing.T) {
	data := smallData(t)
	dir := t.TempDir()
	c := newCluster(t, 1)
	p := smallPlan(t, data, map[string][]string{"batch": {"16", "32", "64"}})
	mustRun(t, p, c.options(dir), &witness{})
	want := rows(t, dir)
	path := filepath.Join(dir, store.File)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(text); i += 3 { // behind the first page
		text[i] ^= 0x5a
	}
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	// One folder is damaged too.
	if err := os.Truncate(filepath.Join(store.RunFolder(dir, p.Runs[1].ID), "steps.jsonl"), 100); err != nil {
		t.Fatal(err)
	}
	w := &witness{}
	r := mustRun(t, p, c.options(dir), w)
	if r.Done != 3 || r.Reused != 2 || len(w.ended) != 1 {
		t.Errorf("report %+v, %d runs done", r, len(w.ended))
	}
	if got := rows(t, dir); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
	if text := strings.Join(w.warnings, "\n"); !strings.Contains(text, "put aside") || !strings.Contains(text, "2 results were taken") || !strings.Contains(text, "done again") {
		t.Errorf("warnings:\n%s", text)
	}
}

func TestOnlyOneProcessRunsASweep(t *testing.T) {
	dir := t.TempDir()
	c := newCluster(t, 1)
	p := smallPlan(t, smallData(t), map[string][]string{"batch": {"16"}})
	o := c.options(dir)
	o.Ready = func(string) error {
		_, err := Run(context.Background(), p, c.options(dir), &witness{})
		var request *request.Error
		if !errors.As(err, &request) || !strings.Contains(err.Error(), "another process") {
			t.Errorf("error %v", err)
		}
		return nil
	}
	mustRun(t, p, o, &witness{})
}

// Two sweeps share workers, and neither gets the other's results.
func TestTwoSweepsAtOnce(t *testing.T) {
	data := smallData(t)
	c := newCluster(t, 2)
	var group sync.WaitGroup
	for _, seeds := range [][]string{{"1", "2", "3"}, {"3", "4"}} {
		dir := t.TempDir()
		group.Go(func() {
			if r := mustRun(t, smallPlan(t, data, map[string][]string{"seed": seeds}), c.options(dir), &witness{}); r.Done != len(seeds) {
				t.Errorf("report %+v", r)
			}
		})
	}
	group.Wait()
}

func TestInterruptedSweepGoesOn(t *testing.T) {
	data := smallData(t)
	seeds := []string{"1", "2", "3", "4", "5"}
	p := smallPlan(t, data, map[string][]string{"seed": seeds, "steps": {"6000"}, "measure": {"noise"}})
	c := newCluster(t, 1)
	whole, dir := t.TempDir(), t.TempDir()
	mustRun(t, p, c.options(whole), &witness{})
	ctx, cancel := context.WithCancel(context.Background())
	w := &witness{onEnd: func(n int) {
		if n == 2 {
			c.stop() // so that no worker does the rest meanwhile
			cancel()
		}
	}}
	if _, err := Run(ctx, p, c.options(dir), w); !errors.Is(err, train.ErrInterrupted) {
		t.Fatal(err)
	}
	c.start(t, 1)
	second := &witness{}
	if r := mustRun(t, p, c.options(dir), second); r.Done != len(seeds) || r.Reused < 2 {
		t.Errorf("report %+v", r)
	}
	if got, want := rows(t, dir), rows(t, whole); got != want {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
}

// A result that is not the run's, or has files that a result has not, counts as
// a failure and leaves nothing behind.
func TestWrongResultsAreRefused(t *testing.T) {
	data := smallData(t)
	p := smallPlan(t, data, map[string][]string{"batch": {"16"}})
	c := newCluster(t, 0)
	dir := t.TempDir()
	o := c.options(dir)
	ctx := context.Background()
	var group sync.WaitGroup
	o.Ready = func(url string) error {
		q, err := queue.Connect(ctx, queue.Options{URL: url, Build: build})
		if err != nil {
			return err
		}
		group.Go(func() {
			defer q.Close()
			for attempt := range 3 {
				task, err := q.Take(ctx, time.Minute)
				if err != nil || task == nil {
					t.Error(task, err)
					return
				}
				other := filepath.Join(t.TempDir(), "other")
				config := task.Config
				config.Out, config.Seed = other, 99
				if _, err := train.Run(ctx, config, false, silent{}); err != nil {
					t.Error(err)
				}
				result := queue.Outcome{Run: task.Run, Worker: "evil"}
				names := []string{"run.json", "steps.jsonl", "epochs.jsonl"}
				if attempt == 1 {
					names = names[:1]
				}
				for _, name := range names {
					f, err := q.Put(ctx, task, filepath.Join(other, name))
					if err != nil {
						t.Error(err)
					}
					if attempt == 2 && name == "run.json" {
						f.Name = "authorized_keys"
					}
					result.Files = append(result.Files, f)
				}
				if err := errors.Join(q.Report(ctx, task, &result), task.Done(ctx)); err != nil {
					t.Error(err)
				}
			}
		})
		return nil
	}
	w := &witness{}
	r := mustRun(t, p, o, w)
	group.Wait()
	if r.Failed != 1 || r.Done != 0 || w.ended[0].Attempts != 3 || !strings.Contains(w.ended[0].Error, "authorized_keys") {
		t.Errorf("report %+v, %+v", r, w.ended)
	}
	if _, err := os.Stat(store.RunFolder(dir, p.Runs[0].ID)); err == nil {
		t.Error("the wrong result is in place")
	}
}

// A run that has killed its workers again and again is given up.
func TestRunThatKillsItsWorkersIsGivenUp(t *testing.T) {
	p := smallPlan(t, smallData(t), map[string][]string{"batch": {"16"}})
	c := newCluster(t, 0)
	o := c.options(t.TempDir())
	o.MostDeliveries = 2
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	dir := t.TempDir()
	o.Ready = func(url string) error {
		q, err := queue.Connect(ctx, queue.Options{URL: url, Build: build})
		if err != nil {
			return err
		}
		defer q.Close()
		for range 2 { // as the death of a worker does, but at once
			task, err := q.Take(ctx, time.Minute)
			if err != nil {
				return err
			}
			if err := task.Release(); err != nil {
				return err
			}
		}
		group.Go(func() {
			if err := worker.Run(ctx, worker.Options{Queue: queue.Options{URL: url, Build: build}, Name: "w", Dir: dir, Threads: 1}); err != nil {
				t.Error(err)
			}
		})
		return nil
	}
	w := &witness{}
	r := mustRun(t, p, o, w)
	cancel()
	group.Wait()
	if r.Failed != 1 || !strings.Contains(w.ended[0].Error, "handed out 2 times") {
		t.Errorf("report %+v, %+v", r, w.ended)
	}
}

func TestPlansThatAreNone(t *testing.T) {
	bad := train.Default()
	bad.Model = "mlp:1-10"
	worse := train.Default()
	worse.Batch = 100_000
	for _, configs := range [][]train.Config{nil, {bad}, {train.Default(), worse}} {
		_, err := NewPlan(context.Background(), configs)
		var request *request.Error
		if !errors.As(err, &request) {
			t.Errorf("%d runs: %v", len(configs), err)
		}
	}
}
