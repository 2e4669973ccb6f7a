package train

import (
	"fmt"
	"runtime"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/lower"
	"sgflow/engine/op"
	"sgflow/engine/program"
	"sgflow/engine/record"
	"sgflow/models"
)

// problem is an opened Problem: data in memory, a model that fits it and a
// device to run on.
type problem struct {
	c       *Problem
	device  Device
	why     string // it is that device
	set     *data.Set
	train   *data.Split // the limited training set
	scale   data.Scale
	spec    models.Spec
	layers  []models.LayerShape
	program *program.Program // set by compile
}

// Option changes how a run gets what it needs.
type Option func(*sources)

// sources is where a run gets what it needs from.
type sources struct {
	data func(name string) (*data.Set, error)
}

// WithData makes a run take its data set from open instead of data.Open: one
// that is in memory already, say.
func WithData(open func(name string) (*data.Set, error)) Option {
	return func(s *sources) { s.data = open }
}

// open finds device, data and model. Errors are RequestErrors.
func open(c *Problem, with ...Option) (*problem, error) {
	from := sources{data: data.Open}
	for _, option := range with {
		option(&from)
	}
	p := &problem{c: c}
	var err error
	if p.device, p.why, err = chooseDevice(c.Device, c.DType); err != nil {
		return nil, err
	}
	if c.Precision == TF32 && (p.device.CUDA == nil || p.device.CUDA.Capability < 80) {
		return nil, badValue("precision", TF32, "%s has no tensor cores for it: use float32, or a CUDA device of compute capability 8.0 or later", p.device.Name)
	}
	if p.spec, err = models.Parse(c.Model); err != nil {
		return nil, request(err)
	}
	if p.set, err = from.data(c.Data); err != nil {
		return nil, request(err)
	}
	p.train = p.set.Train
	if c.Limit > 0 {
		if p.train, err = p.set.Train.Limit(c.Limit); err != nil {
			return nil, request(err)
		}
	}
	if c.Normalize {
		p.scale = data.Normalization(p.set.Train)
	}
	p.layers, err = p.spec.Shapes(p.input(), p.set.Classes)
	return p, request(err)
}

// input returns the shape of a sample.
func (p *problem) input() models.Shape {
	return models.Shape{C: p.set.Channels, H: p.set.Height, W: p.set.Width}
}

// loss returns the loss as the graphs name it.
func (p *problem) loss() op.LossKind {
	if p.c.Loss == MSE {
		return op.MSE
	}
	return op.CrossEntropy
}

// compile makes the model's program, with Hessian-vector products if curvature
// is set.
func (p *problem) compile(curvature bool) error {
	options := models.BuildOptions{Input: p.input(), Classes: p.set.Classes, Batch: lower.SymbolicBatch, Loss: p.loss(), Dtype: tensor.Float32}
	if p.c.DType == Float64 {
		options.Dtype = tensor.Float64
	}
	n, err := p.spec.Build(options)
	if err != nil {
		return request(err)
	}
	var params gorgonia.Nodes
	for _, q := range n.Params {
		params = append(params, q.Node)
	}
	with := []engine.Option{engine.Inputs(n.X, n.Y)}
	if !curvature {
		with = append(with, engine.WithoutCurvature())
	}
	p.program, err = engine.Compile(n.Loss, params, with...)
	return request(err)
}

// A session runs at least leastCapacity samples at once, so that test sets go
// through quickly, and as many of the largest set as memory allows.
const (
	leastCapacity = 256
	sessionBytes  = 1 << 30 // for the arrays of a batch, about
)

// newSession returns a session for sets of up to largest samples; larger ones
// than it has room for are run in chunks.
func newSession[T engine.Float](p *problem, largest int) (*engine.Session[T], error) {
	sample := 0
	for i := range p.program.Buffers {
		if b := &p.program.Buffers[i]; b.Batched {
			sample += b.Width()
		}
	}
	const element = 8 // bytes at most
	room := max(sessionBytes/(sample*element), 1)
	s, err := engine.NewSession[T](p.program, engine.Config{
		Batch: min(max(largest, leastCapacity), room), Threads: p.c.Threads, CUDA: p.device.CUDA, TF32: p.c.Precision == TF32,
	})
	return s, request(err)
}

// threads returns how many threads a session has.
func (p *problem) threads() int {
	if p.c.Threads > 0 {
		return p.c.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// setWeights sets the parameters: those of the weights file, or the initial
// ones of the seed.
func setWeights[T engine.Float](p *problem, s *engine.Session[T]) error {
	params := p.program.Params
	if p.c.Weights == "" {
		tensors, err := p.spec.Init(p.c.Seed, p.input(), p.set.Classes, p.loss())
		if err != nil {
			return request(err)
		}
		for k, t := range tensors {
			if err := set(s, params[k], t.Data); err != nil {
				return err
			}
		}
		return nil
	}
	want := make([]record.ParamSpec, len(params))
	for k, q := range params {
		want[k] = record.ParamSpec{Name: q.Name, Shape: q.Shape}
	}
	weights, err := record.LoadWeights[T](p.c.Weights, want)
	if err != nil {
		return request(err)
	}
	for k, w := range weights {
		if err := set(s, params[k], w); err != nil {
			return err
		}
	}
	return nil
}

// set writes the elements of one parameter.
func set[T, E engine.Float](s *engine.Session[T], p program.Parameter, values []E) error {
	if len(values) != p.Size {
		return fmt.Errorf("train: %d values for the %d elements of %s", len(values), p.Size, p.Name)
	}
	dst := s.Params()[p.Offset : p.Offset+p.Size]
	for i, v := range values {
		dst[i] = T(v)
	}
	return nil
}

// filler returns the function that writes samples of split to the inputs of s.
func filler[T engine.Float](p *problem, s *engine.Session[T], split *data.Split) func(indices []int32) {
	size, classes := split.Size(), p.set.Classes
	var chosen []int32
	fill := func(from, to int) {
		data.Gather(s.Input(0)[from*size:to*size], split, chosen[from:to], p.scale)
		data.OneHot(s.Input(1)[from*classes:to*classes], split, chosen[from:to], classes)
	}
	return func(indices []int32) {
		chosen = indices
		s.Split(len(indices), size, fill)
	}
}
