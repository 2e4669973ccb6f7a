//go:build gpu && cgo && linux && amd64

package cuda

import (
	"time"

	"sgflow/engine/cuda/driver"
)

// laps tells what parts of the work take.
type laps struct {
	events []*driver.Event
	took   []*time.Duration // by event: where the time since the one before is to be stored
	asked  driver.Counts    // at the last of them
	fresh  bool             // that was not waited for
}

// Lap stores in took, by the next Wait, how long the device takes for what was queued since
// the Lap before; with nil it begins.
func (m *Machine) Lap(took *time.Duration) {
	if m.recording != nil {
		m.recording.lap(m, took)
		return
	}
	m.flushSums()
	l := &m.laps
	if took != nil {
		*took = 0
	}
	if l.fresh && l.asked == m.stream.Counts() || m.err != nil {
		return // nothing is queued since
	}
	if len(l.took) == len(l.events) {
		e, err := m.ctx.NewEvent()
		if m.check(err); err != nil {
			return
		}
		l.events = append(l.events, e)
	}
	m.check(m.stream.Record(l.events[len(l.took)]))
	l.took, l.asked, l.fresh = append(l.took, took), m.stream.Counts(), true
	m.busy = true
}

// deliver stores the times that were waited for, and keeps the last event for the next
// Lap to begin at.
func (l *laps) deliver(m *Machine) {
	if !l.fresh {
		return
	}
	l.fresh = false
	for k, dst := range l.took {
		if k == 0 || dst == nil || m.err != nil {
			continue
		}
		took, err := l.events[k].Since(l.events[k-1])
		m.check(err)
		*dst = took
	}
	last := len(l.took) - 1
	l.events[0], l.events[last] = l.events[last], l.events[0]
	l.took = append(l.took[:0], nil)
}

// close gives the events back.
func (l *laps) close() (errs []error) {
	for _, e := range l.events {
		errs = append(errs, e.Close())
	}
	return errs
}
