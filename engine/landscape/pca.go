package landscape

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// Components are principal components of paths.
type Components[T engine.Float] struct {
	// Directions have norm 1 and are orthogonal, to the rounding of T.
	Directions [][]T
	// Shares are the share that each component has of the points' squared distances
	// from the origin, largest first; they sum to 1. There are as many as points.
	Shares []float64
}

// block is how many parameters of all points are in memory at once.
const block = 1 << 14

// lineShare is the share of a component below which it is rounding: points in
// float32 differ from a line by some 1e-7 of their distances.
const lineShare = 1e-12

// Principal finds the k directions through origin that hold most of the points of
// the paths: the right singular vectors with the largest singular values of the
// matrix M whose rows are the differences θᵢ − origin, the origin being a path's
// last point in Li et al. 2018 (arXiv:1712.09913, §7.1). With n points of P numbers
// they come from the n×n matrix MMᵀ = UΛUᵀ as vⱼ = Mᵀuⱼ/√λⱼ; component j has the
// share λⱼ/Σλ of the squared distances. Differences are of the origin, not of the
// mean, as the plane that is drawn goes through the origin: no other plane through
// it is closer to the points.
//
// Signs: the first point of the first path has a negative coordinate, on the second
// component the largest coordinate is positive.
//
// It reads the paths twice, a block of parameters at a time; progress is called
// before each block. Points that are projections, too few or all on a line for two
// directions are a request.Error; else the error is the context's or of reading.
func Principal[T engine.Float](ctx context.Context, paths []*trajectory.Trajectory, origin []T, k int, progress func(done, total int)) (*Components[T], error) {
	m, err := newDifferences(ctx, paths, origin, progress)
	if err != nil {
		return nil, err
	}
	n := m.n
	gram := mat.NewDense(n, n, nil)
	err = m.each(func(_ int, d *mat.Dense) {
		var part mat.Dense
		part.Mul(d, d.T())
		gram.Add(gram, &part)
	})
	if err != nil {
		return nil, err
	}
	distinct := 0
	for i := range n {
		if gram.At(i, i) > 0 {
			distinct++
		}
	}
	if distinct < k {
		return nil, request.Wrap(fmt.Errorf("principal components in %d directions need %d stored points that differ from the last, here are %d: keep more, with --trajectory or --points",
			k, k, distinct))
	}
	symmetric := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			symmetric.SetSym(i, j, (gram.At(i, j)+gram.At(j, i))/2)
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(symmetric, true) {
		return nil, errors.New("landscape: the principal components were not found: the eigenvalues of the points' products did not converge")
	}
	values := eigen.Values(nil) // rising
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	c := &Components[T]{Shares: make([]float64, n)}
	total := 0.0
	for _, v := range values {
		total += max(v, 0)
	}
	for i := range c.Shares {
		c.Shares[i] = max(values[n-1-i], 0) / total
	}
	if c.Shares[k-1] < lineShare {
		return nil, request.Wrap(fmt.Errorf("the stored points lie on a line to the rounding of their numbers: principal component %d has no direction; give --dims %d", k, k-1))
	}
	u := mat.NewDense(k, n, nil) // rows uⱼᵀ/√λⱼ, of the sign wanted
	for j := range k {
		column := mat.Col(nil, n-1-j, &vectors)
		sign := 1.0
		if j == 0 && column[0] > 0 || j > 0 && largest(column) < 0 {
			sign = -1
		}
		for i, x := range column {
			u.Set(j, i, sign*x/math.Sqrt(values[n-1-j]))
		}
	}
	directions := mat.NewDense(k, len(origin), nil)
	err = m.each(func(at int, d *mat.Dense) {
		_, width := d.Dims()
		part := directions.Slice(0, k, at, at+width).(*mat.Dense)
		part.Mul(u, d)
	})
	if err != nil {
		return nil, err
	}
	for j := range k {
		// Orthonormal to the rounding of float64: the square root took half of it.
		row := directions.RawRowView(j)
		for i := range j {
			other := directions.RawRowView(i)
			axpy(-dot(row, other), other, row)
		}
		norm := math.Sqrt(dot(row, row))
		d := make([]T, len(row))
		for i, x := range row {
			d[i] = T(x / norm)
			row[i] = x / norm
		}
		c.Directions = append(c.Directions, d)
	}
	return c, nil
}

// largest returns the element of the largest magnitude.
func largest(x []float64) float64 {
	best := 0.0
	for _, v := range x {
		if math.Abs(v) > math.Abs(best) {
			best = v
		}
	}
	return best
}

func dot(a, b []float64) (sum float64) {
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func axpy(alpha float64, x, y []float64) {
	for i, v := range x {
		y[i] += alpha * v
	}
}

// differences reads the matrix of all points of paths less an origin, in blocks of
// columns.
type differences[T engine.Float] struct {
	ctx      context.Context
	paths    []*trajectory.Trajectory
	origin   []T
	n        int // points
	done     int // blocks
	progress func(done, total int)
	passes   int
}

func newDifferences[T engine.Float](ctx context.Context, paths []*trajectory.Trajectory, origin []T, progress func(done, total int)) (*differences[T], error) {
	m := &differences[T]{ctx: ctx, paths: paths, origin: origin, progress: progress, passes: 2}
	for _, p := range paths {
		if p.Projection != nil {
			return nil, request.Wrap(fmt.Errorf("%s keeps projections of its points to %d numbers, which have distances but no directions: keep them in full, without --trajectory-dim",
				p.Dir(), p.Projection.Dim))
		}
		if p.Size() != len(origin) {
			return nil, request.Wrap(fmt.Errorf("%s: its points have %d numbers, the model %d", p.Dir(), p.Size(), len(origin)))
		}
		m.n += len(p.Points)
	}
	return m, nil
}

// each calls f with every block: the columns from at on.
func (m *differences[T]) each(f func(at int, d *mat.Dense)) error {
	blocks := (len(m.origin) + block - 1) / block
	for b := range blocks {
		if err := m.ctx.Err(); err != nil {
			return err
		}
		m.progress(m.done, m.passes*blocks)
		m.done++
		at := b * block
		width := min(block, len(m.origin)-at)
		d := mat.NewDense(max(m.n, 1), width, nil)
		row := 0
		for _, p := range m.paths {
			for i := range p.Points {
				x := d.RawRowView(row)
				if err := p.Read(x, i, at); err != nil {
					return err
				}
				for c := range x {
					x[c] -= float64(m.origin[at+c])
				}
				row++
			}
		}
		f(at, d)
	}
	return nil
}
