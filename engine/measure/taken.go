package measure

import (
	"fmt"
	"slices"
	"time"

	"sgflow/engine"
	"sgflow/engine/record"
)

// Taken is what is left of a step that a device took by itself (engine.Session.Start):
// the numbers that the noise of the gradient follows from.
type Taken struct {
	Samples int // n
	Loss    float64
	Correct int // −1 where not known

	// Dots are Σ ḡ′ⱼḡⱼ, with ḡ′ the gradient of the step before, and NormSqs ‖ḡ‖²
	// over each parameter's part; SampleNorms are ‖gᵢ‖², parameters×n. All are nil
	// where nothing is measured.
	Dots, NormSqs, SampleNorms []float64
}

// Of makes t step k of r.
func (t *Taken) Of(r *engine.Results, k int) {
	t.Samples, t.Loss, t.Correct = r.Batch, r.Losses[k], r.Correct[k]
	row := func(x []float64) []float64 {
		n := len(x) / engine.MostSteps
		return x[k*n : (k+1)*n]
	}
	t.Dots, t.NormSqs, t.SampleNorms = row(r.Dots), row(r.NormSqs), row(r.SampleNorms)
}

// Ahead reports whether all that is measured follows from what Take is given, so that
// steps can be taken ahead of measuring them: quantities of noise that need neither
// gradients nor parameters, of a program that has a rule for every sample norm.
func (m *Monitor[T]) Ahead() bool {
	if len(m.c.Select.list) == 0 {
		return true
	}
	return len(m.flatness) == 0 && m.needs&^(SampleNorms|Training) == 0 &&
		len(m.o.unruled) == 0 && !m.o.s.Program().BatchCoupled
}

// Noisy reports whether Take needs more than loss and count.
func (m *Monitor[T]) Noisy() bool { return len(m.noise) > 0 }

// LastGrad returns the vector that holds ḡ of the last step, for steps taken ahead to
// multiply with theirs and to keep theirs in; nil where no quantity asks for it.
func (m *Monitor[T]) LastGrad() []T {
	if !m.c.Select.Has(gradCosine.Name) {
		return nil
	}
	last, _ := m.m.vector(lastGradient, len(m.o.s.Params()))
	return last
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
	if !m.Noisy() {
		return nil
	}
	start := time.Now()
	m.o.take(r)
	m.p.begin(r.Samples)
	m.p.found(r.Loss, r.Correct)
	m.p.noise, m.p.layers, m.p.lastDot = m.o.noiseOf(m.p.layers[:0], r.Samples, r.Dots, r.NormSqs)
	m.p.hasNoise = true
	if _, err := m.measure(m.noise, false, &out.Noise, out); err != nil {
		return err
	}
	out.MS.Set("noise", milliseconds(start))
	if m.needs&SampleNorms != 0 {
		out.Layers = recordLayers(m.o.s, m.p.layers, out.Layers)
	}
	return nil
}

// take makes the sample norms those of a step that a device took. No gradient
// belongs to them.
func (o *Objective[T]) take(r *Taken) {
	o.indices, o.loaded, o.normsOK = nil, false, true
	for k := range o.norms {
		o.norms[k] = append(slices.Grow(o.norms[k][:0], r.Samples), r.SampleNorms[k*r.Samples:][:r.Samples]...)
	}
}
