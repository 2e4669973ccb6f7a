package sweep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sgflow/engine/lock"
	"sgflow/engine/request"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// Names in a sweep folder.
const (
	queueDir   = "queue"
	workDir    = "work"
	lockFile   = "lock"
	workersLog = "workers.log"
)

// What is noted of the whole sweep in the store.
const (
	valueID     = "id"
	valueBuild  = "build"
	valueHashes = "data."    // and the data set's name
	valueShared = "weights." // and the path
)

// sweep is one under way.
type sweep struct {
	o       *Options
	w       Watcher
	plan    *Plan
	store   *store.Store
	q       *queue.Queue
	server  *queue.Server // nil where it is elsewhere
	id      string
	shipped map[string][]queue.File
	weights map[string]queue.File

	mu      sync.Mutex           // guards what follows, and calls of w
	open    map[string]store.Run // runs of the plan that are neither done nor failed
	waiting map[string]bool      // those of them that wait for their next try
	report  Report
	last    time.Time // of the last outcome
}

// errOver ends the wait for outcomes when there is nothing to wait for.
var errOver = errors.New("sweep: all runs are done or have failed")

// Run does the runs of the plan that are not done, and returns when each is
// done or has failed. A sweep folder that holds a sweep is taken up; its failed
// runs are tried again, unless they would fail again. Where ctx ends first the
// error is train.ErrInterrupted, wrapped, and what is under way goes on at the
// next call.
func Run(ctx context.Context, plan *Plan, o Options, w Watcher) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return nil, &request.Error{Err: fmt.Errorf("sweep: %w", err)}
	}
	held, err := lock.Try(filepath.Join(o.Dir, lockFile))
	if errors.Is(err, lock.ErrHeld) {
		return nil, &request.Error{Err: fmt.Errorf("sweep: %s is being run by another process: wait for it, or give this sweep another --name", o.Dir)}
	}
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	defer held.Close()
	s := &sweep{o: &o, w: w, plan: plan, open: map[string]store.Run{}, waiting: map[string]bool{}, last: time.Now()}
	own := o.Queue.URL == ""
	err = s.run(ctx)
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if err == nil && own {
		for _, dir := range []string{queueDir, workDir} {
			err = errors.Join(err, os.RemoveAll(filepath.Join(o.Dir, dir)))
		}
	}
	return &s.report, err
}

// run does what Run does within the lock.
func (s *sweep) run(ctx context.Context) error {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.note(ctx); err != nil {
		return err
	}
	if len(s.open) == 0 {
		return nil
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer s.disconnect()
	// What was reported and not gathered when the sweep was last stopped.
	if err := s.gather(ctx, false); errors.Is(err, errOver) {
		return s.leave(ctx)
	} else if err != nil {
		return s.interrupted(ctx, err)
	}
	if err := s.ship(ctx); err != nil {
		return s.interrupted(ctx, err)
	}
	if err := s.submit(ctx); err != nil {
		return s.interrupted(ctx, err)
	}
	if s.o.Ready != nil {
		if err := s.o.Ready(s.o.Queue.URL); err != nil {
			return err
		}
	}
	return s.work(ctx)
}

// work runs the local workers and gathers until there is nothing left.
func (s *sweep) work(ctx context.Context) error {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := s.q.Watch(s.id, func(p *queue.Progress) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.w.Progressed(p)
	}); err != nil {
		return err
	}
	var group sync.WaitGroup
	stop := func() {}
	if s.o.Slurm != nil {
		end, err := s.submitArray(ctx)
		if err != nil {
			return err
		}
		stop = end
	}
	if s.o.Workers > 0 {
		p, err := s.startWorkers(working, cancel)
		if err != nil {
			return err
		}
		stop = p.stop
	}
	group.Go(func() { s.watchQueue(working, cancel) })
	err := s.gather(working, true)
	cause := context.Cause(working)
	cancel(nil)
	stop()
	group.Wait()
	switch {
	case errors.Is(err, errOver):
		return s.leave(ctx)
	case ctx.Err() != nil:
		// What the workers finished before they stopped.
		rest, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer done()
		if err := s.gather(rest, false); errors.Is(err, errOver) {
			return s.leave(rest)
		}
		return s.interrupted(ctx, ctx.Err())
	case errors.Is(err, context.Canceled) && cause != nil:
		return cause
	}
	return err
}

// leave takes the sweep, which is over, out of the queue.
func (s *sweep) leave(ctx context.Context) error {
	if s.server != nil {
		return nil // its folder goes as a whole
	}
	return s.q.Leave(ctx, s.id)
}

