package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Open makes the ways of the sweep with that id: its workers' and its own. A run
// is delivered again once its worker has been silent for the lease.
func (q *Queue) Open(ctx context.Context, sweep string, lease time.Duration) error {
	_, err := q.js.CreateOrUpdateConsumer(ctx, runsStream, jetstream.ConsumerConfig{
		Durable: consumerName(q.o.Build), Description: q.o.Build.Text, FilterSubject: runsSubject + q.o.Build.Key + ".>",
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: lease, MaxDeliver: -1, MaxAckPending: 100_000,
	})
	if err == nil {
		_, err = q.js.CreateOrUpdateConsumer(ctx, resultsStream, jetstream.ConsumerConfig{
			Durable: sweep, FilterSubject: resultsSubject + sweep,
			AckPolicy: jetstream.AckExplicitPolicy, AckWait: 10 * time.Minute, MaxDeliver: -1,
		})
	}
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// consumerName names the workers' way to the runs of a build.
func consumerName(b Build) string { return "build-" + b.Key }

// Clear removes the queued runs of a sweep, those included that workers have.
func (q *Queue) Clear(ctx context.Context, sweep string) error {
	stream, err := q.js.Stream(ctx, runsStream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(runsSubject+"*."+sweep+".>"))
	}
	if err != nil {
		return fmt.Errorf("queue: clear: %w", err)
	}
	return nil
}

// Leave removes the sweep's own way, at its end.
func (q *Queue) Leave(ctx context.Context, sweep string) error {
	err := q.js.DeleteConsumer(ctx, resultsStream, sweep)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// Submit puts jobs into the queue in their order. One that is there already,
// queued or under way, stays as it is.
func (q *Queue) Submit(ctx context.Context, jobs []Job) error {
	var waiting []jetstream.PubAckFuture
	await := func() error {
		for _, f := range waiting {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				if !isQueued(err) {
					return fmt.Errorf("queue: submit: %w", err)
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		waiting = waiting[:0]
		return nil
	}
	for i := range jobs {
		j := &jobs[i]
		text, err := json.Marshal(j)
		if err != nil {
			return fmt.Errorf("queue: submit run %s: %w", j.Run, err)
		}
		f, err := q.js.PublishAsync(q.subject(j), text)
		if err != nil {
			return fmt.Errorf("queue: submit run %s: %w", j.Run, err)
		}
		if waiting = append(waiting, f); len(waiting) == 1000 {
			if err := await(); err != nil {
				return err
			}
		}
	}
	return await()
}

// subject returns what a job is published on.
func (q *Queue) subject(j *Job) string {
	return fmt.Sprintf("%s%s.%s.%s.%d", runsSubject, q.o.Build.Key, j.Sweep, j.Run, j.Attempt)
}

// isQueued reports whether an error says that the subject has its one message.
func isQueued(err error) bool {
	return strings.Contains(err.Error(), "maximum messages per subject exceeded")
}

// Outcomes hands every outcome of the sweep to handle, once or, where the
// process was killed, again; what handle returns nil for is not handed over
// again, and its first error ends the call. Where wait is false the call ends
// when there is no outcome left.
func (q *Queue) Outcomes(ctx context.Context, sweep string, wait bool, handle func(*Outcome) error) error {
	for pause := newPause(); ctx.Err() == nil; {
		consumer, err := q.js.Consumer(ctx, resultsStream, sweep)
		if err != nil {
			if !wait {
				return fmt.Errorf("queue: results: %w", err)
			}
			pause.wait(ctx)
			continue
		}
		for ctx.Err() == nil {
			fetch := q.present
			if wait {
				fetch = func(ctx context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
					return next(ctx, c, 5*time.Second)
				}
			}
			msg, err := fetch(ctx, consumer)
			if isEmpty(err) {
				if !wait {
					return nil
				}
				continue
			}
			if err != nil {
				pause.wait(ctx)
				break
			}
			pause = newPause()
			var o Outcome
			if err := decode(msg.Data(), &o); err != nil || !runID.MatchString(o.Run) || checkFiles(o.Files) != nil {
				q.o.Warn(fmt.Sprintf("a result that no worker sends was thrown away: %.80q", msg.Data()))
				_ = msg.Term()
				continue
			}
			if err := handle(&o); err != nil {
				_ = msg.Nak() // it comes again whether this arrives or not
				return err
			}
			// The result is stored: where this fails it comes again and
			// counts for nothing.
			_ = msg.Ack()
		}
	}
	return ctx.Err()
}

// next waits for a message for so long at most.
func next(ctx context.Context, c jetstream.Consumer, wait time.Duration) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return c.Next(jetstream.FetchContext(ctx))
}

// settling is how long the server may take to hand over what it has stored.
const settling = 200 * time.Millisecond

// present returns a message that is there. It does not wait for one, unless the server
// holds some that the consumer has not been told of yet, or that were handed over and
// may come again.
func (q *Queue) present(ctx context.Context, c jetstream.Consumer) (jetstream.Msg, error) {
	msg, err := atOnce(c)
	if !isEmpty(err) {
		return msg, err
	}
	stream, err := q.js.Stream(ctx, resultsStream)
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	if info.NumPending == 0 && info.NumAckPending == 0 && info.Delivered.Stream >= stream.CachedInfo().State.LastSeq {
		return nil, jetstream.ErrNoMessages
	}
	return next(ctx, c, settling)
}

// atOnce returns a message that the consumer knows of, without waiting for one.
func atOnce(c jetstream.Consumer) (jetstream.Msg, error) {
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return nil, err
	}
	if msg, ok := <-batch.Messages(); ok {
		return msg, nil
	}
	if err := batch.Error(); err != nil {
		return nil, err
	}
	return nil, jetstream.ErrNoMessages
}

// isEmpty reports whether an error of a fetch says that there was no message.
func isEmpty(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded)
}

// Watch hands over how far the sweep's workers are, until the connection is
// closed; handle is called on one goroutine.
func (q *Queue) Watch(sweep string, handle func(*Progress)) error {
	_, err := q.nc.Subscribe(progressPrefix+sweep, func(m *nats.Msg) {
		var p Progress
		if decode(m.Data, &p) == nil {
			handle(&p)
		}
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}
