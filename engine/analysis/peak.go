package analysis

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Peak is the highest point of a parabola in log x.
type Peak struct {
	X       Interval `json:"x"`
	Height  Interval `json:"height"`
	Quality Quality  `json:"quality"`
	// Low and High are the least and largest x of the points that were fitted.
	Low  float64 `json:"low"`
	High float64 `json:"high"`

	center float64 // log x that the coefficients are about
	c      [3]float64
}

// At returns the parabola's value at x.
func (p *Peak) At(x float64) float64 { return parabola(p.c, math.Log(x)-p.center) }

// Errors of FitPeak.
var (
	// ErrFewPoints says that there are too few abscissas near the best.
	ErrFewPoints = errors.New("analysis: a peak needs 4 points within a factor of 10 of the best one")
	// ErrNoPeak says that the points do not rise and fall.
	ErrNoPeak = errors.New("analysis: the points do not rise and fall: the best may lie outside of them")
)

// FitPeak fits y = c₀ + c₁u + c₂u² of u = log x to the means at the abscissas
// within a factor of 10 of the one with the highest mean, and returns the
// parabola's top.
func FitPeak(list []Sampled) (*Peak, error) {
	var observations []observation
	for _, p := range list {
		if p.X > 0 && finite(p.X) && finite(p.Y) {
			observations = append(observations, observation{math.Log(p.X), p.Y, p.Seed})
		}
	}
	best := cell{mean: math.Inf(-1)}
	for _, c := range newSample(observations).all() {
		if c.mean > best.mean {
			best = c
		}
	}
	var near []observation
	for _, o := range observations {
		if math.Abs(o.x-best.x) <= math.Log(10)+1e-9 {
			o.x -= best.x
			near = append(near, o)
		}
	}
	s := newSample(near)
	cells := s.all()
	if len(cells) < 4 {
		return nil, ErrFewPoints
	}
	low, high := cells[0].x, cells[len(cells)-1].x
	c, ok := quadratic(cells)
	top, height, peaked := summit(c)
	if !ok || !peaked || top < low || top > high {
		return nil, ErrNoPeak
	}
	p := &Peak{Low: math.Exp(best.x + low), High: math.Exp(best.x + high), center: best.x, c: c}
	p.Quality, _ = s.quality(func(x float64) float64 { return parabola(c, x) }, 3)
	e := s.stderrs(func(cells []cell) ([]float64, bool) {
		if len(cells) < 4 {
			return nil, false
		}
		c, ok := quadratic(cells)
		top, height, peaked := summit(c)
		return []float64{top, height}, ok && peaked
	})
	df := s.df
	if e == nil {
		df, e = 0, make([]float64, 2)
		p.Quality.worsen(Rough, "the error of its place is unknown")
	}
	p.X = interval(best.x+top, e[0], df, true)
	p.Height = interval(height, e[1], df, false)
	if r2, ok := p.Quality.R2.Get(); !ok || r2 < 0.5 {
		p.Quality.worsen(Bad, "the parabola explains less than half of what the means differ by")
	}
	if f, ok := p.Quality.LackOfFit.Get(); ok && f < 0.01 {
		p.Quality.worsen(Rough, "settings of one temperature differ, or the curve is no parabola (p = %.2g)", f)
	}
	if high, ok := p.X.High.Get(); ok {
		if low, _ := p.X.Low.Get(); high > 10*low {
			p.Quality.worsen(Rough, "its interval spans a factor of %.0f", high/low)
		}
	}
	return p, nil
}

func parabola(c [3]float64, u float64) float64 { return c[0] + u*(c[1]+u*c[2]) }

// summit returns the top of a parabola and whether it has one.
func summit(c [3]float64) (at, height float64, ok bool) {
	if !(c[2] < 0) {
		return 0, 0, false
	}
	at = -c[1] / (2 * c[2])
	return at, parabola(c, at), finite(at)
}

// quadratic returns the weighted least-squares parabola through the cells.
func quadratic(cells []cell) (c [3]float64, ok bool) {
	a := mat.NewDense(len(cells), 3, nil)
	b := mat.NewVecDense(len(cells), nil)
	for i, x := range cells {
		w := math.Sqrt(x.weight)
		a.SetRow(i, []float64{w, w * x.x, w * x.x * x.x})
		b.SetVec(i, w*x.mean)
	}
	var solution mat.VecDense
	if solution.SolveVec(a, b) != nil {
		return c, false
	}
	return [3]float64{solution.AtVec(0), solution.AtVec(1), solution.AtVec(2)}, true
}
