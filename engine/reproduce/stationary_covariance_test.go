package reproduce

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/flow/model"
)

// mnistBasin is the experiment's minimum.
func mnistBasin(t *testing.T) *basin {
	t.Helper()
	b, err := openBasin(quickLab(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBasinIsAMinimumWithItsHessianAndCovariance(t *testing.T) {
	b := mnistBasin(t)
	p := model.Logistic(b.x, b.y)
	d := p.Dim()
	grad, other := make([]float64, d), make([]float64, d)
	p.Gradient(grad, b.minimum, nil)
	for k, g := range grad {
		if math.Abs(g) > 1e-12 {
			t.Errorf("slope %d is %g", k, g)
		}
	}
	if variances := make([]float64, d); math.Abs(p.Variances(variances)-mat.Trace(b.sigma)) > 1e-12 {
		t.Errorf("tr Σ is %v, want %v", mat.Trace(b.sigma), p.Variances(nil))
	}
	const h = 1e-5
	for k := range d {
		x := append([]float64{}, b.minimum...)
		x[k] += h
		p.Gradient(other, x, nil)
		for j := range d {
			if got := other[j] / h; math.Abs(got-b.a.At(j, k)) > 1e-4 { // forward differences, from slope 0
				t.Errorf("H(%d,%d) is %v, by differences %v", j, k, b.a.At(j, k), got)
			}
		}
	}
	if !(b.bottom > 0) || b.top < b.bottom {
		t.Errorf("eigenvalues %v to %v", b.bottom, b.top)
	}
}

func TestPredictedCovarianceSolvesItsEquation(t *testing.T) {
	b := mnistBasin(t)
	c := stationarySetting{0.1, 7}
	s := b.predicted(c)
	var left, right mat.Dense
	left.Mul(b.a, s)
	right.Mul(s, b.a)
	left.Add(&left, &right)
	right.Scale(0.1/b.top/7, b.sigma)
	if !mat.EqualApprox(&left, &right, 1e-14) {
		t.Errorf("A S + S A is %v, want %v", mat.Formatted(&left), mat.Formatted(&right))
	}
}

func TestPrincipalComponentsAreUncorrelatedOfUnitVariance(t *testing.T) {
	b := mnistBasin(t)
	n, d := b.x.Dims()
	if n != 1000 || d != 6 || len(b.y) != n {
		t.Fatalf("%d×%d features, %d classes", n, d, len(b.y))
	}
	for j := range d {
		for k := range d {
			sum := 0.0
			for i := range n {
				sum += b.x.At(i, j) * b.x.At(i, k)
			}
			want := 0.0
			switch {
			case j == k && j == 0: // the constant
				want = float64(n)
			case j == k:
				want = float64(n - 1)
			}
			if math.Abs(sum-want) > 1e-9*float64(n) {
				t.Errorf("columns %d and %d: %v, want %v", j, k, sum, want)
			}
		}
	}
}

func TestStationaryVerdicts(t *testing.T) {
	b := mnistBasin(t)
	// runs have the predicted covariance of each setting, times a factor.
	runs := func(factors ...float64) (list []*mat.SymDense) {
		for seed := range 3 {
			for k, c := range stationarySettings {
				s := mat.NewSymDense(len(b.minimum), nil)
				want := b.predicted(c)
				for i := range len(b.minimum) {
					for j := i; j < len(b.minimum); j++ {
						s.SetSym(i, j, want.At(i, j)*(factors[k]+0.002*float64(seed)))
					}
				}
				list = append(list, s)
			}
		}
		return list
	}
	for name, c := range map[string]struct {
		factors []float64
		want    Verdict
	}{
		"as predicted":            {[]float64{1, 1, 1, 1}, Confirmed},
		"and not at large steps":  {[]float64{1, 1.05, 1.5, 3}, Confirmed},
		"twice as wide":           {[]float64{2, 2, 2, 2}, Contradicted},
		"does not grow with heat": {[]float64{1, 0.5, 1, 1}, Contradicted},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeStationary(b, []uint64{0, 1, 2}, runs(c.factors...)), c.want)
		})
	}
}
