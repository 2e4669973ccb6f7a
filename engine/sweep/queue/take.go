package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// ErrBuild is the error of a worker where there are runs for another build of
// sgflow only.
var ErrBuild = errors.New("another version of sgflow")

// Task is a run that this process has taken.
type Task struct {
	Job
	// Deliveries is how often the run was handed to a worker, this time
	// included.
	Deliveries int
	// Lease is how long the task may be silent before it is taken away.
	Lease time.Duration
	msg   jetstream.Msg
	q     *Queue
}

// Take waits for a run and takes it. It waits for idle at most, where that is
// not 0, and then returns nil. Where there are runs, but none for this build,
// the error is ErrBuild.
func (q *Queue) Take(ctx context.Context, idle time.Duration) (*Task, error) {
	began := time.Now()
	left := func() time.Duration { // for one try
		if idle == 0 {
			return 5 * time.Second
		}
		return min(idle-time.Since(began), 5*time.Second)
	}
	for pause := newPause(); ; {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if q.nc.IsClosed() {
			return nil, fmt.Errorf("queue: %w: the connection was closed: %v", ErrServer, q.nc.LastError())
		}
		if left() <= 0 {
			return nil, nil
		}
		consumer, err := q.js.Consumer(ctx, runsStream, consumerName(q.o.Build))
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			if err := q.otherBuild(ctx); err != nil {
				return nil, err
			}
		}
		if err != nil {
			pause.wait(ctx)
			continue
		}
		for left() > 0 && ctx.Err() == nil {
			msg, err := next(ctx, consumer, left())
			if isEmpty(err) {
				continue
			}
			if err != nil {
				pause.wait(ctx)
				break
			}
			if task := q.task(msg, consumer.CachedInfo().Config.AckWait); task != nil {
				return task, nil
			}
		}
	}
}

// task reads a message; nil where it is no job.
func (q *Queue) task(msg jetstream.Msg, lease time.Duration) *Task {
	t := &Task{Lease: lease, msg: msg, q: q}
	err := decode(msg.Data(), &t.Job)
	if err == nil {
		err = t.check()
	}
	if err == nil && msg.Subject() != q.subject(&t.Job) {
		err = fmt.Errorf("its subject is %.120q", msg.Subject())
	}
	meta, metaErr := msg.Metadata()
	if err = errors.Join(err, metaErr); err != nil {
		q.o.Warn(fmt.Sprintf("a message that is no run was thrown away: %v", err))
		_ = msg.Term()
		return nil
	}
	t.Deliveries = int(meta.NumDelivered)
	return t
}

// otherBuild returns ErrBuild, wrapped, where runs wait for another build.
func (q *Queue) otherBuild(ctx context.Context) error {
	stream, err := q.js.Stream(ctx, runsStream)
	if err != nil {
		return nil // the caller tries again
	}
	for info := range stream.ListConsumers(ctx).Info() {
		if info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Errorf("queue: the runs at %s are for %w: they need %q, this is %q: start workers of the version that runs the sweep",
				Redacted(q.o.URL), ErrBuild, info.Config.Description, q.o.Build.Text)
		}
	}
	return nil
}

// Beat says that the worker is alive.
func (t *Task) Beat() error { return t.msg.InProgress() }

// Done takes the run out of the queue, once its outcome is reported.
func (t *Task) Done(ctx context.Context) error {
	if err := t.msg.DoubleAck(ctx); err != nil {
		return fmt.Errorf("queue: run %s: %w", t.Run, err)
	}
	return nil
}

// Release hands the run back for others to take.
func (t *Task) Release() error {
	return errors.Join(t.msg.Nak(), t.q.nc.FlushTimeout(2*time.Second))
}

// Report publishes the outcome of a task. It tries again until ctx ends: where
// the server is away, until it is back.
func (q *Queue) Report(ctx context.Context, t *Task, o *Outcome) error {
	if len(o.Error) > maxError {
		o.Error = o.Error[:maxError] + "…"
	}
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("queue: report run %s: %w", t.Run, err)
	}
	id := nuid.Next() // so that a second try of one report counts once
	return q.persist(ctx, "report run "+t.Run, func() error {
		_, err := q.js.Publish(ctx, resultsSubject+t.Sweep, text, jetstream.WithMsgID(id))
		return err
	})
}

// Tell says how far a worker is; where it does not arrive nothing is lost.
func (q *Queue) Tell(sweep string, p *Progress) {
	text, err := json.Marshal(p)
	if err == nil && q.nc.IsConnected() {
		_ = q.nc.Publish(progressPrefix+sweep, text)
	}
}

// refusals is how often in a row a server that is there may refuse something
// before that is an error.
const refusals = 20

// persist does something with the server until it succeeds, ctx ends, this
// machine's disk fails, or the server, while it is there, has refused often.
func (q *Queue) persist(ctx context.Context, what string, try func() error) error {
	refused := 0
	for pause := newPause(); ; {
		err := try()
		if err == nil {
			return nil
		}
		if q.nc.IsConnected() {
			refused++
		}
		var local *fs.PathError // of this machine's disk
		if ctx.Err() != nil || q.nc.IsClosed() || refused == refusals || errors.As(err, &local) || errors.Is(err, ErrFile) {
			return fmt.Errorf("queue: %s: %w", what, err)
		}
		pause.wait(ctx)
	}
}

// pause is a wait that grows from one time to the next.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{50 * time.Millisecond} }

func (p *pause) wait(ctx context.Context) {
	select {
	case <-time.After(p.next):
	case <-ctx.Done():
	}
	p.next = min(2*p.next, 2*time.Second)
}
