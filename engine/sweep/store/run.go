package store

import (
	"time"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

// Status is how far a run is.
type Status string

// The states of a run. A run is Queued until its result is here, also while a
// worker has it.
const (
	Queued Status = "queued"
	Done   Status = "done"
	Failed Status = "failed"
)

// Run is a row of the table of runs.
type Run struct {
	// ID names the run: 16 hexadecimal digits.
	ID string
	// Order is the place of the run in the sweep, counted from 0.
	Order int
	// Config is what was asked for; Out and Threads are empty.
	Config train.Config
	Status Status
	// Attempts counts how often the run was tried and failed or was done.
	Attempts int
	// Error says why the last attempt failed, "" where it did not.
	Error string
	// Final marks a failure that would come again: the same flags do the same.
	Final bool
	// Worker is the name of the worker that did the last attempt.
	Worker string
	// Started and Finished are the times of the last attempt, zero before it.
	Started, Finished time.Time
	// Summary says how the run ended, nil unless it is done. Its Out is
	// relative to the sweep folder.
	Summary *record.Summary
}

// Part is a part of a run that is averaged over.
type Part string

// The parts: the first tenth of a run's steps, the tenth around the middle, the
// last tenth; of a run of fewer than ten steps, one step each.
const (
	Start  Part = "start"
	Middle Part = "middle"
	End    Part = "end"
)

// Parts lists the parts in their order.
func Parts() []Part { return []Part{Start, Middle, End} }

// Window holds the means over one part of a run.
type Window struct {
	Part        Part
	First, Last int // steps, counted from 0, both within
	Means       []Mean
}

// Mean is the mean of one number of the log over the steps of a window at which
// it was logged.
type Mean struct {
	// Name is the key in steps.jsonl: loss, accuracy, lr, or one of those in
	// noise and flatness, such as grad_var_trace, grad_norm_sq, lambda_max,
	// trace, batch_sharpness.
	Name string
	Mean float64
	// SD is the standard deviation between the steps (n−1 in the denominator),
	// 0 where there is one step. Of noise_scale, a ratio of means, it is the
	// first-order one: √(s²_a + r²·s²_b − 2r·s_ab)/|b̄| for r = ā/b̄, so that
	// SD/√N is the standard error as it is of a mean. Successive steps are
	// correlated where the parameters hardly move between them.
	SD float64
	N  int // steps at which it was logged
}

// Get returns the mean of that name and whether there is one.
func (w *Window) Get(name string) (Mean, bool) {
	for _, m := range w.Means {
		if m.Name == name {
			return m, true
		}
	}
	return Mean{}, false
}

// Value returns the mean of that name, absent where there is none.
func (w *Window) Value(name string) record.Opt {
	if m, ok := w.Get(name); ok {
		return record.Some(m.Mean)
	}
	return record.Opt{}
}

// Result is a run that was done.
type Result struct {
	ID, Worker        string
	Started, Finished time.Time
	Summary           record.Summary
	Windows           []Window
	Epochs            []record.Epoch
	Environment       map[string]string
}

// Failure is an attempt at a run that failed.
type Failure struct {
	ID, Worker        string
	Started, Finished time.Time
	Error             string
	// GiveUp marks the run as failed; else it stays queued.
	GiveUp bool
	// Final says that it would fail again in the same way.
	Final bool
}
