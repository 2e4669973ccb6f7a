package analysis

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/record"
)

var batches = []int{8, 16, 32, 64, 128, 256, 512, 1024}

// law returns runs that follow the trade-off with log-normal errors: common to a
// seed at every batch size, and of each run its own.
func law(r *rand.Rand, stepsMin, critical float64, seeds int, common, own float64) []Reached {
	var list []Reached
	for seed := range seeds {
		luck := common * r.NormFloat64()
		for _, b := range batches {
			s := stepsMin * (1 + critical/float64(b))
			list = append(list, Reached{Batch: b, Seed: uint64(seed), Steps: s * math.Exp(luck+own*r.NormFloat64())})
		}
	}
	return list
}

func mustFit(t *testing.T, list []Reached) *TradeOff {
	t.Helper()
	fit, err := FitTradeOff(list)
	if err != nil {
		t.Fatal(err)
	}
	return fit
}

func holds(i Interval, x float64) bool {
	low, okLow := i.Low.Get()
	high, okHigh := i.High.Get()
	return okLow && okHigh && low <= x && x <= high
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*math.Abs(want)) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// The search ends within 1e-5 of log B_crit.
func TestTradeOffWithoutNoiseIsRecovered(t *testing.T) {
	fit := mustFit(t, law(rand.New(rand.NewPCG(1, 1)), 300, 75, 1, 0, 0))
	near(t, "S_min", fit.StepsMin.Value, 300, 2e-5)
	near(t, "E_min", fit.SamplesMin.Value, 300*75, 2e-5)
	near(t, "B_crit", fit.Critical.Value, 75, 2e-5)
	if r2, ok := fit.Quality.R2.Get(); !ok || r2 < 1-1e-9 || fit.Quality.Verdict != Good {
		t.Errorf("R² %v, %+v", r2, fit.Quality)
	}
	near(t, "S(75)", fit.Steps(75), 600, 2e-5)
}

// covered returns how often the three intervals hold the truth, of n sweeps.
func covered(t *testing.T, n int, sweep func(*rand.Rand) []Reached, stepsMin, critical float64) [3]float64 {
	var hits [3]float64
	for i := range n {
		fit := mustFit(t, sweep(rand.New(rand.NewPCG(uint64(i), 2))))
		for k, at := range []struct {
			Interval
			truth float64
		}{{fit.StepsMin, stepsMin}, {fit.SamplesMin, stepsMin * critical}, {fit.Critical, critical}} {
			if holds(at.Interval, at.truth) {
				hits[k] += 1 / float64(n)
			}
		}
	}
	return hits
}

// The share of 95 % intervals that hold the truth, of 100 sweeps, has a standard
// error of 2.2 %: 0.88 is three of them away.
func TestTradeOffIntervalsHoldTheTruth(t *testing.T) {
	for _, c := range []struct {
		name   string
		method Method
		sweep  func(*rand.Rand) []Reached
	}{
		{"seeds with luck of their own", Seeds, func(r *rand.Rand) []Reached { return law(r, 300, 75, 5, 0.1, 0.05) }},
		{"three independent seeds", Seeds, func(r *rand.Rand) []Reached { return law(r, 300, 75, 3, 0, 0.05) }},
		{"other seeds at every batch size", Runs, func(r *rand.Rand) []Reached {
			list := law(r, 300, 75, 5, 0, 0.05)
			for i := range list {
				list[i].Seed = uint64(i)
			}
			return list
		}},
		{"one seed", Residuals, func(r *rand.Rand) []Reached { return law(r, 300, 75, 1, 0, 0.05) }},
	} {
		if fit := mustFit(t, c.sweep(rand.New(rand.NewPCG(1, 1)))); fit.Quality.Method != c.method {
			t.Errorf("%s: errors by %s", c.name, fit.Quality.Method)
		}
		for k, share := range covered(t, 100, c.sweep, 300, 75) {
			if share < 0.88 {
				t.Errorf("%s: %s: 95 %% intervals hold the truth in %.1f %%", c.name, []string{"S_min", "E_min", "B_crit"}[k], 100*share)
			}
		}
	}
}

// Were the curve true, p would be uniform: of 300 sweeps 5 % ± 1.3 % are below
// 0.05.
func TestLackOfFitIsUniformWhereTheLawHolds(t *testing.T) {
	below := 0.0
	for i := range 300 {
		list := law(rand.New(rand.NewPCG(uint64(i), 3)), 300, 75, 4, 0.2, 0.05)
		var observations []observation
		for _, r := range list {
			observations = append(observations, observation{math.Log(float64(r.Batch)), math.Log(r.Steps), r.Seed})
		}
		s := newSample(observations)
		c, a := tradeOff(s.all(), 0, 12)
		q, _ := s.quality(func(x float64) float64 { return a + softplus(c-x) }, 2)
		if p, ok := q.LackOfFit.Get(); !ok {
			t.Fatal("no p")
		} else if p < 0.05 {
			below += 1.0 / 300
		}
	}
	if below < 0.012 || below > 0.088 {
		t.Errorf("p is below 0.05 in %.1f %%", 100*below)
	}
}

