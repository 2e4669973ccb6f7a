package report

import (
	"context"
	"errors"
	"fmt"

	"sgflow/engine/sweep/store"
)

// sweep loads the runs of the sweep in dir from its store; their steps come from
// the run folders that are there.
func (l *loader) sweep(ctx context.Context, dir string) (err error) {
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Check(ctx); err != nil {
		return err
	}
	runs, err := s.Runs(ctx)
	if err != nil {
		return err
	}
	windows, err := s.AllWindows(ctx)
	if err != nil {
		return err
	}
	var loaded []*Run
	queued := 0
	for i := range runs {
		stored := &runs[i]
		folder := store.RunFolder(dir, stored.ID)
		if stored.Status == store.Queued {
			queued++
			continue
		}
		r := newRun(stored.ID, stored.Config)
		r.Folder, r.Error = folder, stored.Error
		if stored.Summary != nil {
			r.end(stored.Summary)
			r.windows(windows[stored.ID])
			environment, err := s.Environment(ctx, stored.ID)
			if err != nil {
				return err
			}
			epochs, err := s.Epochs(ctx, stored.ID)
			if err != nil {
				return err
			}
			r.epochs(epochs)
			r.Device, r.Version = environment["device"], environment["version.sgflow"]
		}
		loaded = append(loaded, r)
	}
	for _, r := range loaded {
		if l.fresh(r.Folder) {
			l.Runs = append(l.Runs, r)
		}
	}
	if queued > 0 {
		l.note("%s: %d of %d runs are not done yet", dir, queued, len(runs))
	}
	if len(runs) == 0 {
		return fmt.Errorf("report: %s: %w in the sweep's store", dir, ErrNoRuns)
	}
	return nil
}
