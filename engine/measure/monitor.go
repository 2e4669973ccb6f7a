package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"sgflow/engine"
	"sgflow/engine/record"
)

// Defaults of Config.
const (
	DefaultWindow      = 32
	DefaultTol         = 0.01
	DefaultMaxProducts = 50
	DefaultBatch       = 64
)

// Config says what a Monitor measures. Zero values are the defaults.
type Config struct {
	Select Selection
	// Every is the number of steps from one measurement of flatness to the
	// next; noise is measured at every step. With 1, lambda_max is followed
	// from step to step (see eigenStream); with more, each measurement
	// iterates until the residual is at most Tol·|lambda_max| or MaxProducts
	// Hessian-vector products are spent; with Converge at every step too.
	Every    int
	Converge bool
	// PerDecade, where above 0, replaces Every: flatness is measured at this
	// many steps a decade, evenly spaced on a logarithmic scale.
	PerDecade   int
	Window      int     // trace is the mean of the last so many probes
	Tol         float64 // relative residual at which an eigenvalue counts as found
	MaxProducts int
	Seed        uint64
	// Batch is the size of the batches that are drawn from a point's samples
	// for sharpness over many of them; default DefaultBatch.
	Batch int
	Reach Reach
	// Subset names fixed samples whose mean loss flatness is measured of; nil
	// means the current batch.
	Subset []int32
	// Momentum of the optimizer; Plain is set where its update is −lr·ḡ, and NotSGD
	// where it is not that of SGD with or without momentum and the batch's own noise.
	Momentum float64
	Plain    bool
	NotSGD   bool
	// Ascends is set where updates follow the gradient of another point than θ, as
	// Ascend leaves it.
	Ascends bool
	// Norms asks for the norms of samples' gradients at every step, whatever is
	// measured, for Monitor.Noise.
	Norms bool
}

func (c *Config) setDefaults() {
	if c.Every < 1 {
		c.Every = 1
	}
	if c.Window < 1 {
		c.Window = DefaultWindow
	}
	if c.Tol <= 0 {
		c.Tol = DefaultTol
	}
	if c.MaxProducts < 1 {
		c.MaxProducts = DefaultMaxProducts
	}
	if c.Batch < 1 {
		c.Batch = DefaultBatch
	}
	c.Reach.setDefaults()
}

// due reports whether flatness is measured at the step.
func (c *Config) due(step int) bool {
	if c.PerDecade == 0 {
		return step%c.Every == 0
	}
	if step == 0 {
		return true
	}
	// The first step of each interval of 1/PerDecade on the scale of log10(step).
	bin := func(s int) int { return int(math.Floor(float64(c.PerDecade)*math.Log10(float64(s)) + 1e-9)) }
	return step == 1 || bin(step) != bin(step-1)
}

// converge reports whether an eigenvalue is iterated to the tolerance.
func (c *Config) converge() bool { return c.Converge || c.Every > 1 || c.PerDecade > 0 }

// ErrDiverged is returned when loss or gradient stop being finite.
var ErrDiverged = errors.New("measure: training diverged")

// Monitor measures what training logs at every step. It is deterministic and
// its state can be saved and restored exactly.
type Monitor[T engine.Float] struct {
	c Config
	o *Objective[T]
	p Point[T]
	m memory[T]
	s Step

	noise, flatness, updated []*Quantity
	needs, flatNeeds         Need
	spent                    map[*Quantity]*spent
	recorded                 recording // for steps that a device takes by itself
}

// spent is what a quantity has cost.
type spent struct {
	times  int           // how often it was measured
	time   time.Duration // in all
	queued time.Duration // of its queue, by the next wait
}

// NewMonitor returns a monitor of the steps taken with o.
func NewMonitor[T engine.Float](o *Objective[T], c Config) *Monitor[T] {
	c.setDefaults()
	m := &Monitor[T]{c: c, o: o, m: newMemory(o.s.NewVector), spent: map[*Quantity]*spent{}}
	m.s = Step{Momentum: c.Momentum, Plain: c.Plain, NotSGD: c.NotSGD, Ascends: c.Ascends}
	m.p = Point[T]{ctx: context.Background(), o: o, c: &m.c, memory: &m.m, step: &m.s}
	m.noise, m.flatness = c.Select.of(Noise), c.Select.of(Flatness)
	m.needs, m.flatNeeds = needs(m.noise), needs(m.flatness)
	for _, q := range c.Select.list {
		m.spent[q] = &spent{}
		if !q.updated.isZero() {
			m.updated = append(m.updated, q)
		}
	}
	return m
}

