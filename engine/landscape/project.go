package landscape

import (
	"context"
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/request"
	"sgflow/engine/trajectory"
)

// errFlat is the error of a slice whose directions span less than it has.
var errFlat = errors.New("the directions of the slice are parallel, or one has norm zero: they span no plane")

// errZero is that of a line.
var errZero = errors.New("the direction of the slice has norm zero: both ends are the same point, or all weights are zero")

// Place is where a point of a path falls on a slice.
type Place struct {
	X float64 `json:"x"`           // coordinate along the first direction
	Y float64 `json:"y,omitempty"` // and the second
	// Off is the distance of the point from the slice, Distance that from its
	// origin: the share (Off/Distance)² of the latter's square is not drawn.
	Off      float64 `json:"off"`
	Distance float64 `json:"distance"`
}

// Project returns where every point of the paths falls on the slice: the
// coordinates a of the nearest point θ₀ + Σ aⱼdⱼ, by least squares. progress is
// called before each block of parameters. The error is a request.Error as
// Principal's where points are projections, and where the directions span less than
// the slice.
func Project[T engine.Float](ctx context.Context, paths []*trajectory.Trajectory, s *Slice[T], progress func(done, total int)) ([][]Place, error) {
	m, err := newDifferences(ctx, paths, s.Origin, progress)
	if err != nil {
		return nil, err
	}
	m.passes = 1
	inverse, err := s.inverse()
	if err != nil {
		return nil, err
	}
	k := len(s.Directions)
	products, squares := mat.NewDense(max(m.n, 1), k, nil), make([]float64, m.n)
	err = m.each(func(at int, d *mat.Dense) {
		_, width := d.Dims()
		directions := mat.NewDense(width, k, nil)
		for j, x := range s.Directions {
			for i := range width {
				directions.Set(i, j, float64(x[at+i]))
			}
		}
		var part mat.Dense
		part.Mul(d, directions)
		products.Add(products, &part)
		for i := range squares {
			row := d.RawRowView(i)
			squares[i] += dot(row, row)
		}
	})
	if err != nil {
		return nil, err
	}
	places := make([][]Place, len(paths))
	i := 0
	for p := range paths {
		for range paths[p].Points {
			b := products.RawRowView(i)
			a := make([]float64, 2)
			on := 0.0 // squared norm of what is on the slice: aᵀb
			for r := range k {
				for c := range k {
					a[r] += inverse.At(r, c) * b[c]
				}
				on += a[r] * b[r]
			}
			places[p] = append(places[p], Place{X: a[0], Y: a[1], Off: math.Sqrt(max(squares[i]-on, 0)), Distance: math.Sqrt(squares[i])})
			i++
		}
	}
	return places, nil
}

// products returns the matrix dᵢᵀdⱼ of the directions.
func (s *Slice[T]) products() *mat.SymDense {
	k := len(s.Directions)
	g := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			sum := 0.0
			for e, x := range s.Directions[i] {
				sum += float64(x) * float64(s.Directions[j][e])
			}
			g.SetSym(i, j, sum)
		}
	}
	return g
}

// inverse returns the inverse of products. The error is a request.Error where it
// has none.
func (s *Slice[T]) inverse() (*mat.SymDense, error) {
	g := s.products()
	const parallel = 1e-10 // 1 − cos² of directions that are parallel but for rounding
	switch g.SymmetricDim() {
	case 1:
		if !(g.At(0, 0) > 0) {
			return nil, request.Wrap(errZero)
		}
		return mat.NewSymDense(1, []float64{1 / g.At(0, 0)}), nil
	default:
		a, b, c := g.At(0, 0), g.At(0, 1), g.At(1, 1)
		det := a*c - b*b
		if !(a > 0 && c > 0 && det > parallel*a*c) {
			return nil, request.Wrap(errFlat)
		}
		return mat.NewSymDense(2, []float64{c / det, -b / det, -b / det, a / det}), nil
	}
}
