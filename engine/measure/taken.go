package measure

import (
	"errors"
	"fmt"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/steps"
)

// Taken is what is left of a step that a device took by itself (engine.Session.Start).
type Taken struct {
	Samples int // n
	Loss    float64
	Correct int // −1 where not known

	// Dots are Σ ḡ′ⱼḡⱼ, with ḡ′ the gradient of the step before, and NormSqs ‖ḡ‖²
	// over each parameter's part; SampleNorms are ‖gᵢ‖², parameters×n. All are nil
	// where nothing is measured. With a recording there are its Numbers in place of Dots and
	// NormSqs.
	Dots, NormSqs, SampleNorms, Numbers []float64
}

// Of makes t step k of r.
func (t *Taken) Of(r *engine.Results, k int) {
	t.Samples, t.Loss, t.Correct = r.Batch, r.Losses[k], r.Correct[k]
	t.Dots, t.NormSqs, t.SampleNorms, t.Numbers = steps.Row(r.Dots, k), steps.Row(r.NormSqs, k), steps.Row(r.SampleNorms, k), steps.Row(r.Numbers, k)
}

// Ahead reports whether all that is measured follows from what Take is given, so that
// steps can be taken ahead of measuring them: quantities of noise that need neither
// gradients nor parameters, of a program that has a rule for every sample norm, and such
// of flatness, measured at every step of its own batch, as queue all that they need.
func (m *Monitor[T]) Ahead() bool {
	if len(m.c.Select.list) == 0 {
		return true
	}
	if m.needs&^(SampleNorms|Training) != 0 || len(m.o.unruled) > 0 || m.o.s.Program().BatchCoupled {
		return false
	}
	if len(m.flatness) == 0 {
		return true
	}
	for _, q := range m.flatness {
		if q.queue.isZero() || !q.updated.isZero() {
			return false
		}
	}
	return m.c.Every == 1 && m.c.PerDecade == 0 && m.c.Subset == nil && !m.c.converge()
}

// Noisy reports whether Take needs norms of samples' gradients.
func (m *Monitor[T]) Noisy() bool { return len(m.noise) > 0 || m.flatNeeds&SampleNorms != 0 }

// recording is what record has found.
type recording struct {
	name     steps.Recording // 0 for none
	queued   queued          // at each step
	products int
}

// Steps makes c ask for what is measured, of steps before the first of which so many are
// under way that were not given to Take. Ahead must be true, and the session must have the
// data.
func (m *Monitor[T]) Steps(c *engine.Steps[T], underWay int) error {
	c.Noise = m.Noisy()
	if len(m.flatness) == 0 {
		if m.c.Select.Has(gradCosine.Name) {
			c.Last, _ = m.m.vector(lastGradient, len(m.o.s.Params()))
		}
		return nil
	}
	if m.recorded.name == 0 {
		if err := m.record(); err != nil {
			return err
		}
	}
	c.Recording, c.Drawn = m.recorded.name, uint64(m.m.number(traceProbes))+uint64(underWay)
	return nil
}

// record records the queues of all quantities, for steps that a device takes by itself.
func (m *Monitor[T]) record() (err error) {
	r, p := &m.recorded, &m.p
	if m.c.Select.Has(lambdaMax.Name) {
		p.top.resume(p) // which may wait
	}
	r.name = m.o.s.Record(func() {
		p.recording = true
		m.o.present(m.Noisy())
		p.begin(0)
		err = m.queue(m.noise)
		if m.Noisy() {
			p.queueNoise()
		}
		err = errors.Join(err, m.queue(m.flatness))
		r.queued, r.products = p.queued, m.o.products
		r.queued.owed = false // when a step is taken, its numbers are there
		p.queued, p.recording = queued{}, false
		m.o.loaded = false
	})
	return err
}

// Take measures a step as Step does, from what the device left of it; it needs
// Ahead. out.LR is the step's learning rate.
func (m *Monitor[T]) Take(r *Taken, out *record.Step) error {
	out.Noise, out.Flatness = out.Noise[:0], out.Flatness[:0]
	out.MS, out.Bytes = out.MS[:0], out.Bytes[:0]
	m.s.LR, m.p.aside = out.LR, false
	if !finite(r.Loss) {
		return fmt.Errorf("%w: loss %g", ErrDiverged, r.Loss)
	}
	out.Samples, out.Loss = r.Samples, r.Loss
	out.Accuracy = opt(float64(r.Correct)/float64(r.Samples), r.Correct >= 0)
	if len(m.c.Select.list) == 0 {
		return nil
	}
	if m.Noisy() {
		m.o.take(r)
	}
	m.p.begin(r.Samples)
	m.p.found(r.Loss, r.Correct)
	if len(m.flatness) > 0 {
		m.p.queued, m.o.products = m.recorded.queued, m.recorded.products
		m.o.s.Deliver(m.recorded.name, r.Numbers)
	} else {
		m.p.noise, m.p.layers, m.p.lastDot = m.o.noiseOf(m.p.layers[:0], r.Samples, r.Dots, r.NormSqs)
		m.p.hasNoise = true
	}
	if err := m.measureNoise(out); err != nil || len(m.flatness) == 0 {
		return err
	}
	return m.measureFlatness(out)
}

// take makes the sample norms those of a step that a device took, which stay in its results
// until the next gradient's take their place. No gradient belongs to them.
func (o *Objective[T]) take(r *Taken) {
	o.indices, o.loaded, o.normsOK = nil, false, true
	n := r.Samples
	for k := range o.norms {
		o.norms[k] = r.SampleNorms[k*n:][:n:n]
	}
}
