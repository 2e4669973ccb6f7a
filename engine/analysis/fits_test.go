package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

func TestPowerLawWithoutNoiseIsRecovered(t *testing.T) {
	var list []Sampled
	for _, x := range []float64{1, 2, 5, 30} {
		list = append(list, Sampled{X: x, Y: 3 * math.Pow(x, -0.7)})
	}
	l, ok := FitPowerLaw(list)
	if !ok {
		t.Fatal("no fit")
	}
	near(t, "the exponent", l.Exponent.Value, -0.7, 1e-12)
	near(t, "the factor", l.Factor, 3, 1e-12)
}

// As for the trade-off: 100 sweeps, a standard error of 2.2 %.
func TestPowerLawIntervalsHoldTheTruth(t *testing.T) {
	for _, seeds := range []int{1, 4} {
		hits := 0.0
		for i := range 100 {
			r := rand.New(rand.NewPCG(uint64(i), 4))
			var list []Sampled
			for seed := range seeds {
				luck := 0.1 * r.NormFloat64()
				for _, x := range []float64{16, 32, 64, 128, 256, 512} {
					list = append(list, Sampled{x, 3 * math.Pow(x, -0.3) * math.Exp(luck+0.1*r.NormFloat64()), uint64(seed)})
				}
			}
			if l, ok := FitPowerLaw(list); ok && holds(l.Exponent, -0.3) {
				hits += 1.0 / 100
			}
		}
		if hits < 0.88 {
			t.Errorf("%d seeds: 95 %% intervals hold the truth in %.1f %%", seeds, 100*hits)
		}
	}
}

func TestPowerLawIsRefusedWhereLogarithmsDoNotExist(t *testing.T) {
	good := []Sampled{{1, 1, 0}, {2, 2, 0}, {3, 3, 0}}
	for _, bad := range []Sampled{{0, 1, 0}, {4, 0, 0}, {4, -1, 0}, {4, math.NaN(), 0}, {math.Inf(1), 1, 0}} {
		if _, ok := FitPowerLaw(append(good[:3:3], bad)); ok {
			t.Errorf("%+v is fitted", bad)
		}
	}
	if _, ok := FitPowerLaw(good[:2]); ok {
		t.Error("two points are fitted")
	}
}

// hill returns accuracies that peak at 1e-3.
func hill(r *rand.Rand, seeds int, noise float64) []Sampled {
	var list []Sampled
	for seed := range seeds {
		luck := noise * r.NormFloat64()
		for _, x := range []float64{1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3} {
			u := math.Log(x / 1e-3)
			list = append(list, Sampled{x, 0.97 - 0.004*u*u + luck + noise*r.NormFloat64(), uint64(seed)})
		}
	}
	return list
}

func TestPeakWithoutNoiseIsRecovered(t *testing.T) {
	p, err := FitPeak(hill(rand.New(rand.NewPCG(1, 1)), 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "its place", p.X.Value, 1e-3, 1e-9)
	near(t, "its height", p.Height.Value, 0.97, 1e-9)
	near(t, "the curve", p.At(2e-3), 0.97-0.004*math.Ln2*math.Ln2, 1e-9)
}

// The place of the top is a ratio, and the choice of the best point moves the window
// of what is fitted: the intervals are a little too short or too long, and the
// bounds wider than for the other fits.
func TestPeakIntervalsHoldTheTruth(t *testing.T) {
	var place, height float64
	for i := range 100 {
		p, err := FitPeak(hill(rand.New(rand.NewPCG(uint64(i), 5)), 5, 0.001))
		if err != nil {
			t.Fatal(err)
		}
		if holds(p.X, 1e-3) {
			place += 1.0 / 100
		}
		if holds(p.Height, 0.97) {
			height += 1.0 / 100
		}
	}
	if place < 0.86 || height < 0.86 {
		t.Errorf("95 %% intervals hold the place in %.1f %%, the height in %.1f %%", 100*place, 100*height)
	}
}

func TestPeakIsRefusedWhereThereIsNone(t *testing.T) {
	var rising, few []Sampled
	for i := range 8 {
		x := math.Pow(2, float64(i)) * 1e-4
		rising = append(rising, Sampled{x, 0.9 + 0.01*float64(i), 0})
	}
	few = hill(rand.New(rand.NewPCG(1, 1)), 1, 0)[:3]
	for _, c := range []struct {
		list []Sampled
		want error
	}{{rising, ErrNoPeak}, {few, ErrFewPoints}, {nil, ErrFewPoints}} {
		if _, err := FitPeak(c.list); !errors.Is(err, c.want) {
			t.Errorf("error %v, want %v", err, c.want)
		}
	}
}