// Step computes loss and gradient of the samples and measures what is due.
// out.LR is the step's learning rate. It fills out's Samples, Loss, Accuracy,
// Noise, Flatness, Layers and the times of what it measured, and leaves ḡ in
// the objective. The error is ErrDiverged, wrapped, where a number is not
// finite.
func (m *Monitor[T]) Step(step int, indices []int32, out *record.Step) error {
	out.Noise, out.Flatness = out.Noise[:0], out.Flatness[:0]
	out.MS, out.Bytes = out.MS[:0], out.Bytes[:0]
	m.s.LR = out.LR
	due := len(m.flatness) > 0 && m.c.due(step)
	subset := due && m.c.Subset != nil
	if m.p.aside = subset; subset {
		start := time.Now()
		if err := m.at(m.c.Subset, m.flatNeeds, m.flatness); err != nil {
			return err
		}
		if err := m.measureFlatness(out); err != nil {
			return err
		}
		out.MS.Set("flatness", milliseconds(start)) // its gradient is for flatness alone
	}
	m.p.aside = false
	want, flatness := m.needs, []*Quantity(nil)
	if due && !subset {
		want, flatness = want|m.flatNeeds, m.flatness
	}
	if m.c.Norms {
		want |= SampleNorms
	}
	if err := m.at(indices, want, m.noise, flatness); err != nil {
		return err
	}
	out.Samples, out.Loss = len(indices), m.p.loss
	out.Accuracy = opt(float64(m.p.correct)/float64(len(indices)), m.p.correct >= 0)
	if err := m.measureNoise(out); err != nil {
		return err
	}
	if due && !subset {
		if err := m.measureFlatness(out); err != nil {
			return err
		}
	}
	m.o.Restore()
	if len(m.updated) > 0 && !(m.c.Plain && m.o.s.Program().Factored()) {
		m.p.before = m.o.vector(m.p.before, len(m.o.s.Params()))
		m.o.s.Copy(m.p.before, m.o.s.Params())
	}
	return nil
}

// Noise returns the noise of the gradient of the last Step, before the update. It
// needs Config.Norms; ok is false where samples' gradients do not exist.
func (m *Monitor[T]) Noise() (g GradientNoise, ok bool) { return m.p.Noise() }

// Updated measures what depends on the step's update, which was made since
// Step, and adds it to out.
func (m *Monitor[T]) Updated(out *record.Step) error {
	if len(m.updated) == 0 {
		return nil
	}
	_, err := m.measure(m.updated, true, &out.Noise, out)
	return err
}

// at evaluates the samples and begins a point there, with the queues of the lists that are
// measured next, so that one wait is for all.
func (m *Monitor[T]) at(indices []int32, want Need, next ...[]*Quantity) error {
	m.o.queueGradient(indices, want&SampleNorms != 0)
	m.p.begin(len(indices))
	for _, list := range next {
		if err := m.queue(list); err != nil {
			return err
		}
	}
	loss, correct := m.o.gradient()
	if !finite(loss) {
		return fmt.Errorf("%w: loss %g", ErrDiverged, loss)
	}
	m.p.found(loss, correct)
	return nil
}

// queue runs the list's rules of that name.
func (m *Monitor[T]) queue(list []*Quantity) error {
	begun := false
	for _, q := range list {
		if q.queue.isZero() {
			continue
		}
		if !begun {
			m.o.s.Lap(nil)
			begun = true
		}
		if err := run(q.queue, &m.p); err != nil {
			return fmt.Errorf("measure: %s: %w", q.Name, err)
		}
		m.o.s.Lap(&m.spent[q].queued)
	}
	return nil
}

