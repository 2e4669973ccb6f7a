package sweep

import (
	"errors"
	"fmt"
	"time"

	"sgflow/engine/request"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
)

// Options say how a sweep is run.
type Options struct {
	// Dir is the sweep folder.
	Dir string
	// Queue says where the queue is; with no URL the process serves its own.
	Queue queue.Options
	// Workers is how many local workers to start, and Threads how many threads
	// each gets.
	Workers, Threads int
	// Slurm starts the workers as a Slurm job array instead, where not nil.
	Slurm *Slurm
	// Retries is how often a run that failed is tried again, RetryWait the
	// pause before the first time; it doubles from one to the next.
	Retries   int
	RetryWait time.Duration
	// Lease is how long a worker may be silent before its run is handed to
	// another, and MostDeliveries how often a run is handed out before it is
	// given up as one that kills its workers.
	Lease          time.Duration
	MostDeliveries int
	// KeepWeights keeps the final weights of every run.
	KeepWeights bool
	// ShipData sends data sets to the workers through the queue.
	ShipData bool
	// WorkerCommand is the command line of a local worker: an executable and
	// arguments before those that Run adds; this program's `worker` where nil.
	WorkerCommand []string
	// Ready is called once runs are queued, before waiting for results: with
	// the address of the queue.
	Ready func(url string) error
}

// Validate returns a request.Error for options that no sweep can have.
func (o *Options) Validate() error {
	bad := func(flag string, value any, advice string) error {
		return &request.Error{Err: fmt.Errorf("--%s %v: %s", flag, value, advice)}
	}
	switch {
	case o.Workers < 0 || o.Workers > 1000:
		return bad("workers", o.Workers, "give a number from 0 to 1000")
	case o.Threads < 0:
		return bad("threads", o.Threads, "give 1 or more, or 0 to share the cores")
	case o.Retries < 0:
		return bad("retries", o.Retries, "give 0 or more")
	case o.RetryWait < 0:
		return bad("retry-wait", o.RetryWait, "give 0s or more")
	case o.Lease < time.Second:
		return bad("lease", o.Lease, "give 1s or more")
	case o.MostDeliveries < 1:
		return bad("deliveries", o.MostDeliveries, "give 1 or more")
	case o.Slurm != nil && (o.Slurm.Tasks < 1 || o.Slurm.Tasks > 100_000):
		return bad("workers", o.Slurm.Tasks, "a Slurm job array has from 1 to 100000 tasks")
	case o.Slurm != nil && !canSubmit():
		return &request.Error{Err: errors.New("--slurm: there is no sbatch on this machine: run the sweep where jobs are submitted")}
	case o.Workers == 0 && o.Queue.URL == "" && o.Ready == nil && o.Slurm == nil:
		return bad("workers", 0, "without a --nats server nobody could do the runs: give 1 or more")
	}
	return nil
}

// Watcher is told what a sweep does. The calls come one at a time, from
// goroutines of Run.
type Watcher interface {
	// Planned is called once: the runs of this call in their order, as they are
	// in the store.
	Planned(runs []store.Run)
	// Progressed is told how far a worker is.
	Progressed(p *queue.Progress)
	// Finished is called for a run that is done or has failed for good.
	Finished(r *store.Run)
	// Retrying is told that a run failed and is tried again after the pause.
	Retrying(r *store.Run, pause time.Duration)
	// Warned is told what is amiss but no reason to stop.
	Warned(text string)
}

// Report says how a sweep ended.
type Report struct {
	Done, Failed int // of the runs of this call
	// Reused is how many of those done were done before.
	Reused int
}
