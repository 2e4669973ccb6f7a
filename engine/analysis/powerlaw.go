package analysis

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// Sampled is a run's value y at the abscissa x of its setting.
type Sampled struct {
	X, Y float64
	Seed uint64
}

// PowerLaw is y = Factor·x^Exponent.
type PowerLaw struct {
	Exponent Interval `json:"exponent"`
	Factor   float64  `json:"factor"`
	Quality  Quality  `json:"quality"`
}

// FitPowerLaw fits a power law by least squares in log x and log y. It reports
// false for fewer than three abscissas, or where a value is not positive.
func FitPowerLaw(list []Sampled) (*PowerLaw, bool) {
	observations := make([]observation, len(list))
	for i, p := range list {
		if !(p.X > 0) || !(p.Y > 0) || !finite(p.X) || !finite(p.Y) {
			return nil, false
		}
		observations[i] = observation{math.Log(p.X), math.Log(p.Y), p.Seed}
	}
	s := newSample(observations)
	if len(s.cells) < 3 {
		return nil, false
	}
	cells := s.all()
	alpha, beta := line(cells)
	l := &PowerLaw{Factor: math.Exp(alpha)}
	var sum float64
	l.Quality, sum = s.quality(func(x float64) float64 { return alpha + beta*x }, 2)
	df := s.df
	e := s.stderrs(func(cells []cell) ([]float64, bool) {
		if len(cells) < 3 {
			return nil, false
		}
		_, beta := line(cells)
		return []float64{beta}, true
	})
	switch {
	case s.method == Residuals:
		df = len(cells) - 2
		e = []float64{lineStderr(cells, sum)}
	case e == nil:
		df, e = 0, []float64{0}
	}
	l.Exponent = interval(beta, e[0], df, false)
	if l.Quality.RMS > 0.25 {
		l.Quality.worsen(Bad, "the means are %.0f %% off the line (root mean square)", 100*l.Quality.RMS)
	}
	return l, finite(l.Factor) && finite(beta)
}

// line returns the weighted least-squares line alpha + beta·x.
func line(cells []cell) (alpha, beta float64) {
	x, y, w := columns(cells)
	return stat.LinearRegression(x, y, w, false)
}

func columns(cells []cell) (x, y, w []float64) {
	for _, c := range cells {
		x, y, w = append(x, c.x), append(y, c.mean), append(w, c.weight)
	}
	return x, y, w
}

// lineStderr returns the standard error of the slope of a line through at least
// three cells, of which sum is the residual sum of squares.
func lineStderr(cells []cell, sum float64) float64 {
	x, _, w := columns(cells)
	mean := stat.Mean(x, w)
	spread := 0.0
	for i := range x {
		spread += w[i] * (x[i] - mean) * (x[i] - mean)
	}
	return math.Sqrt(sum / float64(len(cells)-2) / spread)
}
