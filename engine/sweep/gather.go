package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sgflow/engine/record"
	"sgflow/engine/sweep/grid"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// gather takes outcomes until no run is open, errOver, or, without wait, until
// there is no outcome left.
func (s *sweep) gather(ctx context.Context, wait bool) error {
	if s.left() == 0 {
		return errOver
	}
	over := false
	gathering, cancel := context.WithCancel(ctx)
	defer cancel()
	err := s.q.Outcomes(gathering, s.id, wait, func(o *queue.Outcome) error {
		err := s.outcome(ctx, o)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last = time.Now()
		if over = len(s.open) == 0; over {
			cancel() // the outcome at hand is still acknowledged
		}
		return err
	})
	if over {
		return errOver
	}
	return err
}

// left returns how many runs are neither done nor failed.
func (s *sweep) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// outcome stores how an attempt at a run ended. An error means that it could
// not be stored, and is to be handed over again.
func (s *sweep) outcome(ctx context.Context, o *queue.Outcome) error {
	r, ok, err := s.store.Run(ctx, o.Run)
	if err != nil {
		return err
	}
	if !ok || r.Status == store.Done {
		s.discard(ctx, o)
		return nil
	}
	if o.Error == "" {
		err := s.fetch(ctx, o)
		var wrong *wrongResult
		if !errors.As(err, &wrong) {
			if err == nil {
				err = s.finish(ctx, o.Run, o.Worker, o.Started, o.Finished)
			}
			if err != nil && !errors.As(err, &wrong) {
				return fmt.Errorf("sweep: the result of run %s: %w; what is done is kept: when that is put right, the same command goes on", o.Run, err)
			}
		}
		if err == nil {
			s.discard(ctx, o)
			return nil
		}
		o.Error = err.Error()
	}
	defer s.discard(ctx, o)
	return s.failed(ctx, &r, o)
}

// discard removes the files of an outcome from the object store.
func (s *sweep) discard(ctx context.Context, o *queue.Outcome) {
	for _, f := range o.Files {
		s.q.Remove(ctx, f)
	}
}

