package measure

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// CurveConfig says where Curves evaluates the loss. Zero values are the
// defaults.
type CurveConfig struct {
	Alphas     []float64 // default −1, −0.9, …, 1
	Directions int       // random directions; default DefaultDirections
	Seed       uint64
	// Progress, if not nil, is called before every evaluation of the loss.
	Progress func(done, total int)
}

// DefaultDirections is the default of CurveConfig.Directions.
const DefaultDirections = 10

// CurveResult is the loss along random directions.
type CurveResult struct {
	Loss   float64      `json:"loss"` // at α = 0
	Points []CurvePoint `json:"points"`
}

// CurvePoint is the loss L(θ + αd) at one α, over the directions d.
type CurvePoint struct {
	Alpha     float64    `json:"alpha"`
	Mean      float64    `json:"mean"`
	Deviation record.Opt `json:"deviation,omitzero"` // sample standard deviation; absent for one direction
	Losses    []float64  `json:"losses"`             // of each direction
}

// Curves evaluates the mean loss of the samples of o's last Gradient along
// filter-normalised random directions (Li et al. 2018, arXiv:1712.09913, §4):
// L(θ + αd), the entries of d standard normal and then each filter d_f scaled
// to the norm of θ's,
//
//	d_f ← d_f·‖θ_f‖/‖d_f‖
//
// A filter is what makes one output: a row of a dense weight, an output channel
// of a convolution's weight; in general what the first index of a parameter
// with two axes or more selects. Parameters with one axis, the biases, do not
// move.
//
// It takes one evaluation of the loss for every direction and α ≠ 0. θ and ḡ
// are as before when it returns. The error is the context's, or ErrDiverged where
// a loss is not finite.
func Curves[T engine.Float](ctx context.Context, o *Objective[T], c CurveConfig) (*CurveResult, error) {
	c.setDefaults()
	e := o.leave(ctx)
	defer e.back()
	loss, err := e.loss()
	if err != nil {
		return nil, err
	}
	if !finite(loss) {
		return nil, errLoss(loss)
	}
	losses := make([][]float64, len(c.Alphas)) // by α and direction
	done, total := 0, len(c.Alphas)*c.Directions
	d := make([]T, len(e.theta))
	for k := range c.Directions {
		FilterNormal(o.s, d, e.theta, c.Seed, uint64(k))
		for i, alpha := range c.Alphas {
			c.Progress(done, total)
			done++
			at := loss
			if alpha != 0 {
				e.move(alpha, d)
				if at, err = e.loss(); err != nil {
					return nil, err
				}
				if !finite(at) {
					return nil, errLoss(at)
				}
			}
			losses[i] = append(losses[i], at)
		}
	}
	r := &CurveResult{Loss: loss}
	for i, alpha := range c.Alphas {
		m, stderr, ok := mean(losses[i])
		r.Points = append(r.Points, CurvePoint{
			Alpha: alpha, Mean: m, Deviation: opt(stderr*math.Sqrt(float64(c.Directions)), ok), Losses: losses[i],
		})
	}
	return r, nil
}

func (c *CurveConfig) setDefaults() {
	if c.Alphas == nil {
		for i := -10; i <= 10; i++ {
			c.Alphas = append(c.Alphas, float64(i)/10)
		}
	}
	if c.Directions < 1 {
		c.Directions = DefaultDirections
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// FilterNormal fills d with the k-th random direction of a seed, filter by filter
// of the norm of theta's, as Curves defines it; k is below 2¹⁶. A filter's numbers
// are named by the direction and the place of its first element.
func FilterNormal[T engine.Float](s *engine.Session[T], d, theta []T, seed, k uint64) {
	clear(d)
	for _, p := range s.Program().Params {
		if len(p.Shape) < 2 {
			continue
		}
		width := p.Size / p.Shape[0]
		s.Split(p.Shape[0], 16*width, func(from, to int) { // a normal number costs many moves
			for f := from; f < to; f++ {
				at := p.Offset + f*width
				normalLike(d[at:at+width], theta[at:at+width], rng.New(rng.Probes, seed, curveProbes+k<<32+uint64(at)))
			}
		})
	}
}

// normalLike fills row with standard normal numbers, scaled to the norm of own.
func normalLike[T engine.Float](row, own []T, stream rng.Stream) {
	var dd, tt float64
	for i, x := range own {
		row[i] = T(stream.NormFloat64())
		dd += float64(row[i]) * float64(row[i])
		tt += float64(x) * float64(x)
	}
	factor := math.Sqrt(tt / dd)
	for i := range row {
		row[i] = T(factor * float64(row[i]))
	}
}
