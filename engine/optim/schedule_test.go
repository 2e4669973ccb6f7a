package optim

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// near allows the rounding of a few float64 operations.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-14*math.Max(1, math.Abs(b)) }

func TestSchedulesGiveTheValuesWorkedOutByHand(t *testing.T) {
	root := math.Sqrt2 / 2 // cos 45°
	for _, test := range []struct {
		name  string
		s     Schedule
		total int
		want  []float64 // of base 1, from step 0
	}{
		{"constant", Schedule{}, 3, []float64{1, 1, 1, 1}},
		{"constant, warm-up", Schedule{Warmup: 4}, 9, []float64{0.25, 0.5, 0.75, 1, 1, 1}},
		{"step", Schedule{Name: StepDown, Every: 2, Factor: 0.5}, 6, []float64{1, 1, 0.5, 0.5, 0.25, 0.25, 0.125}},
		{"step in epochs", Schedule{Name: StepDown, Every: 1, EveryEpochs: true, StepsPerEpoch: 3, Factor: 0.5}, 6, []float64{1, 1, 1, 0.5, 0.5, 0.5, 0.25}},
		{"step, warm-up", Schedule{Name: StepDown, Every: 2, Factor: 0.5, Warmup: 4}, 6, []float64{0.25, 0.5, 0.375, 0.5, 0.25, 0.25}},
		{"cosine", Schedule{Name: Cosine}, 4, []float64{1, (1 + root) / 2, 0.5, (1 - root) / 2, 0, 0}},
		{"cosine, final", Schedule{Name: Cosine, Final: 0.5}, 2, []float64{1, 0.75, 0.5, 0.5}},
		{"cosine, warm-up", Schedule{Name: Cosine, Warmup: 2}, 4, []float64{0.5, 1, 1, 0.5, 0}},
		{"linear", Schedule{Name: Linear}, 4, []float64{1, 0.75, 0.5, 0.25, 0, 0}},
		{"linear, final", Schedule{Name: Linear, Final: 0.2}, 4, []float64{1, 0.8, 0.6, 0.4, 0.2}},
		{"linear, warm-up", Schedule{Name: Linear, Warmup: 2}, 6, []float64{0.5, 1, 1, 0.75, 0.5, 0.25, 0}},
		{"warm-up longer than the run", Schedule{Name: Linear, Warmup: 4}, 2, []float64{0.25, 0.5, 0.75, 1, 1, 0}},
		// Peak·T − 1 = 2: 1/4 → 1 at steps 0, 1, 2, then down to 1/16 at step 5.
		{"one-cycle", Schedule{Name: OneCycle, Peak: 0.5, Div: 4, FinalDiv: 4}, 6, []float64{
			0.25, 0.625, 1,
			1.0/16 + 15.0/16*0.75, 1.0/16 + 15.0/16*0.25, 1.0 / 16, 1.0 / 16}},
		{"one-cycle of one step", Schedule{Name: OneCycle, Div: 2, FinalDiv: 2}, 1, []float64{0.25}},
		{"one-cycle with its peak at step 0", Schedule{Name: OneCycle, Peak: 0.5, Div: 2, FinalDiv: 2}, 2, []float64{1, 0.25}},
	} {
		for step, want := range test.want {
			if got := test.s.LR(1, step, test.total); !near(got, want) {
				t.Errorf("%s: step %d of %d: %v, want %v", test.name, step, test.total, got, want)
			}
		}
	}
}

// torchOneCycle walks the phases as the documentation of PyTorch's OneCycleLR
// describes them, with its defaults: from max/25 to max over the first 30 %,
// then to max/25/1e4, the phases ending at steps 0.3·T − 1 and T − 1.
func torchOneCycle(step, total int) float64 {
	phases := []struct{ end, from, to float64 }{
		{0.3*float64(total) - 1, 1.0 / 25, 1},
		{float64(total - 1), 1, 1.0 / 25 / 1e4},
	}
	begin := 0.0
	for i, p := range phases {
		if float64(step) <= p.end || i == len(phases)-1 {
			angle := math.Pi * (float64(step) - begin) / (p.end - begin)
			return p.from*(1+math.Cos(angle))/2 + p.to*(1-math.Cos(angle))/2
		}
		begin = p.end
	}
	panic("unreachable")
}

func TestOneCycleFollowsItsPhases(t *testing.T) {
	for _, total := range []int{2, 3, 5, 17, 100, 938} {
		for step := range total {
			got, want := Schedule{Name: OneCycle}.LR(1, step, total), torchOneCycle(step, total)
			if !near(got, want) {
				t.Errorf("step %d of %d: %v, want %v", step, total, got, want)
			}
		}
	}
}

// drawSchedule draws any valid schedule.
func drawSchedule(t *rapid.T) Schedule {
	s := Schedule{Name: rapid.SampledFrom(schedules).Draw(t, "name")}
	switch s.Name {
	case StepDown:
		s.Every = rapid.IntRange(1, 1000).Draw(t, "every")
		s.EveryEpochs = rapid.Bool().Draw(t, "epochs")
		s.Factor = rapid.Float64Range(0.01, 1).Draw(t, "factor")
		s.StepsPerEpoch = rapid.IntRange(1, 1000).Draw(t, "steps per epoch")
	case Cosine, Linear:
		s.Final = rapid.Float64Range(0, 1).Draw(t, "final")
	case OneCycle:
		s.Peak = rapid.Float64Range(0.01, 0.99).Draw(t, "peak")
		s.Div = rapid.Float64Range(1, 100).Draw(t, "div")
		s.FinalDiv = rapid.Float64Range(1, 1e4).Draw(t, "final div")
	}
	if s.Name != OneCycle {
		s.Warmup = rapid.IntRange(0, 100).Draw(t, "warm-up")
	}
	return s
}

func TestRatesLieBetweenZeroAndTheBase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		step := rapid.IntRange(-5, 3000).Draw(t, "step")
		total := rapid.IntRange(0, 2000).Draw(t, "total")
		if lr := s.LR(0.1, step, total); !(lr >= 0 && lr <= 0.1*(1+1e-15)) {
			t.Fatalf("%+v: step %d of %d has rate %v", s, step, total, lr)
		}
	})
}

func TestRatesAreProportionalToTheBase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		step, total := rapid.IntRange(0, 1000).Draw(t, "step"), rapid.IntRange(1, 1000).Draw(t, "total")
		// Doubling is exact in binary, so this holds to the bit, of all but numbers so
		// small that their last bit is the smallest there is.
		if one, two := s.LR(0.1, step, total), s.LR(0.2, step, total); math.Abs(two-2*one) > 2*math.SmallestNonzeroFloat64 {
			t.Fatalf("%+v: base 0.1 gives %v, base 0.2 gives %v", s, one, two)
		}
	})
}

func TestRatesFallAfterWarmup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSchedule(t)
		if s.Name == OneCycle {
			return
		}
		total := rapid.IntRange(1, 300).Draw(t, "total")
		for step := s.Warmup; step < total+2; step++ {
			if before, after := s.LR(1, step, total), s.LR(1, step+1, total); after > before {
				t.Fatalf("%+v: the rate rises from %v at step %d to %v", s, before, step, after)
			}
		}
	})
}
