package measure

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// mass returns the integral of the density.
func mass(d Density) float64 {
	sum := 0.0
	for _, v := range d.Values {
		sum += v
	}
	return sum * (d.Grid[len(d.Grid)-1] - d.Grid[0]) / float64(len(d.Grid)-1)
}

// drawQuadrature draws up to 8 nodes within ±range with weights that sum to 1.
func drawQuadrature(t *rapid.T, limit float64) Quadrature {
	n := rapid.IntRange(1, 8).Draw(t, "nodes")
	var q Quadrature
	at, sum := -limit, 0.0
	for range n {
		at += rapid.Float64Range(0, 2*limit/8).Draw(t, "gap")
		q.Nodes = append(q.Nodes, at)
		w := rapid.Float64Range(0.01, 1).Draw(t, "weight")
		q.Weights = append(q.Weights, w)
		sum += w
	}
	for i := range q.Weights {
		q.Weights[i] /= sum
	}
	return q
}

// However narrow the broadening and coarse the grid, no mass is lost but what
// lies beyond five standard deviations.
func TestDensityIntegratesTo1OnAnyGrid(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var list []Quadrature
		for range rapid.IntRange(1, 4).Draw(r, "probes") {
			list = append(list, drawQuadrature(r, 10))
		}
		sigma := math.Exp(rapid.Float64Range(math.Log(1e-6), math.Log(10)).Draw(r, "log sigma"))
		d := NewDensity(list, sigma, rapid.IntRange(2, 300).Draw(r, "points"))
		if m := mass(d); m > 1+1e-9 || m < 1-6e-7 {
			r.Fatalf("σ = %g, %d points: mass %v", sigma, len(d.Grid), m)
		}
	})
}

// The standard error at a point is that of the probes' own densities there.
func TestDensityHasTheMeanAndErrorOfItsProbes(t *testing.T) {
	one := Quadrature{[]float64{0}, []float64{1}}
	half := Quadrature{[]float64{0, 1}, []float64{0.5, 0.5}}
	d := NewDensity([]Quadrature{one, half}, 0.01, 1001)
	peak := 1 / (0.01 * math.Sqrt(2*math.Pi))
	for j, at := range d.Grid {
		shape := func(x float64) float64 { return peak * math.Exp(-math.Pow((at-x)/0.01, 2)/2) }
		// At the left peak probes give 1 and ½, at the right 0 and ½: means ¾
		// and ¼, and of two values the standard error is half their distance.
		value, stderr := 0.75*shape(0)+0.25*shape(1), 0.25*math.Abs(shape(0)-shape(1))
		if math.Abs(d.Values[j]-value) > 1e-3*peak || math.Abs(d.Stderr[j]-stderr) > 1e-3*peak { // a cell is σ/9
			t.Fatalf("at %g: %g ± %g, want %g ± %g", at, d.Values[j], d.Stderr[j], value, stderr)
		}
	}
	if d := NewDensity([]Quadrature{half}, 0.01, 10); d.Stderr != nil {
		t.Error("a single probe has a standard error")
	}
}

func TestNormalMassIsPreciseInTheTails(t *testing.T) {
	for _, c := range []struct{ a, b, want float64 }{
		// The tail beyond 20 from tables; beyond 40 there is nothing to see.
		{20, 40, 2.753624118606e-89},
		{-40, -20, 2.753624118606e-89},
		{-1, 1, 0.682689492137086},
		{0, 40, 0.5},
	} {
		near(t, "mass", normalMass(c.a, c.b), c.want, 1e-12)
	}
}
