package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/steps"
)

// ahead takes steps on a device that trains by itself, ahead of what is logged: a
// run that measures nothing that needs the host on the way (measure.Monitor.Ahead)
// waits for the device once in many steps, and logs some while the next ones run.
// Results are those of steps taken one by one, but for the last bits of sums over the
// gradient, which a device may take in another order.
type ahead[T engine.Float] struct {
	queued int // steps that the session was given
	starts int // Starts that are not finished
	most   int // steps of the next

	results engine.Results // of the last Finish
	used    int            // of those, logged
	taken   measure.Taken  // the next of them
	since   time.Time      // when the one before was finished
	ms      float64        // a step took

	indices []int32
	rates   []float64
}

// stepwise reports whether the host has a part in every step that c asks for, so that
// none can be taken ahead of what is logged.
func (c *Config) stepwise() bool {
	o := c.optimizer()
	return c.Noise != "" || c.EMA > 0 || c.SWA != "" || c.batchesVary() || !(o.IsSGD() || o.IsAdam())
}

// newAhead returns nil where steps have to be taken one by one.
func newAhead[T engine.Float](t *trainer[T]) *ahead[T] {
	if t.c.stepwise() || !t.monitor.Ahead() || t.keep.Any() || t.sampler.MaxBatch() > t.session.Capacity() || !problem.SetData(t.p, t.session) {
		return nil
	}
	if t.monitor.Noisy() && !t.session.NoisySteps(t.sampler.MaxBatch()) {
		return nil
	}
	return &ahead[T]{most: 1}
}

// startTime is about what a Start takes, but for the first, of one step: the log, and who looks at
// it or ends the run, need not wait for much longer.
const startTime = 50 * time.Millisecond

// learn chooses how many steps the next Start has.
func (a *ahead[T]) learn() {
	a.most = min(max(1, int(float64(startTime)/1e6/a.ms)), steps.Most)
	if a.most > steps.Together {
		a.most -= a.most % steps.Together
	}
}

// settled reports whether the parameters are those after the last step that was
// logged.
func (t *trainer[T]) settled() bool {
	return t.ahead == nil || t.ahead.used == t.ahead.results.Steps && t.ahead.starts == 0
}

// limit returns the step that no step may be queued beyond before it is logged:
// there an epoch ends or the target is looked for.
func (t *trainer[T]) limit() int {
	perEpoch := t.sampler.StepsPerEpoch()
	limit := min(t.steps, (t.at/perEpoch+1)*perEpoch)
	if every := t.c.UntilEvery; t.until != nil && every > 0 {
		limit = min(limit, (t.at/every+1)*every)
	}
	return limit
}

// queue gives the session steps to go on with: nothing where it is time to stop or
// to save, unless it must.
func (t *trainer[T]) queue(ctx context.Context, must bool) error {
	a, limit := t.ahead, t.limit()
	for ; a.starts < 2 && a.queued < limit; must = false {
		if !must && (ctx.Err() != nil || t.saveDue(false)) {
			return nil
		}
		a.indices, a.rates = a.indices[:0], a.rates[:0]
		batch, first := 0, a.queued
		for a.queued < limit && len(a.rates) < a.most {
			t.indices = t.sampler.Batch(a.queued, t.indices)
			if batch != 0 && len(t.indices) != batch {
				break
			}
			batch = len(t.indices)
			a.indices = append(a.indices, t.indices...)
			a.rates = append(a.rates, t.schedule.LR(t.c.LR, a.queued, t.steps))
			a.queued++
		}
		c := engine.Steps[T]{Batch: batch, Indices: a.indices, Rates: a.rates, Optimizer: t.updater.ahead(first)}
		if err := t.monitor.Steps(&c, first-t.at); err != nil {
			return fmt.Errorf("train: steps from %d on: %w", first, err)
		}
		t.session.Start(c)
		a.starts++
	}
	if a.queued == limit && limit < t.steps {
		t.sampler.Prepare(t.sampler.Epoch(limit)) // while the device is busy
	}
	return nil
}

// take waits for steps where none are left to log, and makes the line of the next.
func (t *trainer[T]) take(ctx context.Context) error {
	a := t.ahead
	if a.used == a.results.Steps {
		if a.starts == 0 {
			a.since, a.queued = time.Now(), t.at
			if err := t.queue(ctx, true); err != nil {
				return err
			}
		}
		t.session.Finish(&a.results)
		a.used = 0
		a.starts--
		t.folder.Hold()
		if err := t.session.Err(); err != nil {
			return t.failed(fmt.Errorf("steps from %d on: %w", t.at, err))
		}
		now := time.Now()
		warm := a.ms > 0 // the device has taken steps before
		a.ms, a.since = float64(now.Sub(a.since))/1e6/float64(a.results.Steps), now
		if warm && a.results.Steps >= a.most { // of fewer the host's part is too large
			a.learn()
		}
		if err := t.queue(ctx, false); err != nil {
			return err
		}
	}
	a.taken.Of(&a.results, a.used)
	a.used++
	t.line.Step, t.line.Epoch, t.line.LR = t.at, t.sampler.Epoch(t.at), t.schedule.LR(t.c.LR, t.at, t.steps)
	if err := t.monitor.Take(&a.taken, &t.line); err != nil {
		return t.diverged(err)
	}
	t.line.MS.Set("step", math.Round(a.ms*1e3)/1e3)
	return nil
}

// logTaken logs the step that was taken. Those that were waited for together are written
// together.
func (t *trainer[T]) logTaken() error {
	a := t.ahead
	later := float64(a.results.Steps-a.used) * a.ms
	err := t.log(a.since.Add(-time.Duration(later * 1e6)))
	if err == nil && a.used == a.results.Steps {
		if err = t.folder.Flush(); err != nil {
			err = t.failed(err)
		}
	}
	return err
}
