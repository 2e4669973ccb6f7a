package train

import (
	"errors"

	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// validateTrajectory returns a request.Error for points that cannot be kept.
func (c *Config) validateTrajectory() error {
	if _, err := trajectory.ParseSteps(c.Trajectory); err != nil {
		return request.BadValue("trajectory", c.Trajectory, "%v", err)
	}
	switch {
	case c.TrajectoryDim < 0:
		return request.BadValue("trajectory-dim", c.TrajectoryDim, "give 1 or more, or 0 for points in full")
	case c.TrajectoryDim > 0 && c.Trajectory == "":
		return request.BadValue("trajectory-dim", c.TrajectoryDim, "no points are kept: give --trajectory too")
	}
	return nil
}

// pathHeader says what the points of the run's path are.
func (t *trainer[T]) pathHeader() trajectory.Header {
	var h trajectory.Header
	for _, p := range t.p.Program.Params {
		h.Params = append(h.Params, record.ParamSpec{Name: p.Name, Shape: p.Shape})
	}
	if t.c.TrajectoryDim > 0 {
		h.Projection = &trajectory.Projection{Dim: t.c.TrajectoryDim, Seed: t.c.Seed}
	}
	return h
}

// checkPath returns a request.Error where the model has no such projection.
func (t *trainer[T]) checkPath() error {
	if n := t.p.Program.NumParams; t.c.TrajectoryDim >= n {
		return request.BadValue("trajectory-dim", t.c.TrajectoryDim, "the model has %d parameters: give fewer, or 0 for points in full", n)
	}
	return nil
}

// beginPath keeps the point that the run begins at, if points are kept.
func (t *trainer[T]) beginPath() (err error) {
	if !t.keep.Any() {
		return nil
	}
	if t.path, err = trajectory.Create[T](t.folder.Dir(), t.pathHeader()); err != nil {
		return t.failed(err)
	}
	return t.addPoint()
}

// resumePath goes on with the trajectory at the step where the run does.
func (t *trainer[T]) resumePath(dir string) (err error) {
	if !t.keep.Any() {
		return nil
	}
	t.path, err = trajectory.Resume[T](dir, t.pathHeader(), t.at, t.keep.Due)
	return request.Wrap(err)
}

// keepPoint adds the point where the run stands, if it is one to keep.
func (t *trainer[T]) keepPoint() error {
	if t.path == nil || !t.keep.Due(t.at) && !t.over() {
		return nil
	}
	return t.addPoint()
}

func (t *trainer[T]) addPoint() error {
	t.session.Wait()
	err := t.path.Add(t.at, t.progress.Time, t.session.Params())
	if errors.Is(err, trajectory.ErrNotFinite) {
		return t.diverged(err)
	}
	if err != nil {
		return t.failed(err)
	}
	return nil
}