// measureNoise measures the noise of the step's gradient.
func (m *Monitor[T]) measureNoise(out *record.Step) error {
	took, err := m.measure(m.noise, false, &out.Noise, out)
	if err != nil {
		return err
	}
	if len(m.noise) > 0 {
		out.MS.Set("noise", inMilliseconds(took))
	}
	if m.needs&SampleNorms != 0 && m.p.hasNoise && m.o.normsOK {
		out.Layers = recordLayers(m.o.s, m.p.layers, out.Layers)
	}
	return nil
}

// measureFlatness measures the flatness of the samples of the objective's last
// Gradient.
func (m *Monitor[T]) measureFlatness(out *record.Step) error {
	took, err := m.measure(m.flatness, false, &out.Flatness, out)
	if err != nil {
		return err
	}
	if m.flatNeeds&Products != 0 {
		out.Flatness.Set("hv", float64(m.o.Products()))
	}
	out.MS.Set("flatness", inMilliseconds(took))
	return nil
}

// measure runs the rules of quantities for before the update or after it, and
// times each, with what queue took, and all.
func (m *Monitor[T]) measure(list []*Quantity, updated bool, group *record.Numbers, out *record.Step) (all time.Duration, err error) {
	m.p.out = group
	start := time.Now()
	for _, q := range list {
		r := q.measure
		if updated {
			r = q.updated
		}
		if r.isZero() {
			continue
		}
		if err := run(r, &m.p); err != nil {
			return 0, fmt.Errorf("measure: %s: %w", q.Name, err)
		}
		if !m.p.ok {
			return 0, fmt.Errorf("%w: loss %g, %s %g", ErrDiverged, m.p.loss, m.p.bad.Name, m.p.bad.X)
		}
		cost := m.spent[q]
		now := time.Now()
		took := now.Sub(start) + cost.queued
		start = now
		cost.queued = 0
		cost.time += took
		all += took
		if updated && !q.measure.isZero() { // its second part
			before, _ := out.MS.Get(q.Name).Get()
			out.MS.Set(q.Name, before+inMilliseconds(took))
			continue
		}
		cost.times++
		out.MS = append(out.MS, record.Number{Name: q.Name, X: inMilliseconds(took)})
		if n := m.m.bytes(q.Name); n > 0 {
			out.Bytes = append(out.Bytes, record.Number{Name: q.Name, X: float64(n)})
		}
	}
	return all, nil
}

func milliseconds(start time.Time) float64 { return inMilliseconds(time.Since(start)) }

// inMilliseconds rounds to a microsecond, which is as much as a log should say.
func inMilliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// Costs returns the cost of each selected quantity in this process, in the
// order of the registry. What quantities share counts for the first of them.
func (m *Monitor[T]) Costs() []record.Cost {
	var list []record.Cost
	for _, q := range m.c.Select.list {
		s := m.spent[q]
		c := record.Cost{Name: q.Name, Times: s.times, Bytes: m.m.bytes(q.Name)}
		if s.times > 0 {
			c.MS = inMilliseconds(s.time / time.Duration(s.times))
		}
		list = append(list, c)
	}
	return list
}

// keptSamples names what the session keeps for CrossDots, as part of a
// checkpoint.
const keptSamples = "kept_samples"

// State returns what a checkpoint must hold for Restore. The tensors share the
// monitor's memory: write them before the next step.
func (m *Monitor[T]) State() ([]record.Tensor, json.RawMessage, error) {
	if n, data := m.o.keptSamples(); n >= 0 {
		m.m.vectors[keptSamples] = data
		m.m.setNumber(keptSamples, float64(n))
		defer m.m.forget(keptSamples)
	}
	m.o.s.Wait()
	return m.m.save()
}

// Restore continues from a State saved by a monitor of the same Config.
func (m *Monitor[T]) Restore(c *record.Checkpoint, text json.RawMessage) error {
	m.o.s.Wait()
	if err := m.m.restore(c, text); err != nil {
		return err
	}
	data, ok := m.m.vectors[keptSamples]
	if !ok {
		return nil
	}
	if err := m.o.setKeptSamples(int(m.m.number(keptSamples)), data); err != nil {
		return fmt.Errorf("measure: checkpoint: %w", err)
	}
	m.m.forget(keptSamples)
	return nil
}

func opt(v float64, ok bool) record.Opt {
	if !ok {
		return record.Opt{}
	}
	return record.Some(v)
}
