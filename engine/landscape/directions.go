package landscape

import (
	"context"
	"errors"
	"fmt"
	"math"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// Direction says what a direction of a slice is.
type Direction struct {
	Kind string  `json:"kind"`
	Norm float64 `json:"norm"`
	// Share is a principal component's share of the paths' squared distances from
	// the origin.
	Share record.Opt `json:"share,omitzero"`
	// Eigenvalue is that of an eigenvector v, Residual ‖Hv − λv‖.
	Eigenvalue record.Opt `json:"eigenvalue,omitzero"`
	Residual   record.Opt `json:"residual,omitzero"`
}

// Label names a direction, the j-th from 0, for an axis.
func (d *Direction) Label(j int) string {
	switch d.Kind {
	case PCA:
		share, _ := d.Share.Get()
		return fmt.Sprintf("principal component %d (%.3g %%)", j+1, 100*share)
	case Eigen:
		value, _ := d.Eigenvalue.Get()
		return fmt.Sprintf("eigenvector %d of the Hessian (λ = %.4g)", j+1, value)
	case Line:
		return "place on the line from the first weights, 0, to the second, 1"
	}
	return fmt.Sprintf("random direction %d (norm %.3g)", j+1, d.Norm)
}

// random returns k filter-normalised random directions of a seed at theta.
func random[T engine.Float](s *engine.Session[T], theta []T, seed uint64, k int) [][]T {
	var list [][]T
	for j := range k {
		d := make([]T, len(theta))
		measure.FilterNormal(s, d, theta, seed, uint64(j))
		list = append(list, d)
	}
	return list
}

// mostProducts is how many Hessian-vector products eigenvectors may cost. They are
// for a picture: a residual of a thousandth of the largest eigenvalue turns an
// eigenvector, where the next eigenvalue is not that near, by next to nothing.
const (
	mostProducts = 2000
	eigenTol     = 1e-3
)

// eigen returns the k eigenvectors with the largest eigenvalues of the Hessian of the
// samples' mean loss, at the session's parameters.
func eigen[T engine.Float](ctx context.Context, o *measure.Objective[T], indices []int32, seed uint64, k int, progress func(done, total int)) ([]measure.Eigenpair[T], error) {
	loss, _ := o.Gradient(indices, false)
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return nil, fmt.Errorf("%w: the loss at the point is %g", measure.ErrDiverged, loss)
	}
	pairs, err := measure.Eigenpairs[T](ctx, o, measure.EigenConfig{K: k, Seed: seed, Tol: eigenTol, MaxProducts: mostProducts, Progress: progress})
	if errors.Is(err, measure.ErrNotConverged) && len(pairs) == k {
		err = nil // the residuals say how good they are
	}
	return pairs, err
}

// line returns the difference of the weights in the file from theta.
func line[T engine.Float](p *problem.Opened, theta []T, file string) ([]T, error) {
	other, err := problem.ReadWeights[T](p, file)
	if err != nil {
		return nil, err
	}
	d := make([]T, len(theta))
	for i, x := range other {
		d[i] = x - theta[i]
	}
	return d, nil
}
