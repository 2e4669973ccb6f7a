package optim

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawAdam(t *rapid.T) AdamUpdate {
	return AdamUpdate{
		LR:          rapid.Float64Range(0, 1).Draw(t, "lr"),
		Beta1:       rapid.SampledFrom([]float64{0, 0.5, 0.9}).Draw(t, "beta1"),
		Beta2:       rapid.SampledFrom([]float64{0, 0.9, 0.999}).Draw(t, "beta2"),
		Epsilon:     rapid.SampledFrom([]float64{1e-8, 1e-3, 1}).Draw(t, "epsilon"),
		WeightDecay: rapid.SampledFrom([]float64{0, 1e-4, 0.1}).Draw(t, "decay"),
		Decoupled:   rapid.Bool().Draw(t, "decoupled"),
	}
}

// The moments unrolled are m_t = (1−β₁) Σ β₁^(t−k) g_k and v_t the same of g²,
// divided by their bias corrections 1−βᵗ: a computation with no recurrence in the
// moments, as the paper's equations are usually explained.
//
// Both round. The terms of v are positive: it has a relative error of a few units
// a step. Those of m may cancel: its error is a few units a step of the largest
// gradient there was, however small m is. Every step starts at the θ that the last
// one left, so that no error is carried on.
func TestAdamIsTheRatioOfCorrectedMoments(t *testing.T) {
	const unit = 0x1p-53
	rapid.Check(t, func(t *rapid.T) {
		u := drawAdam(t)
		gradients := rapid.SliceOfN(finite, 1, 20).Draw(t, "gradients")
		theta, first, second := []float64{1}, []float64{0}, []float64{0}
		var seen []float64 // gradients with coupled decay
		largest := 0.0
		for i, grad := range gradients {
			u.Step = i + 1
			before := theta[0]
			AdamStep(theta, []float64{grad}, first, second, u)

			if !u.Decoupled {
				grad += u.WeightDecay * before
			}
			seen, largest = append(seen, grad), max(largest, math.Abs(grad))
			m, v := 0.0, 0.0
			for k, g := range seen {
				m += (1 - u.Beta1) * math.Pow(u.Beta1, float64(i-k)) * g
				v += (1 - u.Beta2) * math.Pow(u.Beta2, float64(i-k)) * g * g
			}
			correction := 1 - math.Pow(u.Beta1, float64(i+1))
			v /= 1 - math.Pow(u.Beta2, float64(i+1))
			root := math.Sqrt(v) + u.Epsilon
			want := before - u.LR*m/correction/root
			if u.Decoupled {
				want -= u.LR * u.WeightDecay * before
			}
			bound := 8 * unit * float64(i+1) * (math.Abs(before) + u.LR*largest/correction/root)
			if math.Abs(theta[0]-want) > bound {
				t.Fatalf("step %d leaves θ at %v, unrolled %v ± %g", i+1, theta[0], want, bound)
			}
		}
	})
}

// The numbers are those of torch.optim's single-tensor loop (lerp_ for the first
// moment, √v/√(1−β₂ᵗ) + ε, addcdiv_), written out in Python's float64.
func TestAdamGivesPyTorchsNumbers(t *testing.T) {
	gradients := [][]float64{{0.5, -1, 2}, {-0.25, 3, 0}, {1, 0, -4}}
	for _, test := range []struct {
		decoupled bool
		want      []float64
	}{
		{false, []float64{0.7815043998631659, -1.970586375760039, 0.3640404494220202}},
		{true, []float64{0.7801104766702113, -1.929713811393997, 0.3548071807069598}},
	} {
		theta, first, second := []float64{1, -2, 0.5}, make([]float64, 3), make([]float64, 3)
		for i, g := range gradients {
			AdamStep(theta, g, first, second, AdamUpdate{
				LR: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1, Decoupled: test.decoupled, Step: i + 1,
			})
		}
		for i, x := range theta {
			if math.Abs(x-test.want[i]) > 1e-13 {
				t.Errorf("decoupled %v: θ[%d] is %.15f, want %.15f", test.decoupled, i, x, test.want[i])
			}
		}
	}
}

// The first step is the rate in the direction of the gradient's sign, whatever the
// gradient's size, where ε is small beside it.
func TestAdamsFirstStepIsTheRate(t *testing.T) {
	for _, g := range []float64{1e-3, 1, -1e3} {
		theta := []float64{0}
		AdamStep(theta, []float64{g}, []float64{0}, []float64{0}, AdamUpdate{LR: 0.1, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-12, Step: 1})
		if want := -math.Copysign(0.1, g); math.Abs(theta[0]-want) > 1e-9 {
			t.Errorf("gradient %v moves by %v, want %v", g, theta[0], want)
		}
	}
}

func TestAdamStepIsElementwiseAndAllocatesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		draw := func(name string) []float64 { return rapid.SliceOfN(finite, n, n).Draw(t, name) }
		theta, grad, first, u := draw("theta"), draw("grad"), draw("first"), drawAdam(t)
		u.Step = rapid.IntRange(1, 1000).Draw(t, "step")
		second := draw("second")
		for i, x := range second {
			second[i] = x * x
		}
		cut := rapid.IntRange(0, n).Draw(t, "cut")
		whole, parts := slices.Clone(theta), slices.Clone(theta)
		wholeF, partsF := slices.Clone(first), slices.Clone(first)
		wholeS, partsS := slices.Clone(second), slices.Clone(second)
		AdamStep(whole, grad, wholeF, wholeS, u)
		AdamStep(parts[cut:], grad[cut:], partsF[cut:], partsS[cut:], u)
		AdamStep(parts[:cut], grad[:cut], partsF[:cut], partsS[:cut], u)
		if !slices.Equal(whole, parts) || !slices.Equal(wholeF, partsF) || !slices.Equal(wholeS, partsS) {
			t.Fatalf("whole %v, in parts %v", whole, parts)
		}
	})
	x := make([]float32, 100)
	if n := testing.AllocsPerRun(10, func() { AdamStep(x, x, x, x, AdamUpdate{Epsilon: 1, Step: 1}) }); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestAdamStepPanicsWhereLengthsDiffer(t *testing.T) {
	two, three := make([]float64, 2), make([]float64, 3)
	for name, call := range map[string]func(){
		"gradient": func() { AdamStep(two, three, two, two, AdamUpdate{}) },
		"first":    func() { AdamStep(two, two, three, two, AdamUpdate{}) },
		"second":   func() { AdamStep(two, two, two, nil, AdamUpdate{}) },
	} {
		func() {
			defer func() {
				if got := recover(); got != badMoments {
					t.Errorf("%s: recovered %v", name, got)
				}
			}()
			call()
		}()
	}
}
