package landscape

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"sgflow/engine"
	"sgflow/engine/measure"
)

// Slice is a line or a plane through parameter space,
//
//	θ(a) = θ₀ + Σⱼ aⱼ·dⱼ
//
// of one or two directions of any lengths, which need not be orthogonal.
type Slice[T engine.Float] struct {
	Origin     []T // θ₀
	Directions [][]T
}

// At stores θ(a) in theta, each element computed in float64 and rounded once.
// split cuts the work over threads, as Session.Split does.
func (s *Slice[T]) At(theta []T, a []float64, split func(n, cost int, f func(from, to int))) {
	split(len(theta), 1+len(a), func(from, to int) {
		for i := from; i < to; i++ {
			x := float64(s.Origin[i])
			for j, d := range s.Directions {
				x += a[j] * float64(d[i])
			}
			theta[i] = T(x)
		}
	})
}

// Gapped are numbers of which some are not finite. JSON has no word for those: they
// are null there.
type Gapped []float64

// MarshalJSON returns the list.
func (g Gapped) MarshalJSON() ([]byte, error) {
	text := []byte{'['}
	for i, x := range g {
		if i > 0 {
			text = append(text, ',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			text = append(text, "null"...)
		} else {
			text = strconv.AppendFloat(text, x, 'g', -1, 64)
		}
	}
	return append(text, ']'), nil
}

// UnmarshalJSON reads a list, null as NaN.
func (g *Gapped) UnmarshalJSON(text []byte) error {
	var list []*float64
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("landscape: %w", err)
	}
	*g = make(Gapped, len(list))
	for i, x := range list {
		(*g)[i] = math.NaN()
		if x != nil {
			(*g)[i] = *x
		}
	}
	return nil
}

// Grid is loss and accuracy on a slice: of row j and column i at
// θ₀ + X[i]·d₁ + Y[j]·d₂; a line has one row and no Y.
type Grid struct {
	X        []float64 `json:"x"`
	Y        []float64 `json:"y,omitempty"`
	Loss     []Gapped  `json:"loss"`               // null where it is not finite
	Accuracy []Gapped  `json:"accuracy,omitempty"` // null there too
	Gaps     int       `json:"gaps"`               // how many those are
}

// Evaluate computes the mean loss of the samples, and the share that is classified
// rightly, on the grid of xs and, unless the slice is a line, ys. progress is called
// before every point. The parameters are those of the slice's origin when it
// returns. The error is the context's, or the device's.
func Evaluate[T engine.Float](ctx context.Context, o *measure.Objective[T], indices []int32, s *Slice[T], xs, ys []float64, progress func(done, total int)) (*Grid, error) {
	g := &Grid{X: xs, Y: ys}
	session := o.Session()
	defer func() { session.Copy(session.Params(), s.Origin) }()
	rows := ys
	if len(s.Directions) == 1 {
		rows = []float64{0}
	}
	done := 0
	for _, y := range rows {
		loss, accuracy := make(Gapped, len(xs)), make(Gapped, len(xs))
		known := true
		for i, x := range xs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			progress(done, len(rows)*len(xs))
			done++
			s.At(session.Params(), []float64{x, y}[:len(s.Directions)], session.Split)
			mean, correct := o.Forward(indices)
			if err := session.Err(); err != nil {
				return nil, err
			}
			loss[i], accuracy[i] = mean, float64(correct)/float64(len(indices))
			known = known && correct >= 0
			if math.IsNaN(mean) || math.IsInf(mean, 0) {
				accuracy[i] = math.NaN()
				g.Gaps++
			}
		}
		g.Loss = append(g.Loss, loss)
		if known {
			g.Accuracy = append(g.Accuracy, accuracy)
		}
	}
	if len(g.Accuracy) < len(g.Loss) {
		g.Accuracy = nil
	}
	return g, nil
}

// steps returns n evenly spaced numbers from low to high, both among them; 0 is
// exact where it is one of them.
func steps(low, high float64, n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		t := float64(i) / float64(n-1)
		list[i] = (1-t)*low + t*high
		if math.Abs(list[i]) < 1e-12*(high-low) {
			list[i] = 0
		}
	}
	return list
}
