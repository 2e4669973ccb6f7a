package study

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"sgflow/engine"
	"sgflow/engine/flow"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// Watcher follows a study.
type Watcher interface {
	// Warn is told what is doubtful about the request, before the paths set out.
	Warn(text string)
	// Log is given every Sample and every Distance as it is measured. Its error ends
	// the study.
	Log(line any) error
	// Progress is called after every step.
	Progress(Progress)
}

// Progress is where a study stands.
type Progress struct {
	Path  string  // that moves
	Seed  uint64  // of it
	Time  float64 // where that is
	End   float64 // where all paths end
	Share float64 // of the work that is done, about
}

// Run lays the paths side by side that c asks for. On an error under way, of a path
// that diverged or of the context, what was found so far comes back with it; a wrong
// request is a request.Error, before any work. The options say where data come from,
// if it is not from the set's own place.
func Run(ctx context.Context, c Config, w Watcher, with ...problem.Option) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := c.Problem.Open(with...)
	if err != nil {
		return nil, err
	}
	if err := c.fits(p); err != nil {
		return nil, err
	}
	if err := p.Compile(true); err != nil {
		return nil, err
	}
	if c.DType == problem.Float64 {
		return run[float64](ctx, p, c, w)
	}
	return run[float32](ctx, p, c, w)
}

// walker is a path of one seed.
type walker[T engine.Float] struct {
	spec        *Spec
	seed        uint64
	path        flow.Path[T]
	vector      []T // the leading eigenvector where it was last measured; nil where it is not
	predictions []T
}

// team is a path of all its seeds.
type team[T engine.Float] struct {
	path             *Path
	walkers          []*walker[T]
	weights, outputs apart // of its seeds from each other, where last measured
}

// thetas and predictions are the vectors of the seeds.
func (t *team[T]) thetas() (list [][]T) {
	for _, w := range t.walkers {
		list = append(list, w.path.Theta())
	}
	return list
}

func (t *team[T]) predictions() (list [][]T) {
	for _, w := range t.walkers {
		list = append(list, w.predictions)
	}
	return list
}

// study is a run under way.
type study[T engine.Float] struct {
	c      Config
	place  *place[T]
	w      Watcher
	teams  []*team[T]
	result *Result
	sum    []float64 // room for a vector of float64
}

func run[T engine.Float](ctx context.Context, p *problem.Opened, c Config, w Watcher) (*Result, error) {
	began := time.Now()
	place, err := newPlace[T](p, &c)
	if err != nil {
		return nil, err
	}
	defer place.close()
	specs, err := c.specs()
	if err != nil {
		return nil, err
	}
	s := &study[T]{c: c, place: place, w: w, sum: make([]float64, max(len(place.start), len(place.tests)*place.classes))}
	s.result = &Result{Config: c, Params: len(place.start), Samples: len(place.train), TestSamples: len(place.tests)}
	for i := range specs {
		if err := s.add(&specs[i]); err != nil {
			return nil, err
		}
	}
	err = s.run(ctx)
	s.result.Seconds = time.Since(began).Seconds()
	if failed := place.s.Err(); failed != nil {
		err = failed // what became of it is a consequence
	}
	return s.result, err
}

// add adds a path for every seed that it needs.
func (s *study[T]) add(spec *Spec) error {
	seeds := s.c.Seeds
	if !spec.Random() {
		seeds = 1
	}
	t := &team[T]{path: &Path{Spec: *spec, Seeds: seeds}}
	for i := range seeds {
		seed := s.c.Seed + uint64(i)
		path, err := open[T](spec, s.place.net, s.place.start, s.c.LR, seed)
		if err != nil {
			return err
		}
		w := &walker[T]{spec: spec, seed: seed, path: path, predictions: make([]T, len(s.place.tests)*s.place.classes)}
		if s.c.LambdaMax == lambdaAll || s.c.LambdaMax == lambdaFirst && i == 0 {
			w.vector = make([]T, len(s.place.start))
		}
		t.walkers = append(t.walkers, w)
	}
	s.teams = append(s.teams, t)
	s.result.Paths = append(s.result.Paths, t.path)
	return nil
}

// run measures, and moves all paths to the next time, until the end.
func (s *study[T]) run(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	schedule := s.c.schedule()
	for k, steps := range schedule {
		if k > 0 {
			for i, t := range s.teams {
				done := func(share float64) float64 {
					return (float64(k-1) + (float64(i)+share)/float64(len(s.teams))) / float64(len(schedule)-1)
				}
				if err := s.move(ctx, t, schedule[k-1], steps, done); err != nil {
					return err
				}
			}
		}
		if err := s.measure(ctx, float64(steps)*s.c.LR); err != nil {
			return err
		}
	}
	return nil
}

// check measures lambda_max at the start and warns of steps that are too long there.
func (s *study[T]) check() error {
	v, err := s.place.measure(&Spec{}, s.place.start, make([]T, len(s.place.start)), s.c.Seed)
	if err != nil {
		return err
	}
	s.result.LambdaMax, _ = v.Get("lambda_max").Get()
	limit := 2 / s.result.LambdaMax
	for _, t := range s.teams {
		if h := t.path.Length(); s.result.LambdaMax > 0 && h > limit {
			text := fmt.Sprintf("%s: steps of %g are unstable at the start, where the limit 2/lambda_max is %.3g (lambda_max %.4g): the path goes up steep directions until it finds flatter ones, or diverges",
				t.path.Name, h, limit, s.result.LambdaMax)
			s.result.Warnings = append(s.result.Warnings, text)
			s.w.Warn(text)
		}
	}
	return nil
}