// failed notes a failed attempt, and submits the run again where it is to be
// tried again.
func (s *sweep) failed(ctx context.Context, r *store.Run, o *queue.Outcome) error {
	giveUp := o.Final || o.GiveUp || r.Attempts >= s.o.Retries
	text := strings.Join(strings.Fields(o.Error), " ")
	attempts, err := s.store.Fail(ctx, &store.Failure{
		ID: r.ID, Worker: o.Worker, Started: o.Started, Finished: o.Finished, Error: text, GiveUp: giveUp, Final: o.Final,
	})
	if err != nil {
		return err
	}
	order := s.order(r.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.open[r.ID]; !ok {
		return nil // of an earlier call with other runs
	}
	r.Order, r.Error, r.Attempts, r.Worker = order, text, attempts, o.Worker
	if giveUp {
		r.Status, r.Final = store.Failed, o.Final
		delete(s.open, r.ID)
		s.report.Failed++
		s.w.Finished(r)
		return nil
	}
	s.open[r.ID] = *r
	s.waiting[r.ID] = true
	pause := s.o.RetryWait << min(attempts-1, 16)
	s.w.Retrying(r, pause)
	again := *r
	time.AfterFunc(pause, func() {
		s.mu.Lock()
		delete(s.waiting, again.ID)
		s.mu.Unlock()
		jobs, err := s.jobs([]store.Run{again})
		if err == nil {
			err = s.q.Submit(ctx, jobs)
		}
		if err != nil && ctx.Err() == nil {
			s.warn(err.Error()) // the next look at the queue submits it
		}
	})
	return nil
}

// order returns the place of a run in the plan.
func (s *sweep) order(id string) int {
	for i := range s.plan.Runs {
		if s.plan.Runs[i].ID == id {
			return i
		}
	}
	return 0
}

// wrongResult is the error of a result that is not what was asked for.
type wrongResult struct{ err error }

func (e *wrongResult) Error() string { return "sweep: the result is not the run's: " + e.err.Error() }
func (e *wrongResult) Unwrap() error { return e.err }

// The files that a result may have, and must have.
var (
	resultFiles = map[string]bool{"run.json": true, "steps.jsonl": true, "epochs.jsonl": true, "weights.safetensors": false}
)

// fetch puts the files of a result into the run's folder.
func (s *sweep) fetch(ctx context.Context, o *queue.Outcome) error {
	got := map[string]bool{}
	for _, f := range o.Files {
		if _, ok := resultFiles[f.Name]; !ok || got[f.Name] {
			return &wrongResult{fmt.Errorf("it has a file %.120q", f.Name)}
		}
		got[f.Name] = true
	}
	for name, needed := range resultFiles {
		if needed && !got[name] {
			return &wrongResult{fmt.Errorf("it has no %s", name)}
		}
	}
	final := store.RunFolder(s.o.Dir, o.Run)
	dir := final + ".new"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, f := range o.Files {
		path := filepath.Join(dir, f.Name)
		if f.Name == "weights.safetensors" {
			path = record.WeightsPath(dir)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := s.q.Get(ctx, f, path); errors.Is(err, queue.ErrFile) {
			return &wrongResult{err}
		} else if err != nil {
			return err
		}
	}
	if err := s.settle(dir, o.Run); err != nil {
		return err
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(dir, final)
}

// settle makes the run.json in dir say where the run is now, after checking
// that it is the run id's.
func (s *sweep) settle(dir, id string) error {
	var c train.Config
	run, err := record.ReadRun(dir, &c)
	if err != nil {
		return &wrongResult{err}
	}
	if run.Summary == nil {
		return &wrongResult{errors.New("run.json has no summary")}
	}
	i := s.order(id)
	asked := s.plan.Runs[i].Config
	if s.plan.Runs[i].ID != id {
		stored, ok, err := s.store.Run(context.Background(), id)
		if err != nil || !ok {
			return errors.Join(err, fmt.Errorf("sweep: no run %s", id))
		}
		asked = stored.Config
	}
	// The worker chooses device and folders.
	c.Weights, c.Device = asked.Weights, asked.Device
	if grid.ID(c) != id {
		return &wrongResult{fmt.Errorf("run.json is that of another configuration, %s", Title(&c))}
	}
	out := filepath.ToSlash(filepath.Join("runs", id))
	c = grid.Canonical(c)
	c.Out = out
	run.Summary.Out = out
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return err
	}
	return record.WriteFileAtomic(filepath.Join(dir, "run.json"), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// finish notes the result in a run folder, and that the run is done.
func (s *sweep) finish(ctx context.Context, id, worker string, started, finished time.Time) error {
	result, err := readResult(s.o.Dir, id)
	if err != nil {
		return err
	}
	if worker != "" {
		result.Worker, result.Environment["worker"] = worker, worker
		result.Started, result.Finished = started, finished
	}
	if _, err := s.store.Finish(ctx, result); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.open[id]
	if !ok {
		return nil
	}
	delete(s.open, id)
	delete(s.waiting, id)
	s.report.Done++
	r.Status, r.Summary, r.Worker, r.Started, r.Finished = store.Done, &result.Summary, result.Worker, result.Started, result.Finished
	r.Attempts++
	r.Error = ""
	s.w.Finished(&r)
	return nil
}

// readResult reads a run folder of the sweep folder dir.
func readResult(dir, id string) (*store.Result, error) {
	folder := store.RunFolder(dir, id)
	var c train.Config
	run, err := record.ReadRun(folder, &c)
	if err != nil {
		return nil, &wrongResult{err}
	}
	if run.Summary == nil {
		return nil, &wrongResult{errors.New("run.json has no summary")}
	}
	windows, err := store.SummarizeFile(filepath.Join(folder, "steps.jsonl"), run.Summary.Steps)
	if err != nil {
		return nil, &wrongResult{err}
	}
	epochs, err := record.ReadEpochs(filepath.Join(folder, "epochs.jsonl"))
	if err != nil {
		return nil, &wrongResult{err}
	}
	environment := map[string]string{"device": run.Device}
	for name, version := range run.Versions {
		environment["version."+name] = version
	}
	for name, hash := range run.Data {
		environment["data."+name] = hash
	}
	return &store.Result{
		ID: id, Started: run.Started, Finished: run.Finished, Summary: *run.Summary,
		Windows: windows, Epochs: epochs, Environment: environment,
	}, nil
}

// adopt notes a result whose folder is whole but which the store does not have,
// and reports whether there was one.
func (s *sweep) adopt(ctx context.Context, r *store.Run) bool {
	var c train.Config
	run, err := record.ReadRun(store.RunFolder(s.o.Dir, r.ID), &c)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	c.Device = r.Config.Device
	if err == nil && run.Summary != nil && grid.ID(c) == r.ID {
		err = s.finish(ctx, r.ID, "", time.Time{}, time.Time{})
		if err == nil {
			return true
		}
	}
	s.w.Warned(fmt.Sprintf("the folder of run %s is damaged: the run is done again", r.ID))
	return false
}