func TestTradeOffSaysWhereItCannotBeFitted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	two := law(r, 300, 75, 2, 0, 0.01)
	for i := range two {
		two[i].Batch = []int{8, 64}[i%2]
	}
	for _, c := range []struct {
		list []Reached
		want error
	}{
		{nil, ErrFewBatches}, {two, ErrFewBatches},
		{law(r, 300, 1e-9, 2, 0, 0), ErrAllAbove},
		{law(r, 300, 1e9, 2, 0, 0), ErrAllBelow},
	} {
		if _, err := FitTradeOff(c.list); !errors.Is(err, c.want) {
			t.Errorf("error %v, want %v", err, c.want)
		}
	}
	for _, bad := range []Reached{{Batch: 0, Steps: 1}, {Batch: 1, Steps: 0}, {Batch: 1, Steps: math.NaN()}, {Batch: 1, Steps: math.Inf(1)}} {
		if _, err := FitTradeOff([]Reached{bad}); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestTradeOffJudgesItself(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	good := law(r, 300, 75, 4, 0.02, 0.02)
	bent := law(r, 300, 75, 4, 0.02, 0.02)
	for i := range bent { // steps that rise again for large batches
		bent[i].Steps *= math.Exp(0.4 * math.Pow(math.Log(float64(bent[i].Batch)/64), 2) / 2)
	}
	outside := law(r, 300, 5000, 4, 0.02, 0.02)
	var three []Reached
	for _, x := range good {
		if x.Batch == 8 || x.Batch == 64 || x.Batch == 512 {
			three = append(three, x)
		}
	}
	for _, c := range []struct {
		name   string
		list   []Reached
		want   Verdict
		reason string
	}{
		{"true", good, Good, ""}, {"bent", bent, Bad, "off the curve"},
		{"outside", outside, Rough, "outside of the measured 8 to 1024"}, {"three", three, Rough, "only 3 batch sizes"},
	} {
		q := mustFit(t, c.list).Quality
		if q.Verdict != c.want || !strings.Contains(strings.Join(q.Reasons, "; "), c.reason) {
			t.Errorf("%s: %s because %q", c.name, q.Verdict, q.Reasons)
		}
	}
}

// Counting steps in units of k, or samples in units of m, changes the fit in no
// other way. The search ends within 1e-5.
func TestTradeOffScalesWithItsUnits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		source := rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))
		critical := math.Exp(rapid.Float64Range(math.Log(20), math.Log(400)).Draw(r, "critical"))
		list := law(source, 300, critical, 3, 0.05, 0.05)
		k := math.Exp(rapid.Float64Range(-3, 3).Draw(r, "k"))
		m := rapid.IntRange(2, 9).Draw(r, "m")
		scaled := make([]Reached, len(list))
		for i, x := range list {
			scaled[i] = Reached{Batch: x.Batch * m, Seed: x.Seed, Steps: x.Steps * k}
		}
		fit := func(list []Reached) (critical, steps float64) {
			var observations []observation
			for _, x := range list {
				observations = append(observations, observation{math.Log(float64(x.Batch)), math.Log(x.Steps), x.Seed})
			}
			return tradeOff(newSample(observations).all(), -3, 12)
		}
		critical1, steps1 := fit(list)
		critical2, steps2 := fit(scaled)
		if math.Abs(critical2-critical1-math.Log(float64(m))) > 1e-4 || math.Abs(steps2-steps1-math.Log(k)) > 1e-4 {
			r.Fatalf("log B_crit %g and %g, log S_min %g and %g", critical1, critical2, steps1, steps2)
		}
	})
}

func TestFitsAreTheSameEveryTime(t *testing.T) {
	list := law(rand.New(rand.NewPCG(1, 1)), 300, 75, 3, 0.1, 0.1)
	a := mustFit(t, list)
	rand.New(rand.NewPCG(5, 5)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	b := mustFit(t, list)
	if a.Critical != b.Critical || a.StepsMin != b.StepsMin || a.SamplesMin != b.SamplesMin {
		t.Errorf("%+v, then, in another order, %+v", a, b)
	}
}

// A seed that is missing at some batch sizes, as where a run failed, does no harm.
func TestTradeOffBearsGaps(t *testing.T) {
	list := law(rand.New(rand.NewPCG(4, 1)), 300, 75, 5, 0.1, 0.03)
	list = append(list[:11], list[13:]...)
	fit := mustFit(t, list)
	if fit.Quality.Method != Seeds || !holds(fit.Critical, 75) {
		t.Errorf("%+v", fit)
	}
	if fit.Critical.Low == (record.Opt{}) {
		t.Error("no interval")
	}
}
