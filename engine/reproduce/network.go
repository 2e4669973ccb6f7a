package reproduce

import (
	"context"
	"errors"
	"fmt"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// Setup is a network on data, before training.
type Setup struct {
	// Problem has model, data, limit, loss, number type and the seed of the initial
	// weights. Device and threads are the lab's.
	problem.Problem
	Classes []int32 // keep these classes of the data only; nil is all
	Tests   int     // use the first so many test samples; 0 is all
	// RandomLabels is the share of the training samples that get a label drawn
	// uniformly from all classes, by the seed.
	RandomLabels float64
	InitialScale float64 // of the initial weights, times those of the model; 0 is 1
}

// NewSetup returns a setup on MNIST with cross-entropy in float32.
func NewSetup(model string, limit int, seed uint64) Setup {
	s := Setup{Problem: problem.Default()}
	s.Model, s.Limit, s.Seed = model, limit, seed
	return s
}

// Network is a network in memory at a point of training. It is not for concurrent
// use.
type Network[T engine.Float] struct {
	Session *engine.Session[T]
	Train   *measure.Objective[T] // the mean loss of training samples
	Test    *measure.Objective[T] // of test samples
	All     []int32               // the training samples
	Tests   []int32               // the test samples
	Classes int

	seed     uint64
	velocity []T
}

// Open makes the network of a setup with its initial weights. Close frees it.
func Open[T engine.Float](l *Lab, c Setup) (*Network[T], error) {
	var zero T
	c.DType = problem.Float32
	if _, ok := any(zero).(float64); ok {
		c.DType = problem.Float64
	}
	c.Device, c.Threads = "cpu", l.Threads
	p, err := c.Problem.Open(problem.WithData(func(name string) (*data.Set, error) {
		set, err := l.Data(name)
		if err == nil && c.Classes != nil {
			set, err = withClasses(set, c.Classes)
		}
		if err == nil && c.RandomLabels > 0 {
			set = withRandomLabels(set, c.RandomLabels, c.Seed)
		}
		return set, err
	}))
	if err != nil {
		return nil, err
	}
	if err := p.Compile(true); err != nil {
		return nil, err
	}
	n := &Network[T]{All: problem.Sequence(0, p.Train.N), Classes: p.Set.Classes, seed: c.Seed}
	n.Tests = problem.Sequence(0, p.Set.Test.N)
	if c.Tests > 0 {
		n.Tests = n.Tests[:min(c.Tests, len(n.Tests))]
	}
	if n.Session, err = problem.NewSession[T](p, min(p.Train.N, mostSamples)); err != nil {
		return nil, err
	}
	if err := problem.SetWeights(p, n.Session); err != nil {
		n.Close()
		return nil, err
	}
	if c.InitialScale > 0 {
		n.Session.Scale(c.InitialScale, n.Session.Params())
	}
	n.Train, n.Test = problem.NewObjective(p, n.Session, p.Train), problem.NewObjective(p, n.Session, p.Set.Test)
	return n, nil
}

// mostSamples is how many samples a session takes at once; larger sets go through in
// chunks.
const mostSamples = 2000

// Weights returns a copy of the parameters.
func (n *Network[T]) Weights() []T {
	n.Session.Wait()
	return append([]T(nil), n.Session.Params()...)
}

// SetWeights makes theta the parameters.
func (n *Network[T]) SetWeights(theta []T) { n.Session.Copy(n.Session.Params(), theta) }

// Close frees the network.
func (n *Network[T]) Close() { n.Session.Close() }

// Course is how a network is trained.
type Course struct {
	Batch       int
	LR          float64
	Momentum    float64
	WeightDecay float64
	Sampling    data.Sampling // "" is data.Shuffle
	Steps       int
	From        int // steps taken before, by a course to go on with: batches and velocity continue
	// Rate, where not nil, gives the learning rate of a step.
	Rate func(step int) float64
	// Hook, where not nil, is called before step From, every Every-th (0 is never)
	// and after the last, with the number of steps taken. It may run anything on
	// the network but must leave the weights alone. ErrEnough ends the course.
	Every int
	Hook  func(step int) error
	// Stepped, where not nil, is called for every step between its gradient and its
	// update, while n.Train has the gradient of the step's batch (with noise, where
	// Noise is set).
	Stepped func(step int, loss float64) error
	Noise   bool
}

// ErrEnough is what a Hook returns to end a course that has gone far enough.
var ErrEnough = errors.New("reproduce: enough")

// Take trains the network. A loss that is not finite is measure.ErrDiverged; a
// cancelled context ends it with the context's error.
func (n *Network[T]) Take(ctx context.Context, c Course) error {
	if c.Sampling == "" {
		c.Sampling = data.Shuffle
	}
	sampler, err := data.NewSampler(c.Sampling, len(n.All), c.Batch, n.seed)
	if err != nil {
		return request.Wrap(err)
	}
	if c.Momentum != 0 && (n.velocity == nil || c.From == 0) {
		n.velocity = make([]T, len(n.Session.Params()))
	}
	update := optim.Config{Momentum: c.Momentum, WeightDecay: c.WeightDecay}
	var indices []int32
	for step := c.From; step < c.From+c.Steps; step++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if c.Hook != nil && (step == c.From || c.Every > 0 && (step-c.From)%c.Every == 0) {
			if err := c.Hook(step); err != nil {
				return enough(err)
			}
		}
		indices = sampler.Batch(step, indices)
		loss, _ := n.Train.Gradient(indices, c.Noise)
		if !finite(loss) {
			return fmt.Errorf("%w: step %d: the loss is %g", measure.ErrDiverged, step, loss)
		}
		if c.Stepped != nil {
			if err := c.Stepped(step, loss); err != nil {
				return enough(err)
			}
		}
		rate := c.LR
		if c.Rate != nil {
			rate = c.Rate(step)
		}
		n.Session.Update(n.velocity, update.Update(rate))
	}
	if c.Hook != nil {
		return enough(c.Hook(c.From + c.Steps))
	}
	return nil
}

// enough makes nothing of ErrEnough.
func enough(err error) error {
	if errors.Is(err, ErrEnough) {
		return nil
	}
	return err
}

// Evaluate returns mean loss and accuracy of samples of an objective, n.Train or
// n.Test.
func (n *Network[T]) Evaluate(o *measure.Objective[T], indices []int32) (loss, accuracy float64) {
	loss, correct := o.Forward(indices)
	return loss, float64(correct) / float64(len(indices))
}

// LambdaMax returns the largest eigenvalue of the Hessian of the mean loss of
// training samples to 1 %, by Lanczos iteration. n.Train has their gradient
// afterwards.
func (n *Network[T]) LambdaMax(ctx context.Context, indices []int32) (float64, error) {
	pairs, err := n.Eigenpairs(ctx, indices, 1, 0.01)
	if err != nil {
		return 0, err
	}
	return pairs[0].Value, nil
}

// Eigenpairs returns the k largest eigenvalues of that Hessian with their vectors,
// largest first, until every residual is at most tol times the largest.
func (n *Network[T]) Eigenpairs(ctx context.Context, indices []int32, k int, tol float64) ([]measure.Eigenpair[T], error) {
	if loss, _ := n.Train.Gradient(indices, false); !finite(loss) {
		return nil, fmt.Errorf("%w: the loss is %g", measure.ErrDiverged, loss)
	}
	return measure.Eigenpairs(ctx, n.Train, measure.EigenConfig{K: k, Tol: tol, Seed: n.seed})
}
