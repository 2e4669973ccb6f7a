package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"sgflow/engine"
)

func mustSharpness[T engine.Float](t *testing.T, o *Objective[T], c SharpnessConfig) *SharpnessResult {
	t.Helper()
	r, err := Sharpness(context.Background(), o, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// subsets returns all sets of n of the indices.
func subsets(indices []int32, n int) [][]int32 {
	if n == 0 {
		return [][]int32{nil}
	}
	var list [][]int32
	for i := 0; i+n <= len(indices); i++ {
		for _, rest := range subsets(indices[i+1:], n-1) {
			list = append(list, append([]int32{indices[i]}, rest...))
		}
	}
	return list
}

// The expectations over all batches there are lie within the errors.
func TestSharpnessIsTheMeanOverAllBatches(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(6)
		o.Gradient(indices, false)
		h := formed(o)
		var ratios, steps, products, norms []float64
		for _, batch := range subsets(indices, 2) {
			o.Gradient(batch, false)
			g := slices.Clone(o.Grad())
			gg := o.s.NormSq(g)
			hg := make([]float64, len(g))
			o.Product(hg, g)
			products, norms = append(products, o.s.Dot(g, hg)), append(norms, gg)
			ratios = append(ratios, o.s.Dot(g, hg)/gg)
			steps = append(steps, rayleigh(h, g))
		}
		n := float64(len(ratios))
		o.Gradient(indices, false)
		var r *SharpnessResult
		unchanged(t, o, func() {
			r = mustSharpness(t, o, SharpnessConfig{Batch: 2, Step: true, Tol: 1e-9, MaxBatches: 300})
		})
		for _, c := range []struct {
			what string
			got  Average
			want float64
		}{
			{"batch sharpness", r.Mean, sumOf(ratios) / n},
			{"pooled", r.Pooled, sumOf(products) / sumOf(norms)},
			{"step sharpness", r.Step, sumOf(steps) / n},
		} {
			if e := value(t, "error", c.got.Stderr); math.Abs(c.got.Value-c.want) > 4*e || c.got.Count != 300 {
				t.Errorf("%s = %g ± %g of %d, over all batches %g", c.what, c.got.Value, e, c.got.Count, c.want)
			}
		}
		if r.Achieved || r.Skipped != 0 {
			t.Errorf("a tolerance of 1e-9 is achieved: %v; %d batches skipped", r.Achieved, r.Skipped)
		}
	})
}

// rayleigh returns gᵀHg/‖g‖².
func rayleigh(h interface{ At(i, j int) float64 }, g []float64) float64 {
	var product, norm float64
	for i, x := range g {
		norm += x * x
		for j, y := range g {
			product += x * y * h.At(i, j)
		}
	}
	return product / norm
}

func TestOneBatchOfEverythingIsExact(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(9)
		o.Gradient(indices, false)
		want := rayleigh(formed(o), o.Grad())
		for _, batch := range []int{9, 1000} {
			r := mustSharpness(t, o, SharpnessConfig{Batch: batch, Step: true})
			for what, a := range map[string]Average{"batch sharpness": r.Mean, "pooled": r.Pooled, "step sharpness": r.Step} {
				near(t, what, a.Value, want, 1e-10)
				if value(t, "error", a.Stderr) != 0 || a.Count != 1 {
					t.Errorf("%s: %+v", what, a)
				}
			}
			if r.Batch != 9 || !r.Achieved {
				t.Errorf("%+v", r)
			}
		}
	})
}

