package problem

import (
	"fmt"
	"runtime"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/lower"
	"sgflow/engine/measure"
	"sgflow/engine/op"
	"sgflow/engine/program"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/models"
)

// Opened is a Problem with its data in memory, a model that fits it and a device
// to compute on.
type Opened struct {
	Problem *Problem
	Device  Device
	Why     string // it is that device
	Set     *data.Set
	Train   *data.Split // the limited training set
	Scale   data.Scale
	Spec    models.Spec
	Layers  []models.LayerShape
	Program *program.Program // made by Compile
}

// Option changes where a problem gets what it needs from.
type Option func(*sources)

// sources is where a problem gets what it needs from.
type sources struct {
	data func(name string) (*data.Set, error)
}

// WithData makes a problem take its data set from open instead of data.Open: one
// that is in memory already, say.
func WithData(open func(name string) (*data.Set, error)) Option {
	return func(s *sources) { s.data = open }
}

// Open checks c and finds device, data and model. Errors are request.Errors.
func (c *Problem) Open(with ...Option) (*Opened, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	from := sources{data: data.Open}
	for _, option := range with {
		option(&from)
	}
	p := &Opened{Problem: c}
	var err error
	if p.Device, p.Why, err = chooseDevice(c.Device, c.DType); err != nil {
		return nil, err
	}
	if c.Precision == TF32 && (p.Device.CUDA == nil || p.Device.CUDA.Capability < 80) {
		return nil, request.BadValue("precision", TF32, "%s has no tensor cores for it: use float32, or a CUDA device of compute capability 8.0 or later", p.Device.Name)
	}
	if p.Spec, err = models.Parse(c.Model); err != nil {
		return nil, request.Wrap(err)
	}
	if p.Set, err = from.data(c.Data); err != nil {
		return nil, request.Wrap(err)
	}
	p.Train = p.Set.Train
	if c.Limit > 0 {
		if p.Train, err = p.Set.Train.Limit(c.Limit); err != nil {
			return nil, request.Wrap(err)
		}
	}
	if c.Normalize {
		p.Scale = data.Normalization(p.Set.Train)
	}
	p.Layers, err = p.Spec.Shapes(p.Input(), p.Set.Classes)
	return p, request.Wrap(err)
}

// Input returns the shape of a sample.
func (p *Opened) Input() models.Shape {
	return models.Shape{C: p.Set.Channels, H: p.Set.Height, W: p.Set.Width}
}

// loss returns the loss as the graphs name it.
func (p *Opened) loss() op.LossKind {
	if p.Problem.Loss == MSE {
		return op.MSE
	}
	return op.CrossEntropy
}

// Compile makes the model's program, with Hessian-vector products if curvature
// is set.
func (p *Opened) Compile(curvature bool) error {
	options := models.BuildOptions{Input: p.Input(), Classes: p.Set.Classes, Batch: lower.SymbolicBatch, Loss: p.loss(), Dtype: tensor.Float32}
	if p.Problem.DType == Float64 {
		options.Dtype = tensor.Float64
	}
	n, err := p.Spec.Build(options)
	if err != nil {
		return request.Wrap(err)
	}
	var params gorgonia.Nodes
	for _, q := range n.Params {
		params = append(params, q.Node)
	}
	with := []engine.Option{engine.Inputs(n.X, n.Y)}
	if !curvature {
		with = append(with, engine.WithoutCurvature())
	}
	p.Program, err = engine.Compile(n.Loss, params, with...)
	return request.Wrap(err)
}

// A session runs at least leastCapacity samples at once, on a device leastOnDevice, so that
// test sets go through quickly, and as many of the largest set as memory allows.
const (
	leastCapacity = 256
	leastOnDevice = 1024
	sessionBytes  = 1 << 30 // for the arrays of a batch, about
)

// NewSession returns a session for sets of up to largest samples; larger ones
// than it has room for are run in chunks.
func NewSession[T engine.Float](p *Opened, largest int) (*engine.Session[T], error) {
	sample := 0
	for i := range p.Program.Buffers {
		if b := &p.Program.Buffers[i]; b.Batched {
			sample += b.Width()
		}
	}
	const element = 8 // bytes at most
	room, least := max(sessionBytes/(sample*element), 1), leastCapacity
	if p.Device.CUDA != nil {
		least = leastOnDevice
	}
	s, err := engine.NewSession[T](p.Program, engine.Config{
		Batch: min(max(largest, least), room), Threads: p.Problem.Threads, CUDA: p.Device.CUDA, TF32: p.Problem.Precision == TF32,
	})
	return s, request.Wrap(err)
}

// Threads returns how many threads a session has.
func (p *Opened) Threads() int {
	if p.Problem.Threads > 0 {
		return p.Problem.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// SetWeights sets the parameters: those of the weights file, or the initial
// ones of the seed.
func SetWeights[T engine.Float](p *Opened, s *engine.Session[T]) error {
	s.Wait()
	params := p.Program.Params
	if p.Problem.Weights == "" {
		tensors, err := p.Spec.Init(p.Problem.Seed, p.Input(), p.Set.Classes, p.loss())
		if err != nil {
			return request.Wrap(err)
		}
		for k, t := range tensors {
			if err := set(s, params[k], t.Data); err != nil {
				return err
			}
		}
		return nil
	}
	theta, err := ReadWeights[T](p, p.Problem.Weights)
	if err == nil {
		copy(s.Params(), theta)
	}
	return err
}

// ReadWeights returns the parameters in a weights file, in the layout of
// engine.Session's Params. The error is a request.Error where they do not fit the
// compiled model.
func ReadWeights[T engine.Float](p *Opened, file string) ([]T, error) {
	params := p.Program.Params
	want := make([]record.ParamSpec, len(params))
	for k, q := range params {
		want[k] = record.ParamSpec{Name: q.Name, Shape: q.Shape}
	}
	weights, err := record.LoadWeights[T](file, want)
	if err != nil {
		return nil, request.Wrap(err)
	}
	theta := make([]T, p.Program.NumParams)
	for k, w := range weights {
		copy(theta[params[k].Offset:], w)
	}
	return theta, nil
}

// set writes the elements of one parameter.
func set[T, E engine.Float](s *engine.Session[T], p program.Parameter, values []E) error {
	if len(values) != p.Size {
		return fmt.Errorf("%d values for the %d elements of %s", len(values), p.Size, p.Name)
	}
	dst := s.Params()[p.Offset : p.Offset+p.Size]
	for i, v := range values {
		dst[i] = T(v)
	}
	return nil
}

// NewObjective returns the mean loss of samples of the split, on s.
func NewObjective[T engine.Float](p *Opened, s *engine.Session[T], split *data.Split) *measure.Objective[T] {
	return measure.NewObjective(s, filler(p, s, split))
}

// filler returns the function that writes samples of split to the inputs of s: a device
// that holds them takes them from there.
func filler[T engine.Float](p *Opened, s *engine.Session[T], split *data.Split) func(indices []int32) {
	if first, ok := map[*data.Split]int{p.Train: 0, p.Set.Test: p.Train.N}[split]; ok && SetData(p, s) {
		return func(indices []int32) { s.Gather(first, indices) }
	}
	size, classes := split.Size(), p.Set.Classes
	var chosen []int32
	fill := func(from, to int) {
		data.Gather(s.Input(0)[from*size:to*size], split, chosen[from:to], p.Scale)
		data.OneHot(s.Input(1)[from*classes:to*classes], split, chosen[from:to], classes)
	}
	return func(indices []int32) {
		chosen = indices
		s.Split(len(indices), size, fill)
	}
}
