package measure

import (
	"math"
	"testing"

	"sgflow/engine/op"
)

func TestLeadingFollowsTheLargestEigenvalueOfAPath(t *testing.T) {
	o := objective[float64](t, mlp(op.CrossEntropy), 8) // in three chunks
	const tol = 1e-6
	f := NewLeading[float64](o, tol, 60)
	v := make([]float64, len(o.Session().Params()))
	first := 0
	for step := range 4 {
		o.Gradient(samples(pool), false)
		value, residual, err := f.Find(v, o.Grad(), 3)
		if err != nil {
			t.Fatal(err)
		}
		products := o.Products()
		want, err := Eigenpairs[float64](t.Context(), o, EigenConfig{Tol: 1e-9})
		if err != nil {
			t.Fatal(err)
		}
		// A Ritz value errs by the square of its residual over the gap.
		if math.Abs(value-want[0].Value) > 1e-6*want[0].Value || residual > tol*value {
			t.Errorf("step %d: λmax %v with residual %g, want %v", step, value, residual, want[0].Value)
		}
		if norm := o.Session().NormSq(v); math.Abs(norm-1) > 1e-9 {
			t.Errorf("step %d: the vector's norm is √%v", step, norm)
		}
		if step == 0 {
			first = products
		} else if products > first {
			t.Errorf("step %d took %d products, the first %d", step, products, first)
		}
		o.Session().Axpy(-0.01, o.Grad(), o.Session().Params())
	}
}
