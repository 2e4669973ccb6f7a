package landscape

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"sgflow/engine"
	"sgflow/engine/flow"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// path is a stored path with its name.
type path struct {
	name, short string
	*trajectory.Trajectory
}

// closePaths closes the files.
func closePaths(paths []path) {
	for _, p := range paths {
		_ = p.Close() // they were only read
	}
}

// stored returns the trajectories.
func stored(paths []path) []*trajectory.Trajectory {
	list := make([]*trajectory.Trajectory, len(paths))
	for i, p := range paths {
		list[i] = p.Trajectory
	}
	return list
}

// paramSpecs returns the parameters of the opened problem.
func paramSpecs(p *problem.Opened) []record.ParamSpec {
	list := make([]record.ParamSpec, len(p.Program.Params))
	for i, q := range p.Program.Params {
		list[i] = record.ParamSpec{Name: q.Name, Shape: q.Shape}
	}
	return list
}

// train follows full-batch gradient descent and SGD from the session's parameters
// over the training set, and keeps points of both in the folders descent and sgd of
// dir.
func train[T engine.Float](ctx context.Context, c *Config, p *problem.Opened, s *engine.Session[T], dir string, progress Progress) ([]path, error) {
	on := flow.NewNetwork(problem.NewObjective(p, s, p.Train), p.Train.N)
	s.Wait()
	start := append([]T(nil), s.Params()...)
	descent, err := flow.NewDescent(on, start, c.LR)
	if err != nil {
		return nil, request.Wrap(err)
	}
	sgd, err := flow.NewSGD(on, start, flow.SGDConfig{Rate: c.LR, Batch: c.Batch, Seed: c.Seed})
	if err != nil {
		return nil, request.Wrap(err)
	}
	var paths []path
	for _, q := range []struct {
		folder, short, name string
		flow.Path[T]
	}{
		{"descent", "descent", "descent, full batch", descent},
		{"sgd", "SGD", fmt.Sprintf("SGD, batches of %d", c.Batch), sgd},
	} {
		at := filepath.Join(dir, q.folder)
		if err := follow(ctx, c, p, s, q.Path, at, func(done int) { progress(q.name, done, c.Steps) }); err != nil {
			closePaths(paths)
			return nil, err
		}
		t, err := trajectory.Open(at)
		if err != nil {
			closePaths(paths)
			return nil, err
		}
		paths = append(paths, path{q.name, q.short, t})
	}
	s.Copy(s.Params(), start)
	return paths, nil
}

// follow keeps points of a path in the folder dir.
func follow[T engine.Float](ctx context.Context, c *Config, p *problem.Opened, s *engine.Session[T], q flow.Path[T], dir string, progress func(done int)) error {
	w, err := trajectory.Create[T](dir, trajectory.Header{Params: paramSpecs(p)})
	if err != nil {
		return err
	}
	defer w.Close() // again, after an error
	if err := w.Add(0, 0, q.Theta()); err != nil {
		return err
	}
	// Point k of K is after the step k·steps/K, rounded down.
	kept := 0
	for step := 1; step <= c.Steps; step++ {
		progress(step - 1)
		err := q.Step(ctx)
		if failed := s.Err(); failed != nil {
			return failed
		}
		if errors.Is(err, flow.ErrDiverged) {
			return fmt.Errorf("landscape: %w: try a lower --lr than %g", err, c.LR)
		}
		if err != nil {
			return fmt.Errorf("landscape: %w", err)
		}
		if due := step * c.Points / c.Steps; due > kept {
			kept = due
			if err := w.Add(step, q.Time(), q.Theta()); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// walk returns the sum of the distances between consecutive points of a path, and
// the distance between its first and its last.
func walk(t *trajectory.Trajectory) (length, displacement float64, err error) {
	n := t.Size()
	first, last, next := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range t.Points {
		if err := t.Read(next, i, 0); err != nil {
			return 0, 0, err
		}
		if i == 0 {
			copy(first, next)
		} else {
			length += distance(last, next)
		}
		last, next = next, last
	}
	return length, distance(first, last), nil
}

// between returns the distance between the points i of a and j of b.
func between(a, b *trajectory.Trajectory, i, j int) (float64, error) {
	x, y := make([]float64, a.Size()), make([]float64, b.Size())
	if err := a.Read(x, i, 0); err != nil {
		return 0, err
	}
	if err := b.Read(y, j, 0); err != nil {
		return 0, err
	}
	return distance(x, y), nil
}

func distance(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += (x - b[i]) * (x - b[i])
	}
	return math.Sqrt(sum)
}
