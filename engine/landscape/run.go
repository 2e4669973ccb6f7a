package landscape

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	runs "sgflow/engine/train"
	"sgflow/engine/trajectory"
)

// Progress is told before every piece of work how many of a stage's are done.
type Progress func(stage string, done, total int)

// Run computes the landscape that c asks for. dirs are run folders with
// trajectories, whose problem c's then has to be (FromRuns); without them, and with
// principal components, SGD and descent are trained from c's weights and their
// trajectories kept in the folder out.
//
// A wrong request is a request.Error; a cancelled context gives its error.
func Run(ctx context.Context, c Config, dirs []string, out string, progress Progress) (*Result, error) {
	began := time.Now()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := c.suits(dirs); err != nil {
		return nil, err
	}
	if len(dirs) > 0 {
		c.Weights = "" // where the runs began; the slice is about where they ended
	}
	p, err := c.Problem.Open()
	if err != nil {
		return nil, err
	}
	if err := p.Compile(c.Directions == Eigen); err != nil {
		return nil, err
	}
	r := &Result{Config: c, Runs: dirs, Params: p.Program.NumParams, Out: out}
	if c.DType == problem.Float64 {
		err = compute[float64](ctx, p, r, progress)
	} else {
		err = compute[float32](ctx, p, r, progress)
	}
	if err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	r.Answer = r.answer()
	return r, nil
}

// FromRuns returns the problem of the runs in the folders: a request.Error where one
// holds no run, or where two are about different surfaces.
func FromRuns(dirs []string) (problem.Problem, error) {
	var first problem.Problem
	for i, dir := range dirs {
		c, err := runs.ReadConfig(dir)
		if err != nil {
			return first, err
		}
		if i == 0 {
			first = c.Problem
			continue
		}
		if err := sameSurface(&first, &c.Problem, dirs[0], dir); err != nil {
			return first, err
		}
	}
	return first, nil
}

// sameSurface returns a request.Error where the loss of b is not that of a.
func sameSurface(a, b *problem.Problem, nameA, nameB string) error {
	for _, s := range []struct {
		flag string
		a, b any
	}{
		{"model", a.Model, b.Model}, {"data", a.Data, b.Data}, {"limit", a.Limit, b.Limit},
		{"normalize", a.Normalize, b.Normalize}, {"loss", a.Loss, b.Loss},
	} {
		if s.a != s.b {
			return request.Wrap(fmt.Errorf("--%s is %v of %s and %v of %s: their paths are on different surfaces", s.flag, s.a, nameA, s.b, nameB))
		}
	}
	return nil
}

// suits returns a request.Error for settings that contradict the run folders.
func (c *Config) suits(dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	p, err := FromRuns(dirs)
	if err != nil {
		return err
	}
	if err := sameSurface(&p, &c.Problem, dirs[0], "the command line"); err != nil {
		return err
	}
	if c.Directions == Line {
		return request.BadValue("directions", Line, "a line is between two weight files: give --weights and --to, and no run folders")
	}
	d := Default()
	for _, s := range []struct {
		flag         string
		value, usual any
	}{{"lr", c.LR, d.LR}, {"batch", c.Batch, d.Batch}, {"steps", c.Steps, d.Steps}, {"points", c.Points, d.Points}} {
		if s.value != s.usual {
			return request.BadValue(s.flag, s.value, "the paths are those of the run folders: leave it out")
		}
	}
	return nil
}

// openRuns opens the trajectories of run folders.
func openRuns(p *problem.Opened, dirs []string) ([]path, error) {
	var paths []path
	add := func(dir string) error {
		c, err := runs.ReadConfig(dir)
		if err != nil {
			return err
		}
		t, err := trajectory.Open(dir)
		if err != nil {
			return request.Wrap(err)
		}
		what := fmt.Sprintf("batches of %d", c.Batch)
		if c.Sampling == "full" {
			what = "full batch"
		}
		name := filepath.Base(filepath.Clean(dir))
		paths = append(paths, path{name + ", " + what, name, t})
		if err := t.Fits(paramSpecs(p)); err != nil {
			return request.Wrap(fmt.Errorf("%s: %w", dir, err))
		}
		if len(t.Points) < 2 {
			return request.Wrap(fmt.Errorf("%s: it has %d stored points, a path needs 2 or more", dir, len(t.Points)))
		}
		if t.Projection != nil {
			return request.Wrap(fmt.Errorf("%s keeps projections of its points to %d numbers, which have distances but no place on a slice: keep them in full, without --trajectory-dim", dir, t.Projection.Dim))
		}
		return nil
	}
	for _, dir := range dirs {
		if err := add(dir); err != nil {
			closePaths(paths)
			return nil, err
		}
	}
	return paths, nil
}

