package reproduce

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// decades returns values from 1 down over two decades and factor·values^exponent.
func decades(factor, exponent float64) (values, variances []float64) {
	for k := range 40 {
		x := math.Pow(10, -float64(k)/20)
		values, variances = append(values, x), append(variances, factor*math.Pow(x, exponent))
	}
	return values, variances
}

func TestExponentOfAPowerLawIsFound(t *testing.T) {
	for _, exponent := range []float64{0, 0.5, 1, 1.7, 2} {
		f := fitExponent(decades(0.03, exponent))
		if math.Abs(f.exponent-exponent) > 1e-12 || exponent > 0 && math.Abs(f.r2-1) > 1e-12 {
			t.Errorf("exponent %v with R² %v, want %v", f.exponent, f.r2, exponent)
		}
	}
	if f := fitExponent(decades(0.03, 1)); math.Abs(f.ratio-0.03) > 1e-14 {
		t.Errorf("variance over eigenvalue %v, want 0.03", f.ratio)
	}
}

func TestVariancesAlongEigenvectorsAreThoseOfTheCovariance(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-4-3,act=tanh")
	n, exact := open[float32](t, l, c), open[float64](t, l, c)
	pairs, err := n.Eigenpairs(context.Background(), n.All, 4, 1e-5)
	if err != nil {
		t.Fatal(err)
	}
	values, variances := alongEigenvectors(n, pairs)
	sigma := covariance(sampleGradients(exact))
	for k := range values {
		v := mat.NewVecDense(len(pairs[k].Vector), nil)
		for j, x := range pairs[k].Vector {
			v.SetVec(j, float64(x))
		}
		if want := mat.Inner(v, sigma, v); math.Abs(variances[k]-want) > 1e-4*want || values[k] != pairs[k].Value { // float32 beside float64
			t.Errorf("variance %d is %v, want %v", k, variances[k], want)
		}
	}
	if len(values) == 0 {
		t.Error("there is no positive eigenvalue")
	}
}

func TestExponentVerdicts(t *testing.T) {
	fits := func(exponents []float64) (runs [][]*exponentFit) {
		for _, e := range exponents {
			var list []*exponentFit
			for range covarianceSteps {
				list = append(list, fitExponent(decades(1, e)))
			}
			runs = append(runs, list)
		}
		return runs
	}
	for name, c := range map[string]struct {
		exponents []float64
		want      Verdict
	}{
		"proportional":   {triple(1, 0.02), Confirmed},
		"hardly grows":   {triple(0.1, 0.02), Contradicted},
		"quadratic":      {triple(2, 0.02), Contradicted},
		"seeds disagree": {triple(1, 0.2), Undecided},
	} {
		runs := fits(c.exponents)
		for _, r := range runs {
			r[0] = fitExponent(decades(1, 3)) // initial networks are not counted
		}
		o := judgeExponents(runs, fits(triple(2, 0.1)))
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
}
