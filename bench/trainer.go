package bench

import (
	"errors"
	"fmt"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/models"
)

// Settings of the run whose steps are timed. The rate is low enough for every
// batch size: a step's time depends on the weights only where they overflow or
// vanish.
const (
	Seed         = 1
	LearningRate = 0.01
)

// Trainer takes training steps. It is not for concurrent use.
type Trainer interface {
	// Step takes Stride steps, each of which gathers its batch, measures and
	// updates, and returns the mean loss of the last one's batch before its
	// update. The error is measure.ErrDiverged, wrapped, or the device's.
	Step() (loss float64, err error)
	// Stride is 1, and more where a device takes steps by itself. It then goes on
	// between calls with those of the next: the first call after a pause tells nothing
	// of their time.
	Stride() int
	// Work returns the multiply-adds of the last step's products and
	// convolutions.
	Work() int
	// Close frees what the trainer holds.
	Close()
}

// shape is that of a sample.
func shape(set *data.Set) models.Shape {
	return models.Shape{C: set.Channels, H: set.Height, W: set.Width}
}

// NewTrainer makes a trainer of c on the training half of set: initial weights
// and batches of [Seed], plain SGD at [LearningRate], cross-entropy. The caller
// closes it. A case that cannot be run is a request.Error.
func NewTrainer(set *data.Set, c Case) (Trainer, error) {
	c, p, err := c.open(set)
	if err != nil {
		return nil, err
	}
	if c.DType == problem.Float64 {
		return newTrainer[float64](p, c)
	}
	return newTrainer[float32](p, c)
}

func newTrainer[T engine.Float](p *problem.Opened, c Case) (Trainer, error) {
	selection, err := measure.ParseSelection(c.Measure)
	if err != nil {
		return nil, err
	}
	sampler, err := data.NewSampler(data.Shuffle, p.Train.N, c.Batch, Seed)
	if err != nil {
		return nil, err
	}
	if err := p.Compile(selection.Flatness()); err != nil {
		return nil, err
	}
	weights, err := InitialWeights(p.Set, p.Spec)
	if err != nil {
		return nil, err
	}
	s, err := engine.NewSession[T](p.Program, engine.Config{Batch: c.Batch, Threads: c.Threads, CUDA: p.Device.CUDA})
	if err != nil {
		return nil, err
	}
	for k, w := range weights {
		for i, v := range w.Data {
			s.Params()[p.Program.Params[k].Offset+i] = T(v)
		}
	}
	monitor := measure.NewMonitor(problem.NewObjective(p, s, p.Train), measure.Config{
		Select: selection, Seed: Seed, Plain: true, Converge: selection.Converged(),
	})
	if monitor.Ahead() && problem.SetData(p, s) && (!monitor.Noisy() || s.NoisySteps(c.Batch)) {
		t := &resident[T]{session: s, monitor: monitor, batches: batches{sampler: sampler}, stride: stride, line: record.Step{LR: LearningRate}}
		if selection.Flatness() {
			t.stride = flatStride
		}
		return t, nil
	}
	return &trainer[T]{
		session: s, monitor: monitor, batches: batches{sampler: sampler}, update: optim.Update{LR: LearningRate}, line: record.Step{LR: LearningRate},
	}, nil
}

// initialBias is where biases start: a unit that sees only black pixels would
// otherwise sit at exactly 0, where systems differ in the derivative of ReLU and
// their losses could not be compared.
const initialBias = 0.01

// InitialWeights returns the weights that trainers of the spec start from.
func InitialWeights(set *data.Set, spec models.Spec) ([]models.Tensor, error) {
	weights, err := spec.Init(Seed, shape(set), set.Classes, op.CrossEntropy)
	for _, w := range weights {
		if len(w.Shape) == 1 {
			for i := range w.Data {
				w.Data[i] = initialBias
			}
		}
	}
	return weights, err
}

// batches gives full batches, one after the other: what is left at the end of an
// epoch is no step to be timed with them.
type batches struct {
	sampler *data.Sampler
	at      int
	indices []int32
}

// next returns the samples of the next batch, valid until the one after.
func (b *batches) next() []int32 {
	for {
		b.indices = b.sampler.Batch(b.at, b.indices)
		b.at++
		if len(b.indices) == b.sampler.MaxBatch() {
			return b.indices
		}
	}
}

// trainer takes steps one by one.
type trainer[T engine.Float] struct {
	session *engine.Session[T]
	monitor *measure.Monitor[T]
	batches batches
	update  optim.Update

	at   int
	line record.Step
}

func (t *trainer[T]) Step() (float64, error) {
	if err := t.monitor.Step(t.at, t.batches.next(), &t.line); err != nil {
		return 0, fmt.Errorf("bench: step %d: %w", t.at, err)
	}
	t.session.Update(nil, t.update)
	if err := errors.Join(t.monitor.Updated(&t.line), t.session.Err()); err != nil {
		return 0, fmt.Errorf("bench: step %d: %w", t.at, err)
	}
	t.at++
	return t.line.Loss, nil
}

func (t *trainer[T]) Stride() int { return 1 }

func (t *trainer[T]) Work() int {
	products, _ := t.line.Flatness.Get("hv").Get()
	return stepWork(t.session.Program(), len(t.batches.indices), int(products))
}

func (t *trainer[T]) Close() { t.session.Close() }

// stride is how many steps a resident trainer takes at once, flatStride how many that measure
// flatness, which are several times as long; the comparison with peers takes 100 at once.
const (
	stride     = 100
	flatStride = 25
)

// resident takes steps on a device that needs nothing from the host for them. As in
// training, the next ones are queued before the results of some are looked at, so that
// the device does not wait for the host.
type resident[T engine.Float] struct {
	session *engine.Session[T]
	monitor *measure.Monitor[T]
	batches batches

	stride  int
	at      int     // steps whose results were looked at
	queued  int     // those that the device was given
	indices []int32 // of all steps
	rates   []float64
	results engine.Results
	taken   measure.Taken
	line    record.Step
}

func (t *resident[T]) Step() (float64, error) {
	for t.queued < t.at+2*t.stride {
		if err := t.queue(); err != nil {
			return 0, err
		}
	}
	t.session.Finish(&t.results)
	if err := t.session.Err(); err != nil {
		return 0, err
	}
	for k := range t.results.Steps {
		t.taken.Of(&t.results, k)
		if err := t.monitor.Take(&t.taken, &t.line); err != nil {
			return 0, fmt.Errorf("bench: step %d: %w", t.at+k, err)
		}
	}
	t.at += t.results.Steps
	return t.line.Loss, nil
}

// queue gives the device the next steps.
func (t *resident[T]) queue() error {
	t.indices, t.rates = t.indices[:0], t.rates[:0]
	for len(t.rates) < t.stride {
		t.indices, t.rates = append(t.indices, t.batches.next()...), append(t.rates, LearningRate)
	}
	c := engine.Steps[T]{Batch: t.batches.sampler.MaxBatch(), Indices: t.indices, Rates: t.rates}
	if err := t.monitor.Steps(&c, t.queued-t.at); err != nil {
		return fmt.Errorf("bench: steps from %d on: %w", t.queued, err)
	}
	t.session.Start(c)
	t.queued += t.stride
	return nil
}

func (t *resident[T]) Stride() int { return t.stride }

func (t *resident[T]) Work() int {
	products, _ := t.line.Flatness.Get("hv").Get()
	return stepWork(t.session.Program(), t.batches.sampler.MaxBatch(), int(products))
}

func (t *resident[T]) Close() { t.session.Close() }