// compute fills r.
func compute[T engine.Float](ctx context.Context, p *problem.Opened, r *Result, progress Progress) error {
	c := &r.Config
	return problem.Examine(p, &c.SampleSet, func(o *measure.Objective[T], indices []int32) (err error) {
		s := o.Session()
		r.Samples = len(indices)
		r.About = "the initial weights"
		if c.Weights != "" {
			r.About = c.Weights
		}
		var paths []path
		defer func() { closePaths(paths) }()
		switch {
		case len(r.Runs) > 0:
			if paths, err = openRuns(p, r.Runs); err != nil {
				return err
			}
		case c.Directions == PCA:
			if paths, err = train(ctx, c, p, s, r.Out, progress); err != nil {
				return err
			}
		}
		s.Wait()
		slice := &Slice[T]{Origin: append([]T(nil), s.Params()...)}
		if len(paths) > 0 {
			if err := readPoint(slice.Origin, paths[0].Trajectory, len(paths[0].Points)-1); err != nil {
				return err
			}
			r.About = "the last point of " + paths[0].short
		}
		s.Copy(s.Params(), slice.Origin)
		if err := direct(ctx, p, r, o, indices, slice, paths, progress); err != nil {
			return err
		}
		inverse, err := slice.inverse()
		if err != nil {
			return err
		}
		products := slice.products()
		for j := range r.Directions {
			r.Directions[j].Norm = math.Sqrt(products.At(j, j))
		}
		if inverse.SymmetricDim() == 2 {
			r.Cosine = record.Some(products.At(0, 1) / (r.Directions[0].Norm * r.Directions[1].Norm))
		}
		if err := place(ctx, r, slice, paths, progress); err != nil {
			return err
		}
		if err := lossesOf(ctx, r, o, indices, paths, progress); err != nil {
			return err
		}
		s.Copy(s.Params(), slice.Origin)
		xs, ys := r.axes()
		grid, err := Evaluate(ctx, o, indices, slice, xs, ys, func(done, total int) { progress("loss on the slice", done, total) })
		if err != nil {
			return err
		}
		r.Grid = *grid
		if r.Gaps == len(xs)*max(len(ys), 1) {
			return fmt.Errorf("landscape: %w: the loss is not finite anywhere on the slice; try a smaller --span", measure.ErrDiverged)
		}
		loss, correct := o.Forward(indices)
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return fmt.Errorf("landscape: %w: the loss at %s is %g", measure.ErrDiverged, r.About, loss)
		}
		r.Center = Center{Loss: loss}
		if correct >= 0 {
			r.Center.Accuracy = record.Some(float64(correct) / float64(len(indices)))
		}
		return nil
	})
}

// direct gives the slice its directions.
func direct[T engine.Float](ctx context.Context, p *problem.Opened, r *Result, o *measure.Objective[T], indices []int32, s *Slice[T], paths []path, progress Progress) error {
	c := &r.Config
	of := Direction{Kind: c.Directions}
	switch c.Directions {
	case PCA:
		components, err := Principal(ctx, stored(paths), s.Origin, c.Dims, func(done, total int) { progress("principal components", done, total) })
		if err != nil {
			return err
		}
		s.Directions, r.Shares = components.Directions, components.Shares
		for j := range s.Directions {
			of.Share = record.Some(components.Shares[j])
			r.Directions = append(r.Directions, of)
		}
	case Random:
		s.Directions = random(o.Session(), s.Origin, c.Seed, c.Dims)
		for range s.Directions {
			r.Directions = append(r.Directions, of)
		}
	case Eigen:
		pairs, err := eigen(ctx, o, indices, c.Seed, c.Dims, func(done, most int) { progress("eigenvectors, Hessian-vector products", done, most) })
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			of.Eigenvalue, of.Residual = record.Some(pair.Value), record.Some(pair.Residual)
			s.Directions, r.Directions = append(s.Directions, pair.Vector), append(r.Directions, of)
		}
	case Line:
		d, err := line(p, s.Origin, c.To)
		if err != nil {
			return err
		}
		s.Directions, r.Directions = [][]T{d}, append(r.Directions, of)
	}
	return nil
}

// readPoint stores point i of a trajectory in theta.
func readPoint[T engine.Float](theta []T, t *trajectory.Trajectory, i int) error {
	x := make([]float64, len(theta))
	if err := t.Read(x, i, 0); err != nil {
		return err
	}
	for k, v := range x {
		theta[k] = T(v)
	}
	return nil
}
