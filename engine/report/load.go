package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// Run is a run with what only its page shows.
type Run struct {
	analysis.Run
	Folder  string
	Config  train.Config
	Device  string
	Version string // of sgflow
	Series  Series
}

// Loaded are the runs that were found.
type Loaded struct {
	Runs []*Run
	// Notes say what was amiss with files, one line each.
	Notes []string
}

// ErrNoRuns is the error of folders that hold no run.
var ErrNoRuns = errors.New("no runs")

// Load reads the runs in folders. Each is a sweep folder, a run folder or a folder
// of either, to a depth of three. A folder that cannot be read or holds no run is
// an error, ErrNoRuns wrapped; a damaged run or store is a note. progress, unless it
// is nil, is told of how many runs how many are read, by one goroutine at a time.
func Load(ctx context.Context, progress func(done, total int), dirs ...string) (*Loaded, error) {
	l := &loader{seen: map[string]bool{}}
	for _, dir := range dirs {
		before := l.found
		if err := l.visit(ctx, dir, depth); err != nil {
			return nil, err
		}
		if l.found == before {
			return nil, fmt.Errorf("report: %s: %w: give the folder of a sweep, of a run, or of several", dir, ErrNoRuns)
		}
	}
	if err := l.steps(ctx, progress); err != nil {
		return nil, err
	}
	return &l.Loaded, nil
}

// depth is how far below a given folder runs are sought.
const depth = 3

type loader struct {
	Loaded
	seen  map[string]bool // folders of runs
	found int             // runs and stores, damaged ones too
}

func (l *loader) note(format string, args ...any) {
	l.Notes = append(l.Notes, fmt.Sprintf(format, args...))
}

// visit loads what dir is: a sweep, a run, or a folder to look into.
func (l *loader) visit(ctx context.Context, dir string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	switch {
	case has(store.File):
		l.found++
		err := l.sweep(ctx, dir)
		if err == nil || ctx.Err() != nil {
			return err
		}
		l.note("%v; its run folders are read instead", err)
	case has("run.json"):
		l.run(dir)
		return nil
	}
	if depth == 0 {
		return nil
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		if err := l.visit(ctx, filepath.Join(dir, e.Name()), depth-1); err != nil {
			if ctx.Err() != nil {
				return err
			}
			l.note("%v", err)
		}
	}
	return nil
}

// fresh reports whether the run folder is new, and remembers it.
func (l *loader) fresh(dir string) bool {
	path, err := filepath.Abs(dir)
	if err != nil {
		path = dir
	}
	if l.seen[path] {
		return false
	}
	l.seen[path] = true
	return true
}

// run loads a run folder.
func (l *loader) run(dir string) {
	l.found++
	if !l.fresh(dir) {
		return
	}
	config := train.Default()
	stored, err := record.ReadRun(dir, &config)
	if err != nil {
		l.note("%v; the run is left out", err)
		return
	}
	r := newRun(filepath.Base(dir), config)
	r.Folder, r.Device, r.Version = dir, stored.Device, stored.Versions["sgflow"]
	if s := stored.Summary; s != nil {
		r.end(s)
	}
	epochs, err := record.ReadEpochs(filepath.Join(dir, "epochs.jsonl"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.note("%v; the run is reported without its epochs", err)
	}
	r.epochs(epochs)
	l.Runs = append(l.Runs, r)
}

// steps reads the steps of all runs, on all cores, as it is most of the work.
func (l *loader) steps(ctx context.Context, progress func(done, total int)) error {
	notes := make([]string, len(l.Runs))
	var next atomic.Int64
	var readers sync.WaitGroup
	var mu sync.Mutex // of done and progress
	done := 0
	for range runtime.GOMAXPROCS(0) {
		readers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(l.Runs) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := l.Runs[i].readSteps(); err != nil {
					notes[i] = fmt.Sprintf("%v; the run is reported without its steps", err)
				}
				mu.Lock()
				if done++; progress != nil {
					progress(done, len(l.Runs))
				}
				mu.Unlock()
			}
		})
	}
	readers.Wait()
	for _, n := range notes {
		if n != "" {
			l.Notes = append(l.Notes, n)
		}
	}
	return ctx.Err()
}

// readSteps reads the run's steps, where there are any, and averages them.
func (r *Run) readSteps() error {
	steps, err := record.ReadSteps(filepath.Join(r.Folder, "steps.jsonl"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(steps) == 0:
		return nil
	}
	if r.Config.Sampling == "full" {
		r.Setting.Batch = steps[0].Samples
	}
	r.Noise = make([]analysis.NoiseAt, len(steps))
	for i := range steps {
		v, g := steps[i].Noise.Get("grad_var_trace"), steps[i].Noise.Get("grad_norm_sq_unbiased")
		if !v.IsZero() && !g.IsZero() {
			r.Noise[i] = analysis.NoiseAt{VarTrace: v, NormSq: g}
		}
		r.Loss = append(r.Loss, steps[i].Loss)
		if x, ok := steps[i].Accuracy.Get(); ok {
			r.Accuracy = append(r.Accuracy, x)
		}
	}
	if len(r.Accuracy) != len(r.Loss) {
		r.Accuracy = nil
	}
	r.Steps = max(r.Steps, len(steps))
	if r.Phases[0].Means == nil {
		r.windows(store.Summarize(steps))
	}
	r.Series = newSeries(steps)
	return nil
}

// newRun returns a run that has not ended.
func newRun(name string, c train.Config) *Run {
	r := &Run{Config: c}
	r.Name, r.Seed = name, c.Seed
	r.Setting = analysis.Setting{Batch: c.Batch, LR: c.LR, Momentum: c.Momentum, Epochs: c.Epochs, Steps: c.Steps}
	if c.Steps > 0 {
		r.Setting.Epochs = 0
	}
	r.Fixed, r.Until = fixed(c), c.Until
	if t, err := analysis.ParseTarget(c.Until); err == nil {
		r.Until = t.String()
	}
	return r
}

// end sets how the run ended.
func (r *Run) end(s *record.Summary) {
	r.Ended, r.Steps, r.Seconds, r.Params = true, s.Steps, s.Seconds, s.Params
	r.Final = analysis.Final{
		TrainLoss: s.TrainLoss, TrainAccuracy: s.TrainAccuracy,
		TestLoss: s.TestLoss, TestAccuracy: s.TestAccuracy,
	}
	r.Reached = s.Reached != nil && *s.Reached
}

// epochs sets the evaluations of the test set.
func (r *Run) epochs(list []record.Epoch) {
	for _, e := range list {
		r.Evaluations = append(r.Evaluations, analysis.Evaluation{Steps: e.Step + 1, Loss: e.TestLoss, Accuracy: e.TestAccuracy})
	}
}

// windows sets the phases.
func (r *Run) windows(list []store.Window) {
	for i, w := range list {
		if i >= len(r.Phases) {
			return
		}
		p := &r.Phases[i]
		p.First, p.Last, p.Means = w.First, w.Last, nil
		for _, m := range w.Means {
			p.Means = append(p.Means, record.Number{Name: m.Name, X: m.Mean})
		}
	}
}
