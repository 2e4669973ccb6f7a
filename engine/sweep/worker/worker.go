package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"sgflow/engine/sweep/queue"
)

// Options say how a worker works.
type Options struct {
	Queue queue.Options
	// Name is what results and progress call the worker.
	Name string
	// Dir is the worker's folder, for runs under way and data sets that
	// travelled. Workers may share one.
	Dir string
	// Devices are what to compute on; on each goes one run at a time. The
	// device "" is the one that the run asks for.
	Devices []string
	// Threads is how many CPU threads a run gets; 0 is all cores.
	Threads int
	// Idle ends the worker once there has been nothing to do for so long; 0 is
	// never.
	Idle time.Duration
	// Log is told in a line what happens. Nil for nobody.
	Log func(text string)
}

// Run works until ctx ends, which is no error, or there was nothing to do for
// Options.Idle. An error is that of a queue that cannot be used or that is
// another version's (queue.ErrBuild), or of a folder that cannot be written; the
// run at hand is handed back.
func Run(ctx context.Context, o Options) error {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if len(o.Devices) == 0 {
		o.Devices = []string{""}
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	o.Queue.Warn = o.Log
	q, err := queue.Connect(ctx, o.Queue)
	if err != nil {
		return err
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(o.Devices))
	var group sync.WaitGroup
	for i, device := range o.Devices {
		group.Go(func() {
			w := &worker{o: &o, q: q, device: device, name: o.Name}
			if len(o.Devices) > 1 {
				w.name += "/" + device
			}
			if errs[i] = w.loop(ctx); errs[i] != nil {
				cancel() // the others hand their runs back
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// worker does runs on one device.
type worker struct {
	o      *Options
	q      *queue.Queue
	name   string
	device string
	data   cache
}

// loop does runs until there are none, or ctx ends.
func (w *worker) loop(ctx context.Context) error {
	for {
		task, err := w.q.Take(ctx, w.o.Idle)
		if ctx.Err() != nil {
			if task != nil {
				return task.Release()
			}
			return nil
		}
		if task == nil || err != nil {
			return err
		}
		if err := w.do(ctx, task); err != nil {
			return err
		}
	}
}

// do does a run and reports its outcome, or hands the run back where ctx ends
// first.
func (w *worker) do(ctx context.Context, task *queue.Task) error {
	stop := keepAlive(task)
	defer stop()
	w.o.Log(fmt.Sprintf("run %s: %s, batch %d, rate %g, seed %d", task.Run, task.Config.Model, task.Config.Batch, task.Config.LR, task.Config.Seed))
	outcome := &queue.Outcome{Run: task.Run, Worker: w.name, Started: time.Now()}
	defer w.q.Tell(task.Sweep, &queue.Progress{Worker: w.name})
	folder, err := w.attempt(ctx, task, outcome)
	if folder != nil {
		defer folder.unlock()
	}
	if ctx.Err() != nil {
		w.o.Log(fmt.Sprintf("run %s: stopped, and handed back", task.Run))
		return task.Release()
	}
	var own *ownError
	if errors.As(err, &own) || isFull(err) {
		return errors.Join(err, task.Release())
	}
	outcome.Finished = time.Now()
	if err != nil {
		outcome.Error = err.Error()
		w.o.Log(fmt.Sprintf("run %s: failed: %v", task.Run, err))
	}
	if err := w.q.Report(ctx, task, outcome); err != nil {
		return errors.Join(err, task.Release())
	}
	// Where this fails the run is delivered again and its second result
	// counts for nothing.
	if err := task.Done(ctx); err != nil {
		w.o.Log(err.Error())
	}
	if folder != nil && (err == nil || outcome.Final) {
		return folder.remove()
	}
	return nil
}

// ownError is an error of the worker that says nothing of the run: another
// worker may well do it.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// isFull reports whether an error says that there is no room for a file.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// keepAlive says that the worker is alive until stop is called.
func keepAlive(task *queue.Task) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(task.Lease / 4)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = task.Beat() // where it does not arrive the next may
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		group.Wait()
	}
}
