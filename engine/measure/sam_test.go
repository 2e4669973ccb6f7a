package measure

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lossAt returns the mean loss at other parameters, on an objective made for it.
func lossAt(t *testing.T, o *Objective[float64], indices []int32, theta []float64) float64 {
	t.Helper()
	keep := slices.Clone(o.s.Params())
	copy(o.s.Params(), theta)
	loss, _ := o.Forward(indices)
	copy(o.s.Params(), keep)
	return loss
}

func TestSAMIsTheLossAtTheAscendedPoint(t *testing.T) {
	everyNet(t, func(t *testing.T, o *Objective[float64]) {
		indices := samples(10)
		loss, _ := o.Gradient(indices, false)
		theta, grad := slices.Clone(o.s.Params()), slices.Clone(o.Grad())
		for _, c := range []SAMConfig{{}, {Adaptive: true}, {Rho: 0.3}, {Rho: 2, Adaptive: true}} {
			var r SAMResult
			unchanged(t, o, func() {
				var err error
				if r, err = SAM(context.Background(), o, c); err != nil {
					t.Fatal(err)
				}
			})
			rho := c.Rho
			if rho == 0 {
				rho = 0.05
				if c.Adaptive {
					rho = 0.5
				}
			}
			norm := 0.0
			for i, g := range grad {
				if c.Adaptive {
					g *= math.Abs(theta[i])
				}
				norm += g * g
			}
			norm = math.Sqrt(norm)
			at := slices.Clone(theta)
			for i, g := range grad {
				if c.Adaptive {
					g *= theta[i] * theta[i]
				}
				at[i] += rho * g / norm
			}
			want := lossAt(t, o, indices, at)
			o.Gradient(indices, false)
			near(t, "loss", r.Loss, loss, 1e-12)
			near(t, "perturbed", r.Perturbed, want, 1e-12)
			near(t, "rho", r.Rho, rho, 0)
			if r.Sharpness != r.Perturbed-r.Loss {
				t.Errorf("sharpness %g of %g and %g", r.Sharpness, r.Perturbed, r.Loss)
			}
		}
	})
}

// To second order the loss rises by ρ‖ḡ‖ + ½ρ²·ḡᵀHḡ/‖ḡ‖².
func TestSAMOfASmallRadiusIsSlopeAndCurvature(t *testing.T) {
	o := objective[float64](t, larger["conv"], pool)
	o.Gradient(samples(10), false)
	hg := make([]float64, len(o.Grad()))
	o.Product(hg, o.Grad())
	gg := o.s.NormSq(o.Grad())
	const rho = 1e-3
	r, err := SAM(context.Background(), o, SAMConfig{Rho: rho})
	if err != nil {
		t.Fatal(err)
	}
	curvature := (r.Sharpness - rho*math.Sqrt(gg)) / (rho * rho / 2)
	// The next term is of order ρ of this one; rounding is 1e-16/ρ² = 1e-10.
	near(t, "curvature", curvature, o.s.Dot(hg, o.Grad())/gg, 0.02)
}

// Adaptive sharpness is that of every network with the same function that
// follows by scaling weights: for ReLU networks, one layer up and the next down.
func TestAdaptiveSAMDoesNotSeeTheScaleOfLayers(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := math.Exp(rapid.Float64Range(-3, 3).Draw(r, "log c"))
		run := func(c float64, adaptive bool) float64 {
			o := objective[float64](t, larger["relu"], pool)
			rescale(o, c)
			o.Gradient(samples(8), false)
			s, err := SAM(context.Background(), o, SAMConfig{Adaptive: adaptive})
			if err != nil {
				t.Fatal(err)
			}
			return s.Sharpness
		}
		if got, want := run(c, true), run(1, true); math.Abs(got-want) > 1e-9*want {
			r.Errorf("scaled by %g: sharpness %g, before %g", c, got, want)
		}
		if got, want := run(c, false), run(1, false); math.Abs(c-1) > 0.1 && math.Abs(got-want) < 1e-4*want {
			r.Errorf("scaled by %g: the plain sharpness is the same: the test can't tell", c)
		}
	})
}

// rescale multiplies the first dense layer of the ReLU network by c and the
// weight of the second by 1/c.
func rescale(o *Objective[float64], c float64) {
	params := o.s.Program().Params
	for k, factor := range []float64{c, c, 1 / c} {
		p := params[k]
		o.s.Scale(factor, o.s.Params()[p.Offset:p.Offset+p.Size])
	}
}

func TestSAMWithoutADirection(t *testing.T) {
	o := objective[float64](t, larger["relu"], pool)
	theta := o.s.Params()
	clear(theta)
	o.Gradient(samples(3), false)
	// At zero the last bias has a gradient unless the classes are balanced, but
	// T²ḡ is zero.
	if _, err := SAM(context.Background(), o, SAMConfig{Adaptive: true}); !errors.Is(err, ErrZeroGradient) {
		t.Errorf("error %v", err)
	}
	clear(o.Grad())
	if _, err := SAM(context.Background(), o, SAMConfig{}); !errors.Is(err, ErrZeroGradient) {
		t.Errorf("error %v", err)
	}
}

// Wherever an excursion is cancelled, θ and ḡ have their bits.
func TestCancelledExcursionsComeBack(t *testing.T) {
	for name, run := range map[string]func(ctx context.Context, o *Objective[float64]) error{
		"sam": func(ctx context.Context, o *Objective[float64]) error {
			_, err := SAM(ctx, o, SAMConfig{})
			return err
		},
		"keskar": func(ctx context.Context, o *Objective[float64]) error {
			_, err := Keskar(ctx, o, KeskarConfig{Epsilon: 0.1})
			return err
		},
		"keskar in a subspace": func(ctx context.Context, o *Objective[float64]) error {
			_, err := Keskar(ctx, o, KeskarConfig{Epsilon: 0.1, Dim: 5})
			return err
		},
		"curves": func(ctx context.Context, o *Objective[float64]) error {
			_, err := Curves(ctx, o, CurveConfig{Directions: 2})
			return err
		},
		"sharpness": func(ctx context.Context, o *Objective[float64]) error {
			_, err := Sharpness(ctx, o, SharpnessConfig{Batch: 3, Step: true, MaxBatches: 12})
			return err
		},
	} {
		for _, capacity := range []int{pool, 4} {
			t.Run(name, func(t *testing.T) {
				o := objective[float64](t, larger["conv"], capacity)
				for after := range 8 {
					o.Gradient(samples(10), false)
					unchanged(t, o, func() {
						if err := run(cancelAfter(after), o); after < 2 && !errors.Is(err, context.Canceled) {
							t.Errorf("cancelled after %d: error %v", after, err)
						}
					})
				}
			})
		}
	}
}