func TestSharpnessStopsAtItsTolerance(t *testing.T) {
	o := objective[float64](t, larger["conv"], pool)
	o.Gradient(samples(20), false)
	for _, tol := range []float64{0.3, 0.1, 0.03} {
		asked := 0
		r := mustSharpness(t, o, SharpnessConfig{Batch: 4, Step: true, Tol: tol, MaxBatches: 5000, Progress: func(done, most int) {
			if done != asked || most != 5000 {
				t.Fatalf("progress %d of %d, want %d", done, most, asked)
			}
			asked++
		}})
		e := max(value(t, "error", r.Mean.Stderr)/math.Abs(r.Mean.Value), value(t, "error", r.Step.Stderr)/math.Abs(r.Step.Value))
		if !r.Achieved || e > tol || r.Mean.Count != asked || r.Mean.Count < DefaultMinBatches {
			t.Errorf("tolerance %g: %+v", tol, r)
		}
		// One batch less and it went on.
		before := mustSharpness(t, o, SharpnessConfig{Batch: 4, Step: true, Tol: tol, MaxBatches: asked - 1})
		if asked > DefaultMinBatches && before.Achieved {
			t.Errorf("tolerance %g: achieved with %d batches already", tol, asked-1)
		}
	}
	if r := mustSharpness(t, o, SharpnessConfig{Batch: 4, Tol: 1e-9, MaxBatches: 7}); r.Achieved || r.Mean.Count != 7 || r.Step.Count != 0 {
		t.Errorf("%+v", r)
	}
}

// Batches are functions of seed and number, without repetition, and every
// sample is as likely as any other.
func TestDrawnBatches(t *testing.T) {
	indices := samples(10)
	d := drawer{rest: slices.Clone(indices), seed: 3}
	count := map[int32]int{}
	const draws = 3000
	var list [][]int32
	for k := range draws {
		b := slices.Clone(d.batch(k, 4))
		list = append(list, slices.Clone(b))
		slices.Sort(b)
		if len(slices.Compact(b)) != 4 {
			t.Fatalf("batch %d is %v", k, list[k])
		}
		for _, i := range b {
			count[i]++
		}
	}
	for _, i := range indices {
		// Binomial: 1200 expected, deviation √(3000·0.4·0.6) = 27.
		if math.Abs(float64(count[i])-draws*0.4) > 5*27 {
			t.Errorf("sample %d drawn %d times of %d", i, count[i], draws)
		}
	}
	again := drawer{rest: slices.Clone(indices), seed: 3}
	for _, k := range []int{17, 5, 2999, 0} {
		if b := again.batch(k, 4); !slices.Equal(b, list[k]) {
			t.Errorf("batch %d is %v, in order it was %v", k, b, list[k])
		}
	}
}

func TestSharpnessWithoutGradients(t *testing.T) {
	o := objective[float64](t, linear, pool)
	indices := samples(6)
	fit(o, indices)
	o.Gradient(indices, false)
	if _, err := Sharpness(context.Background(), o, SharpnessConfig{Batch: 0}); err == nil {
		t.Error("a batch of no samples is no error")
	}
	// Inputs of zero make the gradient of a weight zero.
	dead := NewObjective(o.s, func(indices []int32) { clear(o.s.Input(0)); clear(o.s.Input(1)) })
	dead.Gradient(indices, false)
	if _, err := Sharpness(context.Background(), dead, SharpnessConfig{Batch: 2, MaxBatches: 12}); !errors.Is(err, ErrZeroGradient) {
		t.Errorf("error %v", err)
	}
}

// fit moves the parameters by gradient descent for a while.
func fit(o *Objective[float64], indices []int32) {
	for range 50 {
		o.Gradient(indices, false)
		o.s.Axpy(-0.05, o.Grad(), o.s.Params())
	}
}

func TestSharpnessDoesNotDependOnThreads(t *testing.T) {
	run := func(threads int) *SharpnessResult {
		o := objectiveOf[float32](t, larger["conv"], engine.Config{Batch: 5, Threads: threads})
		o.Gradient(samples(17), false)
		return mustSharpness(t, o, SharpnessConfig{Batch: 3, Step: true, MaxBatches: 20})
	}
	if one, two := run(1), run(2); *one != *two {
		t.Errorf("one thread gives %+v, two %+v", one, two)
	}
}
