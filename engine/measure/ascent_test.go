package measure

import (
	"math"
	"slices"
	"testing"
)

// The point of ascent as the papers define it, worked out from ḡ and θ; there the
// gradient is computed anew. Sets of several chunks are the same objective.
func TestAscendIsTheGradientAtThePointOfAscent(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		for _, c := range []SAMConfig{{}, {Adaptive: true}, {Rho: 0.3}, {Rho: 2, Adaptive: true}} {
			o.Gradient(indices, true)
			theta, grad := slices.Clone(o.s.Params()), slices.Clone(o.Grad())
			Ascend(o, c)
			got := slices.Clone(o.Grad())
			if !slices.Equal(o.s.Params(), theta) {
				t.Fatal("the parameters are not those of before")
			}
			rho := c.Rho
			if rho == 0 {
				rho = 0.05
				if c.Adaptive {
					rho = 0.5
				}
			}
			size, norm := make([]float64, len(theta)), 0.0
			for i, x := range theta {
				if size[i] = 1; c.Adaptive {
					size[i] = math.Abs(x)
				}
				norm += size[i] * grad[i] * size[i] * grad[i]
			}
			for i, g := range grad {
				o.s.Params()[i] = theta[i] + rho*size[i]*size[i]*g/math.Sqrt(norm)
			}
			o.Gradient(indices, false)
			for i, want := range o.Grad() {
				near(t, "gradient there", got[i], want, 1e-12)
			}
			copy(o.s.Params(), theta)
		}
	})
}

func TestAscendStaysWhereTheGradientIsZero(t *testing.T) {
	o := objective[float64](t, nets["mlp"], pool)
	o.Gradient(samples(10), false)
	clear(o.Grad())
	Ascend(o, SAMConfig{})
	if slices.ContainsFunc(o.Grad(), func(g float64) bool { return g != 0 }) {
		t.Error("a gradient of zero has changed")
	}
}
