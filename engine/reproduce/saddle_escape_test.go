package reproduce

import (
	"math"
	"testing"
)

func TestSaddleEscapeVerdicts(t *testing.T) {
	_, variance := wellRate(1)
	// runs have power laws and exponentials of these exponents, over the claimed.
	runs := func(saddle, well, network float64) (list []*escapeRun) {
		for seed := range 3 {
			r := &escapeRun{growth: 0.4}
			jitter := 0.01 * float64(seed)
			for _, rate := range saddleRates {
				r.saddle = append(r.saddle, 50*math.Pow(rate, -saddle-jitter))
			}
			for _, height := range wellHeights {
				rate, _ := wellRate(height)
				r.well = append(r.well, 9*math.Exp((well+jitter)*2*float64(escapeBatch)*wellBarrier/variance/rate))
			}
			for _, heat := range networkHeats {
				r.network = append(r.network, 7-(network+jitter)*math.Log(heat)/(2*r.growth))
			}
			list = append(list, r)
		}
		return list
	}
	for name, c := range map[string]struct {
		saddle, well, network float64
		want                  Verdict
	}{
		"as claimed":                     {1.15, 0.96, 1, Confirmed},
		"a square from the saddle":       {2, 0.96, 1, Contradicted},
		"half the barrier":               {1.15, 0.5, 1, Contradicted},
		"slower than the instability":    {1.15, 0.96, 1.5, Contradicted},
		"at the edge of what is claimed": {1.4, 0.96, 1, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeEscape([]uint64{0, 1, 2}, runs(c.saddle, c.well, c.network)), c.want)
		})
	}
}

// The temperatures of the well are ησ²/2B, and its noise has the variance σ².
func TestWellRatesGiveTheHeights(t *testing.T) {
	for _, height := range wellHeights {
		rate, variance := wellRate(height)
		if got := wellBarrier / (rate * variance / (2 * float64(escapeBatch))); math.Abs(got-height) > 1e-12 {
			t.Errorf("the barrier is %v temperatures high, want %v", got, height)
		}
	}
	if rate, _ := wellRate(wellHeights[0]); math.Abs(rate-wellTopRate) > 1e-15 {
		t.Errorf("the largest rate is %v", rate)
	}
}

// A tanh network of zero weights is a saddle that SGD's own noise does not leave, as
// no sample's gradient has a part along the weights, and that other noise does.
func TestNetworksLeaveTheirSaddleByOtherNoiseAlone(t *testing.T) {
	r := &escapeRun{}
	if err := r.leaveNetwork(t.Context(), quickLab(t), 1); err != nil {
		t.Fatal(err)
	}
	if r.stays != 0 || !(r.growth > 0) {
		t.Errorf("SGD moves the weights by %v; growth %v", r.stays, r.growth)
	}
	for k := 1; k < len(r.network); k++ {
		want := math.Log(networkHeats[k-1]/networkHeats[k]) / (2 * r.growth)
		if got := r.network[k] - r.network[k-1]; math.Abs(got-want) > 0.1*want {
			t.Errorf("from temperature %g to %g the time grows by %v, want %v", networkHeats[k-1], networkHeats[k], got, want)
		}
	}
}
