package optim

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Two steps on one parameter, θ₀ = 1, with gradients 2 and −1, worked out by
// hand with numbers that float64 holds exactly.
func TestStepGivesTheValuesWorkedOutByHand(t *testing.T) {
	for _, test := range []struct {
		name          string
		u             Update
		theta, v      [2]float64 // after each step
		withoutMemory bool
	}{
		// 1 − ½·2 = 0;  0 + ½·1 = ½
		{name: "plain", u: Update{LR: 0.5}, theta: [2]float64{0, 0.5}, withoutMemory: true},
		// v: 2, ½·2 − 1 = 0;  θ: 1 − ½·2 = 0, 0 − ½·0 = 0
		{name: "momentum", u: Update{LR: 0.5, Momentum: 0.5},
			theta: [2]float64{0, 0}, v: [2]float64{2, 0}},
		// d: 2 + ½·2 = 3, −1 + ½·0 = −1;  θ: 1 − ½·3 = −½, −½ + ½ = 0
		{name: "nesterov", u: Update{LR: 0.5, Momentum: 0.5, Nesterov: true},
			theta: [2]float64{-0.5, 0}, v: [2]float64{2, 0}},
		// g: 2 + ¼·1 = 2¼, −1 + ¼·(−⅛) = −1 1/32;  θ: 1 − ½·2¼ = −⅛, −⅛ + 33/64
		{name: "coupled decay", u: Update{LR: 0.5, WeightDecay: 0.25},
			theta: [2]float64{-0.125, 25.0 / 64}, withoutMemory: true},
		// v: 2¼, ½·2¼ − 1 − 1/32 = 3/32;  θ: −⅛, −⅛ − 3/64 = −11/64
		{name: "coupled decay, momentum", u: Update{LR: 0.5, WeightDecay: 0.25, Momentum: 0.5},
			theta: [2]float64{-0.125, -11.0 / 64}, v: [2]float64{2.25, 3.0 / 32}},
		// 1 − ηλ = ⅞;  θ: ⅞ − 1 = −⅛, −7/64 + ½ = 25/64
		{name: "decoupled decay", u: Update{LR: 0.5, WeightDecay: 0.25, Decoupled: true},
			theta: [2]float64{-0.125, 25.0 / 64}, withoutMemory: true},
		// v: 2, 0, free of decay;  θ: −⅛, −7/64
		{name: "decoupled decay, momentum", u: Update{LR: 0.5, WeightDecay: 0.25, Momentum: 0.5, Decoupled: true},
			theta: [2]float64{-0.125, -7.0 / 64}, v: [2]float64{2, 0}},
		// d: 3, −1;  θ: ⅞ − 1½ = −⅝, −35/64 + ½ = −3/64
		{name: "decoupled decay, nesterov", u: Update{LR: 0.5, WeightDecay: 0.25, Momentum: 0.5, Nesterov: true, Decoupled: true},
			theta: [2]float64{-0.625, -3.0 / 64}, v: [2]float64{2, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			theta, velocity := []float64{1}, []float64{0}
			theta32, velocity32 := []float32{1}, []float32{0}
			if test.withoutMemory {
				velocity, velocity32 = nil, nil
			}
			for i, g := range []float64{2, -1} {
				Step(theta, []float64{g}, velocity, test.u)
				Step(theta32, []float32{float32(g)}, velocity32, test.u)
				if theta[0] != test.theta[i] || float64(theta32[0]) != test.theta[i] {
					t.Errorf("step %d: θ is %v in float64 and %v in float32, by hand %v", i, theta[0], theta32[0], test.theta[i])
				}
				if velocity != nil && (velocity[0] != test.v[i] || float64(velocity32[0]) != test.v[i]) {
					t.Errorf("step %d: v is %v in float64 and %v in float32, by hand %v", i, velocity[0], velocity32[0], test.v[i])
				}
			}
		})
	}
}

// finite draws numbers of ordinary size.
var finite = rapid.Float64Range(-10, 10)

func drawUpdate(t *rapid.T) Update {
	momentum := rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.99}).Draw(t, "momentum")
	return Update{
		LR:          rapid.Float64Range(0, 1).Draw(t, "lr"),
		Momentum:    momentum,
		WeightDecay: rapid.SampledFrom([]float64{0, 1e-4, 0.1}).Draw(t, "decay"),
		Nesterov:    momentum > 0 && rapid.Bool().Draw(t, "nesterov"),
		Decoupled:   rapid.Bool().Draw(t, "decoupled"),
	}
}

