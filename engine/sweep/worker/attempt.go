package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sgflow/engine/lock"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/train"
)

// attempt trains as the task says and stores the files of the run folder,
// which it returns locked; nil where it did not come so far.
func (w *worker) attempt(ctx context.Context, task *queue.Task, o *queue.Outcome) (f *folder, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("worker: the run panicked: %v", r)
		}
	}()
	if task.MostDeliveries > 0 && task.Deliveries > task.MostDeliveries {
		o.GiveUp = true
		return nil, fmt.Errorf("worker: given up: the run was handed out %d times, and each time its worker was lost or stopped", task.MostDeliveries)
	}
	f, err = lockFolder(w.o.Dir, task)
	if err != nil {
		return nil, err
	}
	config := task.Config
	config.Out, config.Threads = f.dir, w.o.Threads
	if w.device != "" && config.Device == train.Default().Device {
		config.Device = w.device
	}
	config.Weights = ""
	if task.Weights != nil {
		if config.Weights, err = w.shared(ctx, *task.Weights); err != nil {
			return f, err
		}
	}
	set, err := w.data.open(ctx, w, &task.Job)
	if err != nil {
		return f, err
	}
	r := &reporter{w: w, sweep: task.Sweep, run: task.Run}
	if err := w.train(ctx, config, r, problem.WithData(set)); err != nil {
		var request *request.Error
		o.Final = errors.Is(err, train.ErrDiverged) || errors.As(err, &request)
		return f, withoutAdvice(err)
	}
	names := []string{"run.json", "steps.jsonl", "epochs.jsonl"}
	if task.KeepWeights {
		names = append(names, filepath.Base(record.WeightsPath("")))
	}
	for _, name := range names {
		path := filepath.Join(f.dir, name)
		if name == filepath.Base(record.WeightsPath("")) {
			path = record.WeightsPath(f.dir)
		}
		file, err := w.q.Put(ctx, task, path)
		if err != nil {
			return f, &ownError{err}
		}
		o.Files = append(o.Files, file)
	}
	return f, nil
}

// withoutAdvice returns an error of training without what it says of going on
// in the run folder: that is the worker's business.
func withoutAdvice(err error) error {
	text := err.Error()
	for _, advice := range []string{"; try a lower --lr", "; what was logged is kept"} {
		text, _, _ = strings.Cut(text, advice)
	}
	return &adviceless{text, err}
}

// adviceless is an error with a shorter text.
type adviceless struct {
	text string
	err  error
}

func (e *adviceless) Error() string { return e.text }
func (e *adviceless) Unwrap() error { return e.err }

// train goes on with the run in the folder c.Out, if it is this run's, or
// starts it.
func (w *worker) train(ctx context.Context, c train.Config, r *reporter, with problem.Option) error {
	if stored, err := train.ReadConfig(c.Out); err == nil {
		threads := c.Threads
		if c.Threads = stored.Threads; stored == c {
			c.Threads = threads
			_, err := train.Resume(ctx, c.Out, c, r, with)
			var request *request.Error
			if !errors.As(err, &request) {
				return err
			}
			w.o.Log(fmt.Sprintf("run %s starts anew: %v", r.run, err))
		}
		c.Threads = threads
	}
	_, err := train.Run(ctx, c, true, r, with)
	return err
}

// folder is the folder of a run under way, locked against other workers.
type folder struct {
	dir  string
	lock *os.File
}

// lockFolder returns the folder of a task in dir: the one that an earlier
// attempt left, unless another worker is in it, who has been given the same
// run.
func lockFolder(dir string, task *queue.Task) (*folder, error) {
	base := filepath.Join(dir, task.Sweep+"-"+task.Run)
	for n := 0; ; n++ {
		path := base
		if n > 0 {
			path = fmt.Sprintf("%s-%d", base, n)
		}
		held, err := lock.Try(path + ".lock")
		if errors.Is(err, lock.ErrHeld) {
			continue
		}
		if err != nil {
			return nil, &ownError{fmt.Errorf("worker: %w", err)}
		}
		return &folder{path, held}, nil
	}
}

// unlock lets others use the folder.
func (f *folder) unlock() { _ = f.lock.Close() }

// remove removes the folder. Its lock file stays until the sweep ends: one that
// is removed while another worker waits for it would lock nothing.
func (f *folder) remove() error {
	if err := os.RemoveAll(f.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// reporter tells the sweep how far the run is.
type reporter struct {
	w     *worker
	sweep string
	run   string
	steps int
	told  time.Time
}

// often is how often progress is told.
const often = 250 * time.Millisecond

// Started tells that the run has begun.
func (r *reporter) Started(i *train.Info) {
	r.steps = i.Steps
	r.tell(i.First, 0)
}

// Stepped tells how far the run is, now and then.
func (r *reporter) Stepped(s *record.Step) {
	if time.Since(r.told) >= often {
		r.tell(s.Step+1, s.Loss)
	}
}

func (r *reporter) tell(step int, loss float64) {
	r.told = time.Now()
	r.w.q.Tell(r.sweep, &queue.Progress{Worker: r.w.name, Run: r.run, Step: step, Steps: r.steps, Loss: loss})
}

// EpochEnded does nothing: epochs are in the log.
func (r *reporter) EpochEnded(*record.Epoch) {}

// Measured does nothing: costs are in run.json.
func (r *reporter) Measured([]record.Cost) {}

// Warned logs the warning.
func (r *reporter) Warned(text string) { r.w.o.Log(fmt.Sprintf("run %s: %s", r.run, text)) }
