package measure

import (
	"context"
	"math"
	"slices"
	"testing"

	"sgflow/engine/rng"
)

func mustCurves(t *testing.T, o *Objective[float64], c CurveConfig) *CurveResult {
	t.Helper()
	r, err := Curves(context.Background(), o, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// filterDirection is the k-th filter-normalised direction of a seed.
func filterDirection(o *Objective[float64], theta []float64, seed uint64, k int) []float64 {
	d := make([]float64, len(theta))
	for _, p := range o.s.Program().Params {
		if len(p.Shape) == 1 {
			continue // d stays zero
		}
		for f := range p.Shape[0] {
			from, to := p.Offset+f*p.Size/p.Shape[0], p.Offset+(f+1)*p.Size/p.Shape[0]
			stream := rng.New(rng.Probes, seed, curveProbes+uint64(k)<<32+uint64(from))
			var dd, tt float64
			for i := from; i < to; i++ {
				d[i] = stream.NormFloat64()
				dd, tt = dd+square(d[i]), tt+square(theta[i])
			}
			for i := from; i < to; i++ {
				d[i] *= math.Sqrt(tt / dd)
			}
		}
	}
	return d
}

func TestCurvesAreLossesAlongFilterNormalisedDirections(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(9)
		loss, _ := o.Gradient(indices, false)
		c := CurveConfig{Alphas: []float64{-0.7, 0, 0.2, 1}, Directions: 3, Seed: 4}
		var r *CurveResult
		unchanged(t, o, func() { r = mustCurves(t, o, c) })
		near(t, "loss", r.Loss, loss, 1e-14)
		theta := slices.Clone(o.s.Params())
		d := make([][]float64, c.Directions)
		for k := range d {
			d[k] = filterDirection(o, theta, c.Seed, k)
		}
		for i, alpha := range c.Alphas {
			point := r.Points[i]
			var losses []float64
			for k := range d {
				at := slices.Clone(theta)
				for j := range at {
					at[j] += alpha * d[k][j]
				}
				losses = append(losses, lossAt(t, o, indices, at))
				near(t, "loss", point.Losses[k], losses[k], 1e-12)
			}
			m := sumOf(losses) / 3
			ss := 0.0
			for _, v := range losses {
				ss += square(v - m)
			}
			near(t, "mean", point.Mean, m, 1e-12)
			if got := value(t, "deviation", point.Deviation); math.Abs(got-math.Sqrt(ss/2)) > 1e-12*m {
				t.Errorf("deviation %g, want %g", got, math.Sqrt(ss/2))
			}
			if point.Alpha != alpha || alpha == 0 && point.Losses[2] != r.Loss {
				t.Errorf("α = %g: %+v", point.Alpha, point)
			}
		}
		o.Gradient(indices, false)
		if one := mustCurves(t, o, CurveConfig{Directions: 1}); len(one.Points) != 21 || !one.Points[0].Deviation.IsZero() {
			t.Errorf("one direction: %+v", one.Points[0])
		}
	})
}

// Filter normalisation is there so that the curves of networks with the same
// function are the same (Li et al. 2018, §4).
func TestCurvesDoNotSeeTheScaleOfLayers(t *testing.T) {
	run := func(c float64) *CurveResult {
		o := objective[float64](t, larger["relu"], pool)
		rescale(o, c)
		o.Gradient(samples(8), false)
		return mustCurves(t, o, CurveConfig{Directions: 2})
	}
	want := run(1)
	for _, c := range []float64{0.01, 3, 50} {
		for i, p := range run(c).Points {
			near(t, "mean", p.Mean, want.Points[i].Mean, 1e-11)
		}
	}
}