// move moves a path of all seeds from one time to the next, in steps of --lr.
func (s *study[T]) move(ctx context.Context, t *team[T], from, to int, done func(share float64) float64) error {
	end := float64(to) * s.c.LR
	for i, w := range t.walkers {
		progress := func(share float64) {
			s.w.Progress(Progress{
				Path: t.path.Name, Seed: w.seed, Time: w.path.Time(), End: float64(s.c.Steps) * s.c.LR,
				Share: done((float64(i) + share) / float64(len(t.walkers))),
			})
		}
		var err error
		if f, ok := w.path.(*flow.GradientFlow[T]); ok {
			begin := f.Time()
			for err == nil && f.Time() < end {
				err = f.StepTo(ctx, end)
				progress((f.Time() - begin) / (end - begin))
			}
		} else {
			steps, wrong := s.c.strides(w.spec, to)
			before := 0
			if from > 0 {
				before, wrong = s.c.strides(w.spec, from)
			}
			if wrong != nil {
				return wrong
			}
			for k := before; k < steps && err == nil; k++ {
				err = w.path.Step(ctx)
				progress(float64(k+1-before) / float64(steps-before))
			}
		}
		if errors.Is(err, flow.ErrDiverged) {
			err = s.explain(t, w, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explain says of a path that diverged what its steps should have been.
func (s *study[T]) explain(t *team[T], w *walker[T], err error) error {
	lambda, at := s.result.LambdaMax, 0.0
	for _, p := range t.path.Points {
		if e, ok := p.Values["lambda_max"]; ok && e.Mean > 0 {
			lambda, at = e.Mean, p.Time
		}
	}
	return fmt.Errorf("%s, seed %d: %w; its steps are of length %g, and lambda_max was %.4g at t = %g: steps above 2/lambda_max = %.3g are unstable; choose a smaller --lr",
		t.path.Name, w.seed, err, t.path.Length(), lambda, at, 2/lambda)
}

// infinite returns measure.ErrDiverged, wrapped, for a number that is not finite.
func infinite(v record.Numbers) error {
	for _, x := range v {
		if math.IsNaN(x.X) || math.IsInf(x.X, 0) {
			return fmt.Errorf("%w: %s is %v", measure.ErrDiverged, x.Name, x.X)
		}
	}
	return nil
}

// measure measures all paths at a time, and compares them.
func (s *study[T]) measure(ctx context.Context, time float64) error {
	for _, t := range s.teams {
		var seeds []Sample
		for _, w := range t.walkers {
			if err := ctx.Err(); err != nil {
				return err
			}
			v, err := s.place.measure(w.spec, w.path.Theta(), w.vector, w.seed)
			if err == nil {
				s.place.predict(w.predictions, w.path.Theta(), &v)
				err = infinite(v)
			}
			if errors.Is(err, measure.ErrDiverged) {
				return s.explain(t, w, fmt.Errorf("flow: %w at t = %.4g: %w", flow.ErrDiverged, time, err))
			}
			if err != nil {
				return err
			}
			sample := Sample{Path: t.path.Name, Seed: w.seed, Time: time, Values: v}
			if err := s.w.Log(sample); err != nil {
				return err
			}
			seeds = append(seeds, sample)
		}
		t.path.Points = append(t.path.Points, average(time, seeds))
	}
	each := 1 / rootOf(len(s.place.tests)) // of predictions: a mean over samples
	for _, t := range s.teams {
		t.weights, t.outputs = between(t.thetas(), t.thetas(), 1), between(t.predictions(), t.predictions(), each)
	}
	for i, a := range s.teams {
		for _, b := range s.teams[i:] {
			d, ok := s.distance(a, b, time, each)
			if !ok {
				continue
			}
			if err := s.w.Log(d); err != nil {
				return err
			}
			s.result.Distances = append(s.result.Distances, d)
		}
	}
	return nil
}

// distance returns how far two paths are apart, or the seeds of one from each other;
// false for one path of one seed.
func (s *study[T]) distance(a, b *team[T], time, each float64) (d Distance, ok bool) {
	d = Distance{A: a.path.Name, B: b.path.Name, Time: time}
	if a == b {
		if d.Weights, ok = spread(a.weights); ok {
			d.Predictions, _ = spread(a.outputs)
		}
		return d, ok
	}
	weights, outputs := between(a.thetas(), b.thetas(), 1), between(a.predictions(), b.predictions(), each)
	d.Weights, d.Predictions = weights.sameSeed(), outputs.sameSeed()
	randomA, randomB := a.path.Random(), b.path.Random()
	if e, ok := energy(weights, a.weights, b.weights, randomA, randomB); ok {
		d.WeightsEnergy = &e
	}
	if e, ok := energy(outputs, a.outputs, b.outputs, randomA, randomB); ok {
		d.PredictionsEnergy = &e
	}
	d.MeanWeights = meanSquare(a.thetas(), b.thetas(), 1, s.sum[:len(s.place.start)])
	d.MeanPredictions = meanSquare(a.predictions(), b.predictions(), each, s.sum[:len(s.place.tests)*s.place.classes])
	if !randomA && !randomB {
		square := func(x float64) record.Opt { return record.Some(x * x) }
		d.MeanWeights, d.MeanPredictions = square(d.Weights.Mean), square(d.Predictions.Mean)
	}
	return d, true
}
