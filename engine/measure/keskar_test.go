package measure

import (
	"context"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine/rng"
)

func mustKeskar(t *testing.T, o *Objective[float64], c KeskarConfig) KeskarResult {
	t.Helper()
	r, err := Keskar(context.Background(), o, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The loss of the linear net on one sample, ½Σᵣ(wᵣ·x − yᵣ)², has its maximum in
// a box where every residual is as large as it gets: |wᵣ·x − yᵣ| + Σⱼ bᵣⱼ|xⱼ|.
func TestKeskarFindsTheMaximumOfALinearNet(t *testing.T) {
	o := objective[float64](t, linear, pool)
	indices := samples(1)
	for _, epsilon := range []float64{1e-3, 0.05, 1} {
		loss, _ := o.Gradient(indices, false)
		x, y := o.s.Input(0)[:side*side], o.s.Input(1)[:classes]
		most := 0.0
		for r := range classes {
			w := o.s.Params()[r*side*side : (r+1)*side*side]
			residual, reach := -y[r], 0.0
			for j, v := range x {
				residual += w[j] * v
				reach += epsilon * (math.Abs(w[j]) + 1) * math.Abs(v)
			}
			most += square(math.Abs(residual)+reach) / 2
		}
		var r KeskarResult
		unchanged(t, o, func() { r = mustKeskar(t, o, KeskarConfig{Epsilon: epsilon}) })
		near(t, "loss", r.Loss, loss, 1e-14)
		near(t, "max", r.Max, most, 1e-12)
		near(t, "sharpness", r.Sharpness, 100*(most-loss)/(1+loss), 1e-10)
	}
}

// No point of the box that a random search finds is higher, points found are in
// the box, and more iterations find no less.
func TestKeskarIsNotBelowARandomSearch(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		o.Gradient(indices, false)
		theta := slices.Clone(o.s.Params())
		for _, epsilon := range []float64{DefaultBox, 0.1} {
			last := math.Inf(-1)
			for iterations := 1; iterations <= 10; iterations++ {
				var r KeskarResult
				unchanged(t, o, func() { r = mustKeskar(t, o, KeskarConfig{Epsilon: epsilon, Iterations: iterations}) })
				if r.Max < last || r.Max < r.Loss || r.Iterations > iterations {
					t.Errorf("%d iterations, %d taken: max %g, before %g", iterations, r.Iterations, r.Max, last)
				}
				last = r.Max
			}
			stream := rng.New(rng.Probes, 1, 1<<60)
			at := slices.Clone(theta)
			for k := range 200 {
				for i, x := range theta {
					z := 2*stream.Float64() - 1
					if k%2 == 0 { // corners
						z = math.Copysign(1, z)
					}
					at[i] = x + z*epsilon*(math.Abs(x)+1)
				}
				if loss := lossAt(t, o, indices, at); loss > last {
					t.Fatalf("ε = %g: a random point has loss %g, the search found %g", epsilon, loss, last)
				}
			}
			o.Gradient(indices, false)
		}
	})
}

// In two dimensions a grid over the box is a search without mercy.
func TestKeskarInASubspaceIsNotBelowAGrid(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		for _, epsilon := range []float64{DefaultBox, 0.05} {
			o.Gradient(indices, false)
			var r KeskarResult
			unchanged(t, o, func() { r = mustKeskar(t, o, KeskarConfig{Epsilon: epsilon, Dim: 2, Seed: 7}) })
			// The box by definition, A⁺ by least squares.
			theta := slices.Clone(o.s.Params())
			p := len(theta)
			a := mat.NewDense(p, 2, nil)
			column := make([]float64, p)
			for j := range 2 {
				rng.Signs(column, rng.New(rng.Probes, 7, subspaceProbes+uint64(j)), 0)
				a.SetCol(j, column)
			}
			var plus mat.VecDense
			if err := plus.SolveVec(a, mat.NewVecDense(p, theta)); err != nil {
				t.Fatal(err)
			}
			best := math.Inf(-1)
			const cells = 20
			for i := 0; i <= cells; i++ {
				for j := 0; j <= cells; j++ {
					z := mat.NewVecDense(2, []float64{
						epsilon * (math.Abs(plus.AtVec(0)) + 1) * (float64(i)*2/cells - 1),
						epsilon * (math.Abs(plus.AtVec(1)) + 1) * (float64(j)*2/cells - 1),
					})
					var y mat.VecDense
					y.MulVec(a, z)
					y.AddVec(&y, mat.NewVecDense(p, theta))
					best = max(best, lossAt(t, o, indices, y.RawVector().Data))
				}
			}
			if r.Max < best-1e-12*best {
				t.Errorf("ε = %g: the search found %.15g, the grid %.15g", epsilon, r.Max, best)
			}
			if epsilon == DefaultBox { // a small box's maximum is at a corner, which the grid has
				near(t, "max", r.Max, best, 1e-12)
			}
			if r.Dim != 2 {
				t.Errorf("dimension %d", r.Dim)
			}
		}
	})
}

func TestPseudoSolveIsTheShortestSolution(t *testing.T) {
	m := mat.NewSymDense(3, []float64{4, 2, 0, 2, 3, 0, 0, 0, 0})
	got := pseudoSolve(m, mat.NewVecDense(3, []float64{10, 7, 0}))
	for i, want := range []float64{2, 1, 0} {
		if math.Abs(got[i]-want) > 1e-12 {
			t.Errorf("x[%d] = %g, want %g", i, got[i], want)
		}
	}
}

// At a stationary point, here a network of zeros with balanced classes, the
// search starts from a random corner.
func TestKeskarLeavesAStationaryPoint(t *testing.T) {
	o := objective[float64](t, larger["relu"], pool)
	clear(o.s.Params())
	indices := []int32{0, 1, 2} // one of each class
	o.Gradient(indices, false)
	if g := o.s.NormSq(o.Grad()); g > 1e-30 {
		t.Fatalf("the squared gradient is %g: the point is not stationary", g)
	}
	clear(o.Grad())
	for _, dim := range []int{0, 4} {
		r := mustKeskar(t, o, KeskarConfig{Epsilon: 0.5, Dim: dim})
		if r.Sharpness <= 0 {
			t.Errorf("dimension %d: sharpness %g", dim, r.Sharpness)
		}
	}
}
