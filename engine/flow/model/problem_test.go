package model

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/rng"
)

// random returns an n×d matrix of normal numbers.
func random(n, d int, seed uint64) *mat.Dense {
	s := rng.New(rng.Labels, seed, 0)
	m := mat.NewDense(n, d, nil)
	for i := range n {
		for k := range d {
			m.Set(i, k, s.NormFloat64())
		}
	}
	return m
}

var problems = map[string]*Problem{
	"quadratic":   Quadratic(mat.NewSymDense(2, []float64{2, 0.5, 0.5, 1}), random(7, 2, 1)),
	"springs":     Springs([]float64{0.2, 0.5, 1.1}, []float64{1, -0.5, 2}),
	"saddle":      Saddle([]float64{1, -0.5, 0.3}, random(6, 3, 2)),
	"double well": DoubleWell(0.25, []float64{1, -2, 0.5}),
	"logistic":    Logistic(random(9, 3, 3), []float64{1, -1, 1, 1, -1, -1, 1, 1, -1}),
}

// Gradient and product are the differences of loss and gradient; combination and
// variances those of samples one by one.
func TestProblemsHaveTheDerivativesOfTheirLoss(t *testing.T) {
	for name, p := range problems {
		d, n := p.Dim(), p.Samples()
		at := random(1, d, 7).RawRowView(0)
		v := random(1, d, 8).RawRowView(0)
		g, hv, ahead, behind := make([]float64, d), make([]float64, d), make([]float64, d), make([]float64, d)
		if loss := p.Gradient(g, at, nil); math.Abs(loss-p.Loss(at)) > 1e-14*math.Abs(loss) {
			t.Errorf("%s: losses %v and %v", name, loss, p.Loss(at))
		}
		p.Product(hv, v)
		const h = 1e-5
		for k := range d {
			x := append([]float64{}, at...)
			x[k] += h
			up := p.Loss(x)
			x[k] -= 2 * h
			if got := (up - p.Loss(x)) / (2 * h); math.Abs(got-g[k]) > 1e-8*(1+math.Abs(g[k])) {
				t.Errorf("%s: slope %d is %v, by differences %v", name, k, g[k], got)
			}
			ahead[k], behind[k] = at[k]+h*v[k], at[k]-h*v[k]
		}
		after, before := make([]float64, d), make([]float64, d)
		p.Gradient(after, ahead, nil)
		p.Gradient(before, behind, nil)
		for k := range d {
			if got := (after[k] - before[k]) / (2 * h); math.Abs(got-hv[k]) > 1e-7*(1+math.Abs(hv[k])) {
				t.Errorf("%s: product %d is %v, by differences %v", name, k, hv[k], got)
			}
		}
		indices := []int32{int32(n - 1), 0, 1, 0} // one twice
		w := []float64{0.3, -1, 2, 0.7}
		combined, mean, squares := make([]float64, d), make([]float64, d), make([]float64, d)
		one := make([]float64, d)
		for j, i := range indices {
			p.Gradient(one, at, []int32{i})
			for k, x := range one {
				combined[k] += w[j] * x
				mean[k] += x / 4
				squares[k] += x * x / 4
			}
		}
		p.Gradient(g, at, indices)
		p.Combine(one, w)
		variances := make([]float64, d)
		trace := p.Variances(variances)
		for k := range d {
			variance := squares[k] - mean[k]*mean[k]
			trace -= variance
			if math.Abs(g[k]-mean[k]) > 1e-13 || math.Abs(one[k]-combined[k]) > 1e-13 || math.Abs(variances[k]-variance) > 1e-13 {
				t.Errorf("%s: gradient %v, combination %v, variance %v; want %v, %v, %v", name, g[k], one[k], variances[k], mean[k], combined[k], variance)
			}
		}
		if math.Abs(trace) > 1e-12 || math.Abs(p.Variances(nil)-(total(variances))) > 1e-12 {
			t.Errorf("%s: trace is %v off", name, trace)
		}
	}
}

func total(v []float64) (sum float64) {
	for _, x := range v {
		sum += x
	}
	return sum
}

func TestWellsAreWhereTheyAreSaidToBe(t *testing.T) {
	p := DoubleWell(0.25, []float64{1, -1})
	hv := make([]float64, 1)
	for x, want := range map[float64][2]float64{-1: {0, 2}, 1: {0, 2}, 0: {0.25, -1}} {
		g := make([]float64, 1)
		loss := p.Gradient(g, []float64{x}, nil)
		p.Product(hv, []float64{1})
		if math.Abs(g[0]) > 1e-15 || math.Abs(loss-want[0]) > 1e-15 || math.Abs(hv[0]-want[1]) > 1e-15 {
			t.Errorf("at %v: loss %v, slope %v, curvature %v", x, loss, g[0], hv[0])
		}
	}
}
