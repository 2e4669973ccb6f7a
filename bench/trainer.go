package bench

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/lower"
	"sgflow/engine/measure"
	"sgflow/engine/op"
	"sgflow/engine/optim"
	"sgflow/engine/program"
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

// ErrCase is wrapped by errors that say that a case can't be run as it stands:
// a setting is out of range, or its model doesn't fit the data.
var ErrCase = errors.New("bench")

// Trainer takes training steps. It is not for concurrent use.
type Trainer interface {
	// Step takes one step, gathering its batch, measuring and updating, and
	// returns the mean loss of its batch before the update. The error is
	// measure.ErrDiverged, wrapped.
	Step() (loss float64, err error)
	// Work returns the multiply-adds of the last step's products and
	// convolutions.
	Work() int
	// Close frees what the trainer holds.
	Close()
}

// check returns c with its defaults, or an error that wraps ErrCase where it
// can't be run on set.
func (c Case) check(set *data.Set) (Case, error) {
	c.setDefaults()
	err := c.validate()
	if err == nil && c.Batch > set.Train.N {
		err = fmt.Errorf("batch of %d samples: there are %d", c.Batch, set.Train.N)
	}
	var spec models.Spec
	if err == nil {
		spec, err = models.Parse(c.Model)
	}
	if err == nil {
		_, err = spec.Shapes(shape(set), set.Classes)
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrCase, err)
	}
	return c, nil
}

// shape is that of a sample.
func shape(set *data.Set) models.Shape {
	return models.Shape{C: set.Channels, H: set.Height, W: set.Width}
}

// NewTrainer makes a trainer of c on the training half of set: initial weights
// and batches of [Seed], plain SGD at [LearningRate], cross-entropy. The caller
// closes it. The error wraps ErrCase where c can't be run.
func NewTrainer(set *data.Set, c Case) (Trainer, error) {
	c, err := c.check(set)
	if err != nil {
		return nil, err
	}
	if c.DType == Float64 {
		return newTrainer[float64](set, c)
	}
	return newTrainer[float32](set, c)
}

type trainer[T engine.Float] struct {
	session *engine.Session[T]
	monitor *measure.Monitor[T]
	sampler *data.Sampler
	update  optim.Update

	at      int
	indices []int32
	line    record.Step
}

func newTrainer[T engine.Float](set *data.Set, c Case) (Trainer, error) {
	selection, err := measure.ParseSelection(c.Measure)
	if err != nil {
		return nil, err
	}
	sampler, err := data.NewSampler(data.Shuffle, set.Train.N, c.Batch, Seed)
	if err != nil {
		return nil, err
	}
	spec, err := models.Parse(c.Model)
	if err != nil {
		return nil, err
	}
	p, err := compile(set, spec, selection.Flatness())
	if err != nil {
		return nil, err
	}
	weights, err := InitialWeights(set, spec)
	if err != nil {
		return nil, err
	}
	s, err := engine.NewSession[T](p, engine.Config{Batch: c.Batch, Threads: c.Threads})
	if err != nil {
		return nil, err
	}
	for k, w := range weights {
		for i, v := range w.Data {
			s.Params()[p.Params[k].Offset+i] = T(v)
		}
	}
	size := set.Train.Size()
	var chosen []int32
	fill := func(from, to int) {
		data.Gather(s.Input(0)[from*size:to*size], set.Train, chosen[from:to], data.Scale{})
		data.OneHot(s.Input(1)[from*set.Classes:to*set.Classes], set.Train, chosen[from:to], set.Classes)
	}
	objective := measure.NewObjective(s, func(indices []int32) {
		chosen = indices
		s.Split(len(indices), size, fill)
	})
	return &trainer[T]{
		session: s, sampler: sampler, update: optim.Update{LR: LearningRate}, line: record.Step{LR: LearningRate},
		monitor: measure.NewMonitor(objective, measure.Config{
			Select: selection, Seed: Seed, Plain: true, Converge: selection.Converged(),
		}),
	}, nil
}

// compile makes the program of a spec fitted to a data set.
func compile(set *data.Set, spec models.Spec, curvature bool) (*program.Program, error) {
	n, err := spec.Build(models.BuildOptions{
		Input: shape(set), Classes: set.Classes,
		Batch: lower.SymbolicBatch, Dtype: tensor.Float32,
	})
	if err != nil {
		return nil, err
	}
	var params gorgonia.Nodes
	for _, p := range n.Params {
		params = append(params, p.Node)
	}
	options := []engine.Option{engine.Inputs(n.X, n.Y)}
	if !curvature {
		options = append(options, engine.WithoutCurvature())
	}
	return engine.Compile(n.Loss, params, options...)
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

func (t *trainer[T]) Step() (float64, error) {
	t.indices = t.sampler.Batch(t.at, t.indices)
	if err := t.monitor.Step(t.at, t.indices, &t.line); err != nil {
		return 0, fmt.Errorf("bench: step %d: %w", t.at, err)
	}
	t.session.Update(nil, t.update)
	if err := t.monitor.Updated(&t.line); err != nil {
		return 0, fmt.Errorf("bench: step %d: %w", t.at, err)
	}
	t.at++
	return t.line.Loss, nil
}

func (t *trainer[T]) Work() int {
	products, _ := t.line.Flatness.Get("hv").Get()
	return stepWork(t.session.Program(), len(t.indices), int(products))
}

func (t *trainer[T]) Close() { t.session.Close() }
