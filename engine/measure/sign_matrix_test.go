package measure

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sgflow/engine"
	"sgflow/engine/rng"
)

func TestSignMatrixIsTheMatrixOfItsProbes(t *testing.T) {
	o := objective[float64](t, larger["conv"], pool)
	p := len(o.s.Params())
	for _, m := range []int{1, 7, 8, 9, 40} {
		a := newSignMatrix(o.s, m, 3, 100)
		want := mat.NewDense(p, m, nil)
		for j := range m {
			column := make([]float64, p)
			rng.Signs(column, rng.New(rng.Probes, 3, 100+uint64(j)), 0)
			want.SetCol(j, column)
		}
		var gram mat.Dense
		gram.Mul(want.T(), want)
		if !mat.Equal(a.gram(), &gram) { // integers
			t.Errorf("%d columns: AᵀA is wrong", m)
		}
		z, x := make([]float64, m), make([]float64, p)
		stream := rng.New(rng.Weights, 1, 1)
		for j := range z {
			z[j] = stream.NormFloat64()
		}
		for i := range x {
			x[i] = stream.NormFloat64()
		}
		var az, atx mat.VecDense
		az.MulVec(want, mat.NewVecDense(m, z))
		atx.MulVec(want.T(), mat.NewVecDense(p, x))
		gotAZ, gotATX := make([]float64, p), make([]float64, m)
		a.times(gotAZ, x, z)
		a.transposed(gotATX, x)
		for i, v := range gotAZ {
			if math.Abs(v-x[i]-az.AtVec(i)) > 1e-13*float64(m) {
				t.Fatalf("%d columns: (x + Az)[%d] = %g, want %g", m, i, v, x[i]+az.AtVec(i))
			}
		}
		for j, v := range gotATX {
			if math.Abs(v-atx.AtVec(j)) > 1e-13*float64(p) {
				t.Fatalf("%d columns: (Aᵀx)[%d] = %g, want %g", m, j, v, atx.AtVec(j))
			}
		}
	}
}

func TestKeskarDoesNotDependOnThreads(t *testing.T) {
	run := func(threads int) KeskarResult {
		o := objectiveOf[float32](t, larger["conv"], engine.Config{Batch: 5, Threads: threads})
		o.Gradient(samples(17), false)
		var results []KeskarResult
		for _, dim := range []int{0, 30} {
			r, err := Keskar(t.Context(), o, KeskarConfig{Dim: dim, Epsilon: 0.01})
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, r)
		}
		if slices.Max([]float64{results[0].Sharpness, results[1].Sharpness}) <= 0 {
			t.Errorf("%+v", results)
		}
		results[0].Evaluations += results[1].Evaluations
		results[0].Max += results[1].Max
		return results[0]
	}
	if one, two := run(1), run(2); one != two {
		t.Errorf("one thread gives %+v, two %+v", one, two)
	}
}