// The velocity unrolled is v_k = Σ_j m^(k−j) g_j, and plain momentum moves
// θ by −η Σ v_k: a computation with no recurrence in it. Rounding differs,
// hence 1e-12 relative to numbers of order 10.
func TestVelocityIsTheDecayedSumOfGradients(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gradients := rapid.SliceOfN(finite, 1, 20).Draw(t, "gradients")
		m := rapid.Float64Range(0.01, 0.99).Draw(t, "momentum")
		lr := rapid.Float64Range(0, 1).Draw(t, "lr")
		theta, velocity := []float64{1}, []float64{0}
		for _, g := range gradients {
			Step(theta, []float64{g}, velocity, Update{LR: lr, Momentum: m})
		}
		want := 1.0
		last := 0.0
		for k := range gradients {
			last = 0
			for j := range k + 1 {
				last += math.Pow(m, float64(k-j)) * gradients[j]
			}
			want -= lr * last
		}
		if math.Abs(theta[0]-want) > 1e-12*1e3 || math.Abs(velocity[0]-last) > 1e-12*1e3 {
			t.Fatalf("θ %v, unrolled %v; v %v, unrolled %v", theta[0], want, velocity[0], last)
		}
	})
}

// Whatever the vector is cut into, each element gets the same bits: kernels
// may go through it in any order and width.
func TestStepIsElementwise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		draw := func(name string) []float64 { return rapid.SliceOfN(finite, n, n).Draw(t, name) }
		theta, grad, velocity, u := draw("theta"), draw("grad"), draw("velocity"), drawUpdate(t)
		cut := rapid.IntRange(0, n).Draw(t, "cut")

		whole, wholeV := slices.Clone(theta), slices.Clone(velocity)
		Step(whole, grad, wholeV, u)
		parts, partsV := slices.Clone(theta), slices.Clone(velocity)
		Step(parts[cut:], grad[cut:], partsV[cut:], u)
		Step(parts[:cut], grad[:cut], partsV[:cut], u)
		if !slices.Equal(whole, parts) || !slices.Equal(wholeV, partsV) {
			t.Fatalf("whole %v %v, in parts %v %v", whole, wholeV, parts, partsV)
		}
	})
}

// The bits are those of separately rounded float32 products and sums. The
// expected value rounds the exact float64 product of two float32s (48 bits at
// most) to float32, which no fused operation would do.
func TestStepRoundsEveryOperation(t *testing.T) {
	round := func(x float64) float64 { return float64(float32(x)) }
	rapid.Check(t, func(t *rapid.T) {
		u := drawUpdate(t)
		draw := func(name string) float64 { return round(finite.Draw(t, name)) }
		theta, grad, velocity := draw("theta"), draw("grad"), draw("velocity")
		lr, m, decay := round(u.LR), round(u.Momentum), round(u.WeightDecay)

		g, kept := grad, theta
		if u.Decoupled {
			kept = round(round(1-u.LR*u.WeightDecay) * theta)
		} else {
			g = round(g + round(decay*theta))
		}
		d, v := g, velocity
		if m != 0 {
			v = round(round(m*velocity) + g)
			d = v
			if u.Nesterov {
				d = round(g + round(m*v))
			}
		}
		want := round(kept - round(lr*d))

		gotTheta, gotV := []float32{float32(theta)}, []float32{float32(velocity)}
		Step(gotTheta, []float32{float32(grad)}, gotV, u)
		if float64(gotTheta[0]) != want || float64(gotV[0]) != v {
			t.Fatalf("θ %v, want %v; v %v, want %v", gotTheta[0], want, gotV[0], v)
		}
	})
}

func TestZeroRateMovesNothingButTheVelocity(t *testing.T) {
	for _, u := range []Update{{Momentum: 0.9, WeightDecay: 0.1}, {Momentum: 0.9, WeightDecay: 0.1, Decoupled: true, Nesterov: true}} {
		theta, velocity := []float64{3, -4}, []float64{1, 1}
		Step(theta, []float64{1, 2}, velocity, u)
		if !slices.Equal(theta, []float64{3, -4}) {
			t.Errorf("%+v: θ is %v after a step of rate 0", u, theta)
		}
		if velocity[0] == 1 {
			t.Errorf("%+v: the velocity did not move", u)
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	theta, grad, velocity := make([]float32, 100), make([]float32, 100), make([]float32, 100)
	u := Update{LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 1e-4}
	if n := testing.AllocsPerRun(10, func() { Step(theta, grad, velocity, u) }); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestStepPanicsWhereLengthsDiffer(t *testing.T) {
	two, three := make([]float64, 2), make([]float64, 3)
	for name, call := range map[string]func(){
		"gradient":    func() { Step(two, three, nil, Update{}) },
		"velocity":    func() { Step(two, two, three, Update{Momentum: 0.9}) },
		"no velocity": func() { Step(two, two, nil, Update{Momentum: 0.9}) },
	} {
		func() {
			defer func() {
				if got := recover(); got != badLengths {
					t.Errorf("%s: recovered %v", name, got)
				}
			}()
			call()
		}()
	}
}