// interrupted returns err, or what it means where ctx has ended.
func (s *sweep) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Errorf("sweep: %w with %d of %d runs left: the same command goes on with %s", train.ErrInterrupted, len(s.open), len(s.plan.Runs), s.o.Dir)
}

// openStore opens the store, and mends it where it is damaged.
func (s *sweep) openStore(ctx context.Context) error {
	var err error
	if s.store, err = store.Create(s.o.Dir); err == nil {
		err = s.store.Check(ctx)
	}
	if !errors.Is(err, store.ErrDamaged) {
		return err
	}
	if s.store != nil {
		_ = s.store.Close() // of a file that is put aside
	}
	aside, err2 := store.PutAside(s.o.Dir)
	if err2 != nil {
		return errors.Join(err, err2)
	}
	s.w.Warned(fmt.Sprintf("%v: it was put aside as %s, and a new one is made from the run folders", err, aside))
	s.store, err = store.Create(s.o.Dir)
	return err
}

// note adds the runs of the plan to the store, takes up results that lie in run
// folders, and finds out what is left to do.
func (s *sweep) note(ctx context.Context) error {
	if err := s.sameWorld(ctx); err != nil {
		return err
	}
	if _, err := s.store.Add(ctx, s.plan.Runs); err != nil {
		return err
	}
	if _, err := s.store.Requeue(ctx); err != nil {
		return err
	}
	runs, err := s.planned(ctx)
	if err != nil {
		return err
	}
	adopted := 0
	for i := range runs {
		if r := &runs[i]; r.Status == store.Queued && s.adopt(ctx, r) {
			adopted++
		}
	}
	if adopted > 0 {
		s.w.Warned(fmt.Sprintf("%d results were taken from their run folders", adopted))
		if runs, err = s.planned(ctx); err != nil {
			return err
		}
	}
	for _, r := range runs {
		switch r.Status {
		case store.Done:
			s.report.Done++
			s.report.Reused++
		case store.Failed:
			s.report.Failed++
		default:
			s.open[r.ID] = r
		}
	}
	s.w.Planned(runs)
	return nil
}

// planned returns the runs of the plan as they are in the store.
func (s *sweep) planned(ctx context.Context) ([]store.Run, error) {
	all, err := s.store.Runs(ctx)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.Run, len(all))
	for _, r := range all {
		byID[r.ID] = r
	}
	list := make([]store.Run, len(s.plan.Runs))
	for i, r := range s.plan.Runs {
		stored := byID[r.ID]
		stored.Order = i
		list[i] = stored
	}
	return list, nil
}

// sameWorld gives the sweep its id, and compares what it was begun with: other
// data or weights under the same names are an error, another build is a
// warning.
func (s *sweep) sameWorld(ctx context.Context) error {
	var err error
	if s.id, err = s.value(ctx, valueID, newID); err != nil {
		return err
	}
	if !queue.ValidID(s.id) {
		return fmt.Errorf("sweep: the sweep's id in %s is %.40q: the store was changed by another program", s.o.Dir, s.id)
	}
	build, err := s.value(ctx, valueBuild, func() (string, error) { return s.o.Queue.Build.Text, nil })
	if err != nil {
		return err
	}
	if build != s.o.Queue.Build.Text {
		s.w.Warned(fmt.Sprintf("the sweep was begun by %s, this is %s: the results of the two may differ in the last digits", build, s.o.Queue.Build.Text))
	}
	names := map[string]string{}
	for name, hashes := range s.plan.Hashes {
		names[valueHashes+name] = fmt.Sprint(hashes)
	}
	for i := range s.plan.Runs {
		if path := s.plan.Runs[i].Config.Weights; path != "" && names[valueShared+path] == "" {
			if names[valueShared+path], err = queue.Hash(path); err != nil {
				return &request.Error{Err: err}
			}
		}
	}
	for name, is := range maps.All(names) {
		was, err := s.value(ctx, name, func() (string, error) { return is, nil })
		if err != nil {
			return err
		}
		if was != is {
			return &request.Error{Err: fmt.Errorf("sweep: %s has changed since the sweep in %s was begun (it has another SHA-256): give this sweep another --name", name, s.o.Dir)}
		}
	}
	return nil
}

// value returns what is noted under name; where nothing is, it notes what first
// returns.
func (s *sweep) value(ctx context.Context, name string, first func() (string, error)) (string, error) {
	v, err := s.store.Value(ctx, name)
	if err != nil || v != "" {
		return v, err
	}
	if v, err = first(); err != nil {
		return "", err
	}
	return v, s.store.SetValue(ctx, name, v)
}
