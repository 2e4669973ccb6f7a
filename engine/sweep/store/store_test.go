package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

// open makes a store in a new folder.
func open(t testing.TB) *Store {
	t.Helper()
	s, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// runs are n queued runs.
func runs(n int) []Run {
	list := make([]Run, n)
	for i := range list {
		c := train.Default()
		c.Seed = uint64(i)
		list[i] = Run{ID: fmt.Sprintf("%016x", i), Order: i, Config: c}
	}
	return list
}

func mustAdd(t testing.TB, s *Store, list []Run) {
	t.Helper()
	if _, err := s.Add(context.Background(), list); err != nil {
		t.Fatal(err)
	}
}

// result is one with something in every table.
func result(id string) *Result {
	began := time.Unix(1000, 5).UTC()
	return &Result{
		ID: id, Worker: "w1", Started: began, Finished: began.Add(time.Minute),
		Summary: record.Summary{Steps: 20, Epochs: 2, Seconds: 1.5, Device: "cpu", TestAccuracy: record.Some(0.75), Params: 7, Out: "runs/" + id},
		Windows: []Window{
			{Part: Start, First: 0, Last: 1, Means: []Mean{{"loss", 2.5, 0.1, 2}, {"lambda_max", 3, 0, 1}}},
			{Part: Middle, First: 9, Last: 10, Means: []Mean{{"loss", 1.5, 0.1, 2}}},
			{Part: End, First: 18, Last: 19, Means: []Mean{{"loss", 0.5, 0.1, 2}}},
		},
		Epochs: []record.Epoch{
			{Epoch: 0, Step: 9, TrainLoss: record.Some(1), Seconds: 0.5},
			{Epoch: 1, Step: 19, TrainLoss: record.Some(0.5), TestAccuracy: record.Some(0.75), Seconds: 0.5},
		},
		Environment: map[string]string{"device": "cpu: x", "version.go": "go1"},
	}
}

func TestResultReadsBackAsWritten(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	mustAdd(t, s, runs(2))
	want := result(runs(2)[1].ID)
	if first, err := s.Finish(ctx, want); err != nil || !first {
		t.Fatal(first, err)
	}
	list, err := s.Runs(ctx)
	if err != nil || len(list) != 2 {
		t.Fatal(len(list), err)
	}
	if list[0].Status != Queued || list[0].Summary != nil {
		t.Errorf("the other run is %+v", list[0])
	}
	got := list[1]
	if got.Status != Done || got.Attempts != 1 || got.Worker != want.Worker || !got.Started.Equal(want.Started) ||
		!got.Finished.Equal(want.Finished) || !reflect.DeepEqual(*got.Summary, want.Summary) || got.Config != runs(2)[1].Config {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if w, err := s.Windows(ctx, want.ID); err != nil || !reflect.DeepEqual(w, want.Windows) {
		t.Errorf("windows %+v, %v", w, err)
	}
	if w, err := s.AllWindows(ctx); err != nil || !reflect.DeepEqual(w, map[string][]Window{want.ID: want.Windows}) {
		t.Errorf("all windows %+v, %v", w, err)
	}
	if e, err := s.Epochs(ctx, want.ID); err != nil || !reflect.DeepEqual(e, want.Epochs) {
		t.Errorf("epochs %+v, %v", e, err)
	}
	if e, err := s.Environment(ctx, want.ID); err != nil || !reflect.DeepEqual(e, want.Environment) {
		t.Errorf("environment %+v, %v", e, err)
	}
}

func TestResultCountsOnce(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	mustAdd(t, s, runs(1))
	r := result(runs(1)[0].ID)
	for i := range 3 {
		again := *r
		again.Worker = fmt.Sprint("worker ", i)
		if first, err := s.Finish(ctx, &again); err != nil || first != (i == 0) {
			t.Fatalf("result %d: first %v, %v", i, first, err)
		}
	}
	if _, err := s.Fail(ctx, &Failure{ID: r.ID, Error: "late", GiveUp: true}); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Run(ctx, r.ID)
	if err != nil || !ok || got.Attempts != 1 || got.Worker != "worker 0" || got.Status != Done || got.Error != "" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.Finish(ctx, result("beef")); err == nil {
		t.Error("a result of a run that is not in the sweep was taken")
	}
}

func TestFailuresAreCountedAndRequeuedUnlessFinal(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	list := runs(3)
	mustAdd(t, s, list)
	for i, f := range []Failure{{ID: list[0].ID, Error: "a"}, {ID: list[0].ID, Error: "b", GiveUp: true}, {ID: list[1].ID, Error: "c", GiveUp: true, Final: true}} {
		if n, err := s.Fail(ctx, &f); err != nil || n != []int{1, 2, 1}[i] {
			t.Fatalf("%d: %d attempts, %v", i, n, err)
		}
	}
	if n, err := s.Requeue(ctx); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	got, err := s.Runs(ctx)
	if err != nil || got[0].Status != Queued || got[0].Error != "b" || got[0].Attempts != 0 || got[1].Status != Failed || got[1].Error != "c" {
		t.Errorf("got %+v, %v", got, err)
	}
	if c, err := s.Counts(ctx); err != nil || !reflect.DeepEqual(c, map[Status]int{Queued: 2, Failed: 1}) {
		t.Errorf("counts %v, %v", c, err)
	}
}

func TestAddingTwiceAddsOnce(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	mustAdd(t, s, runs(3))
	if added, err := s.Add(ctx, runs(5)); err != nil || added != 2 {
		t.Error(added, err)
	}
}

// Several make a new store at once: each change of a file's journal to WAL must be
// waited for by the others, which SQLite leaves to its caller.
func TestManyCreateAtOnce(t *testing.T) {
	for range 30 {
		dir := t.TempDir()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				s, err := Create(dir)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
}

// Two stores on one file, as two processes have, write at once.
func TestTwoWritersAtOnce(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	const each = 40
	var group sync.WaitGroup
	for w := range 2 {
		group.Go(func() {
			s, err := Create(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for _, r := range runs(2 * each)[w*each : (w+1)*each] {
				if _, err := s.Add(ctx, []Run{r}); err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Finish(ctx, result(r.ID)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if c, err := s.Counts(ctx); err != nil || c[Done] != 2*each {
		t.Errorf("%v, %v", c, err)
	}
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
}

func TestMissingAndDamagedStoresAreNamed(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNone) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), []byte("this is no database, but long enough to be read as one of its pages"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("a text file: %v", err)
	}
}

func TestSummarizeWindows(t *testing.T) {
	var steps []record.Step
	for i := range 25 {
		x := float64(i)
		s := record.Step{Step: i, LR: 0.1, Loss: x, Noise: record.Numbers{{Name: "grad_var_trace", X: 2 + x}, {Name: "grad_norm_sq_unbiased", X: 1 + x*x}, {Name: "noise_scale", X: 99}}}
		if i%2 == 0 {
			s.Flatness = record.Numbers{{Name: "lambda_max", X: x}}
		}
		steps = append(steps, s)
	}
	windows := Summarize(steps)
	if len(windows) != 3 {
		t.Fatal(len(windows))
	}
	// A tenth of 25 steps, rounded up, is 3.
	for i, want := range []struct {
		part        Part
		first, last int
		loss        float64
		lambda      float64
		lambdas     int
	}{{Start, 0, 2, 1, 1, 2}, {Middle, 11, 13, 12, 12, 1}, {End, 22, 24, 23, 23, 2}} {
		w := windows[i]
		loss, _ := w.Get("loss")
		lambda, _ := w.Get("lambda_max")
		if w.Part != want.part || w.First != want.first || w.Last != want.last || loss.Mean != want.loss || loss.SD != 1 || loss.N != 3 ||
			lambda.Mean != want.lambda || lambda.N != want.lambdas {
			t.Errorf("window %+v, want %+v", w, want)
		}
	}
	scale, ok := windows[0].Get("noise_scale")
	// Means of 2,3,4 and of 1,2,5: 3 / (8/3). Variances 1 and 13/3, covariance 2.
	r := 9.0 / 8
	sd := math.Sqrt(1+r*r*13/3-2*r*2) / (8.0 / 3)
	if !ok || math.Abs(scale.Mean-r) > 1e-15 || math.Abs(scale.SD-sd) > 1e-15 || scale.N != 3 {
		t.Errorf("noise scale %+v, want %v ± %v of 3", scale, r, sd)
	}
	if Summarize(nil) != nil {
		t.Error("windows of no steps")
	}
}

// A number that a window lacks is that of the nearest step.
func TestSparseNumbersComeFromTheNearestStep(t *testing.T) {
	dir := t.TempDir()
	var steps []record.Step
	var text []byte
	for i := range 40 {
		s := record.Step{Step: i, LR: 0.1, Loss: 1}
		if i%15 == 0 { // 0, 15, 30; windows are 0–3, 18–21, 36–39
			s.Flatness = record.Numbers{{Name: "lambda_max", X: float64(i)}}
		}
		steps = append(steps, s)
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	path := filepath.Join(dir, "steps.jsonl")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	windows := Summarize(steps)
	for i, want := range []float64{0, 15, 30} {
		if m, ok := windows[i].Get("lambda_max"); !ok || m.Mean != want || m.N != 1 {
			t.Errorf("window %d has %+v, want %v", i, m, want)
		}
	}
	fromFile, err := SummarizeFile(path, 40)
	if err != nil || !reflect.DeepEqual(fromFile, windows) {
		t.Errorf("from the file %+v, %v; want %+v", fromFile, err, windows)
	}
	if _, err := SummarizeFile(path, 41); err == nil {
		t.Error("a file that lacks a step was taken")
	}
}

func TestListOfTenThousandRuns(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	mustAdd(t, s, runs(10_000))
	began := time.Now()
	list, err := s.Runs(ctx)
	if err != nil || len(list) != 10_000 {
		t.Fatal(len(list), err)
	}
	t.Logf("listed in %v", time.Since(began))
}
