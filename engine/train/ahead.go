package train

import (
	"context"
	"fmt"
	"math"
	"time"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// ahead takes steps on a device that trains by itself, ahead of what is logged: a
// run that measures nothing but loss and accuracy waits for the device once in
// many steps, and logs some while the next ones run. Results are those of steps
// taken one by one.
type ahead[T engine.Float] struct {
	queued int   // steps that the session was given
	starts []int // the batch sizes of Starts that are not finished

	losses  []float64 // of the last Finish
	correct []int
	used    int       // of those, logged
	count   int       // of those
	batch   int       // theirs
	since   time.Time // when the one before was finished
	ms      float64   // a step took

	indices []int32
	rates   []float64
}

// newAhead returns nil where steps have to be taken one by one.
func newAhead[T engine.Float](t *trainer[T], selection measure.Selection) *ahead[T] {
	if len(selection.Quantities()) > 0 || t.keep.Any() || t.sampler.MaxBatch() > t.session.Capacity() || !problem.SetData(t.p, t.session) {
		return nil
	}
	return &ahead[T]{losses: make([]float64, engine.MostSteps), correct: make([]int, engine.MostSteps)}
}

// settled reports whether the parameters are those after the last step that was
// logged.
func (t *trainer[T]) settled() bool {
	return t.ahead == nil || t.ahead.used == t.ahead.count && len(t.ahead.starts) == 0
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
func (t *trainer[T]) queue(ctx context.Context, must bool) {
	a := t.ahead
	for limit := t.limit(); len(a.starts) < 2 && a.queued < limit; must = false {
		if !must && (ctx.Err() != nil || t.saveDue(false)) {
			return
		}
		a.indices, a.rates = a.indices[:0], a.rates[:0]
		batch := 0
		for a.queued < limit && len(a.rates) < engine.MostSteps {
			t.indices = t.sampler.Batch(a.queued, t.indices)
			if batch != 0 && len(t.indices) != batch {
				break
			}
			batch = len(t.indices)
			a.indices = append(a.indices, t.indices...)
			a.rates = append(a.rates, t.schedule.LR(t.c.LR, a.queued, t.steps))
			a.queued++
		}
		t.session.Start(engine.Steps[T]{Batch: batch, Indices: a.indices, Rates: a.rates, Update: t.optimizer.Update(0), Velocity: t.velocity})
		a.starts = append(a.starts, batch)
	}
}

// take waits for steps where none are left to log, and makes the line of the next.
func (t *trainer[T]) take(ctx context.Context) error {
	a := t.ahead
	if a.used == a.count {
		if len(a.starts) == 0 {
			a.since, a.queued = time.Now(), t.at
			t.queue(ctx, true)
		}
		a.used, a.count, a.batch = 0, t.session.Finish(a.losses, a.correct), a.starts[0]
		a.starts = append(a.starts[:0], a.starts[1:]...)
		if err := t.session.Err(); err != nil {
			return t.failed(fmt.Errorf("steps from %d on: %w", t.at, err))
		}
		now := time.Now()
		a.ms, a.since = float64(now.Sub(a.since))/1e6/float64(a.count), now
		t.queue(ctx, false)
	}
	loss, correct := a.losses[a.used], a.correct[a.used]
	a.used++
	t.line.Step, t.line.Epoch, t.line.LR = t.at, t.sampler.Epoch(t.at), t.schedule.LR(t.c.LR, t.at, t.steps)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return t.diverged(fmt.Errorf("%w: loss %g", measure.ErrDiverged, loss))
	}
	t.line.Samples, t.line.Loss, t.line.Accuracy = a.batch, loss, record.Opt{}
	if correct >= 0 {
		t.line.Accuracy = record.Some(float64(correct) / float64(t.line.Samples))
	}
	t.line.MS = t.line.MS[:0]
	t.line.MS.Set("step", math.Round(a.ms*1e3)/1e3)
	return nil
}
