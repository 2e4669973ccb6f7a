package measure

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine"
)

// near fails unless got is within tol of want, relative to want.
func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Abs(want)) {
		t.Errorf("%s = %.12g, want %.12g (relative %.2g, allowed %.2g)", what, got, want, math.Abs(got-want)/math.Abs(want), tol)
	}
}

// sampleGradients returns every sample's own gradient, by runs of one sample.
func sampleGradients[T engine.Float](o *Objective[T], indices []int32) [][]float64 {
	var list [][]float64
	for i := range indices {
		o.Gradient(indices[i:i+1], false)
		g := make([]float64, len(o.Grad()))
		for k, v := range o.Grad() {
			g[k] = float64(v)
		}
		list = append(list, g)
	}
	return list
}

// dense computes ‖ḡ‖², tr Σ̂ and (1/n)Σ‖gᵢ‖² from the definitions.
func dense(grads [][]float64, from, to int) (normSq, varTrace, fisher float64) {
	n := float64(len(grads))
	for k := from; k < to; k++ {
		mean := 0.0
		for _, g := range grads {
			mean += g[k] / n
		}
		normSq += mean * mean
		for _, g := range grads {
			varTrace += (g[k] - mean) * (g[k] - mean) / (n - 1)
			fisher += g[k] * g[k] / n
		}
	}
	return normSq, varTrace, fisher
}

func testNoise[T engine.Float](t *testing.T, tol float64) {
	for name, build := range nets {
		for _, capacity := range []int{pool, 4} { // in one chunk, and in several
			t.Run(name, func(t *testing.T) {
				o := objective[T](t, build, capacity)
				indices := samples(11)
				grads := sampleGradients(o, indices)
				o.Gradient(indices, true)
				total, layers, ok := o.Noise(nil)
				if !ok {
					t.Fatal("per-sample norms are missing")
				}
				check := func(what string, g GradientNoise, from, to int) {
					normSq, varTrace, fisher := dense(grads, from, to)
					v, _ := g.VarTrace()
					near(t, what+" grad_norm_sq", g.NormSq, normSq, tol)
					near(t, what+" grad_var_trace", v, varTrace, tol)
					near(t, what+" fisher_trace", g.MeanSampleNormSq, fisher, tol)
				}
				check("total", total, 0, len(o.Grad()))
				for k, p := range o.s.Program().Params {
					check(p.Name, layers[k], p.Offset, p.Offset+p.Size)
				}
			})
		}
	}
}

func TestNoiseEqualsALoopOverSamplesInFloat64(t *testing.T) { testNoise[float64](t, 1e-10) }
func TestNoiseEqualsALoopOverSamplesInFloat32(t *testing.T) { testNoise[float32](t, 1e-4) }

func TestGradVarTraceIsZeroForIdenticalSamples(t *testing.T) {
	o := objective[float64](t, nets["mlp"], 8)
	o.Gradient([]int32{3, 3, 3, 3, 3}, true)
	g, _, _ := o.Noise(nil)
	v, ok := g.VarTrace()
	// Σ‖gᵢ‖² − n‖ḡ‖² cancels to rounding of its terms.
	if !ok || v > 1e-14*g.MeanSampleNormSq {
		t.Errorf("tr Σ̂ = %g of identical samples whose gradients have norm² %g", v, g.MeanSampleNormSq)
	}
}

func TestOneSampleHasNoVariance(t *testing.T) {
	o := objective[float64](t, nets["cnn"], 8)
	o.Gradient([]int32{3}, true)
	g, _, _ := o.Noise(nil)
	if _, ok := g.VarTrace(); ok {
		t.Error("a variance was given for one sample")
	}
	if _, ok := g.Scale(); ok {
		t.Error("a noise scale was given for one sample")
	}
	near(t, "fisher_trace", g.MeanSampleNormSq, g.NormSq, 1e-12)
}

func TestNoiseIgnoresTheOrderOfSamples(t *testing.T) {
	o := objective[float64](t, nets["cnn"], pool)
	rapid.Check(t, func(r *rapid.T) {
		indices := samples(9)
		o.Gradient(indices, true)
		a, _, _ := o.Noise(nil)
		o.Gradient(rapid.Permutation(indices).Draw(r, "order"), true)
		b, _, _ := o.Noise(nil)
		va, _ := a.VarTrace()
		vb, _ := b.VarTrace()
		near(t, "tr Σ̂", vb, va, 1e-12)
		near(t, "‖ḡ‖²", b.NormSq, a.NormSq, 1e-12)
	})
}
