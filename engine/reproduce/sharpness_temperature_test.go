package reproduce

import (
	"math"
	"testing"
)

var smallGrid = &temperatureGrid{[]float64{0.01, 0.005, 0.001}, []int{8, 32}}

// temperatureNetworks are networks of which lambda_max goes as powers b of η/B and c of
// B, give or take the spread of the exponents.
func temperatureNetworks(b, c, spread float64) [][]*temperatureRun {
	var networks [][]*temperatureRun
	for _, off := range around(0, spread) {
		var runs []*temperatureRun
		for k := range smallGrid.size() {
			temperature, batch := smallGrid.at(k)
			y := 3 * math.Pow(temperature, b+off) * math.Pow(float64(batch), c+off)
			runs = append(runs, &temperatureRun{epochs: y, level: 2 * y, lossAtEnd: 0.1})
		}
		networks = append(networks, runs)
	}
	return networks
}

func TestSlopesOfAnExactLaw(t *testing.T) {
	var y []float64
	for _, r := range temperatureNetworks(-0.7, 0.3, 0)[0] {
		y = append(y, r.epochs)
	}
	b, c := smallGrid.slopes(y)
	if math.Abs(b+0.7) > 1e-9 || math.Abs(c-0.3) > 1e-9 {
		t.Errorf("exponents %g and %g, want −0.7 and 0.3", b, c)
	}
}

func TestSharpnessTemperatureVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		b, c, spread float64
		want         Verdict
	}{
		"falls with η/B alone":    {-0.7, 0.05, 0.01, Confirmed},
		"rises":                   {0.7, 0.05, 0.01, Contradicted},
		"depends on B as much":    {-0.7, 0.7, 0.01, Contradicted},
		"depends on B the other":  {-0.7, -0.7, 0.01, Contradicted},
		"may not depend on η/B":   {-0.1, 0, 0.1, Undecided},
		"may depend on B as much": {-0.7, 0.3, 0.1, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeTemperature(smallGrid, temperatureNetworks(c.b, c.c, c.spread)), c.want)
		})
	}
}

// At equal epochs alone the claim may hold because η/B sets how far training gets.
func TestSharpnessTemperatureNeedsEqualLoss(t *testing.T) {
	networks := temperatureNetworks(-0.7, 0, 0.01)
	for i, other := range temperatureNetworks(0.3, 0, 0.01) {
		for k := range other {
			networks[i][k].level = other[k].level
		}
	}
	wantVerdict(t, judgeTemperature(smallGrid, networks), Contradicted)
}
