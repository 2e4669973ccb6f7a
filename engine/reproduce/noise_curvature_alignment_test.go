package reproduce

import (
	"context"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// covariance returns Σ = GᵀG/N for the centred gradients G of N samples.
func covariance(g *mat.Dense) *mat.Dense {
	n, _ := g.Dims()
	var s mat.Dense
	s.Mul(g.T(), g)
	s.Scale(1/float64(n), &s)
	return &s
}

func TestAlignmentIsThatOfTheDenseMatrices(t *testing.T) {
	l := smallLab(t, 1)
	c := smallSetup("mlp:16-4-3,act=tanh")
	n, exact := open[float32](t, l, c), open[float64](t, l, c)
	a, err := align(context.Background(), n, 4000, 4000)
	if err != nil {
		t.Fatal(err)
	}
	h := denseHessian(exact)
	sigma := covariance(sampleGradients(exact))
	var product mat.Dense
	product.Mul(h, sigma)
	p, _ := sigma.Dims()
	ratio := mat.Trace(&product) / (mat.Trace(h) * mat.Trace(sigma) / float64(p))
	cosine := mat.Trace(&product) / (mat.Norm(h, 2) * mat.Norm(sigma, 2)) // of matrices, gonum's 2 is Frobenius'
	// A probe of each kind is off by at most √2 of the value where one direction has
	// all of it, 4,000 by 2.3 %: four deviations of the two.
	if math.Abs(a.ratio/ratio-1) > 0.13 || math.Abs(a.cosine/cosine-1) > 0.13 {
		t.Errorf("ratio %v, cosine %v, want %v, %v", a.ratio, a.cosine, ratio, cosine)
	}
}

func TestCenteredNormIsThatOfTheCovariance(t *testing.T) {
	g := mat.NewDense(4, 3, []float64{1, 2, 0, -1, 3, 5, 2, 2, 2, 0, 1, -4})
	var gram mat.Dense
	gram.Mul(g, g.T())
	centered := mat.NewDense(4, 3, nil)
	for j := range 3 {
		mean := mat.Sum(g.ColView(j)) / 4
		for i := range 4 {
			centered.Set(i, j, g.At(i, j)-mean)
		}
	}
	want := 4 * mat.Norm(covariance(centered), 2)
	if got := centeredNorm(gram.RawMatrix().Data, 4); math.Abs(got-want) > 1e-12*want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAlignmentVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		ratios []float64
		want   Verdict
	}{
		"aligned":       {[]float64{90, 100, 110}, Confirmed},
		"isotropic":     {[]float64{0.9, 1, 1.1}, Contradicted},
		"a few times":   {[]float64{2.9, 3, 3.1}, Contradicted},
		"perpendicular": {[]float64{-1, -1, -1}, Contradicted},
		"noisy":         {[]float64{5, 20, 200}, Undecided},
	} {
		var runs [][]alignment
		for _, r := range c.ratios {
			list := make([]alignment, len(alignmentSteps))
			for k := range list {
				list[k] = alignment{ratio: 1000 + r, cosine: 0.5}
			}
			list[2].ratio = r // one step decides
			runs = append(runs, list)
		}
		o := judgeAlignment([]uint64{0, 1, 2}, runs)
		if err := o.check(); err != nil || o.Verdict != c.want {
			t.Errorf("%s: %s, want %s; %v", name, o.Verdict, c.want, err)
		}
	}
}
