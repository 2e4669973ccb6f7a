package reproduce

import (
	"context"
	"math"
	"testing"
)

// scalingCurves are curves of three seeds that are off a common one by the factors.
func scalingCurves(factors []float64) []*curve {
	var list []*curve
	for i, f := range factors {
		c := &curve{}
		for k := range scalingPoints + 1 {
			c.add(float64(k), f*(1+0.01*float64(i))*math.Exp(-float64(k)/10))
		}
		list = append(list, c)
	}
	return list
}

func TestLinearScalingVerdicts(t *testing.T) {
	cases := []scalingCase{{8, 0.01}, {16, 0.02}, {32, 0.04}, {64, 0.08}, {128, 0.16}}
	same, more, much, vague := around(1.02, 0.005), around(1.2, 0.005), around(1.5, 0.005), []float64{0.9, 1.05, 1.2}
	for name, c := range map[string]struct {
		factors  [][]float64
		unscaled []float64
		want     Verdict
	}{
		"coincides, then breaks":      {[][]float64{same, same, same, more}, much, Confirmed},
		"coincides to 4 times only":   {[][]float64{same, same, more, much}, much, Confirmed},
		"breaks at once":              {[][]float64{more, much, much, much}, much, Contradicted},
		"breaks at 4 times":           {[][]float64{same, more, much, much}, much, Contradicted},
		"never breaks":                {[][]float64{same, same, same, same}, much, Contradicted},
		"holds without scaling":       {[][]float64{same, same, same, more}, same, Contradicted},
		"cannot say where it matters": {[][]float64{same, vague, vague, more}, much, Undecided},
		"cannot say whether it ends":  {[][]float64{same, same, same, vague}, much, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			losses := [][]*curve{scalingCurves([]float64{1, 1, 1})}
			for _, f := range c.factors {
				losses = append(losses, scalingCurves(f))
			}
			wantVerdict(t, judgeScaling(cases, losses, scalingCurves(c.unscaled)), c.want)
		})
	}
}

func TestTakeScalingKeepsDivergedRuns(t *testing.T) {
	n, err := Open[float32](quickLab(t), NewSetup("mlp:784-8-10", 200, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, rate := range []float64{0.05, 1e30} {
		c, err := takeScaling(context.Background(), n, scalingCase{20, rate}, 20*32, n.All)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.x) != scalingPoints+1 || c.x[scalingPoints] != 20*32 {
			t.Errorf("η = %g: %d points to %g samples, want %d to 640", rate, len(c.x), c.x[len(c.x)-1], scalingPoints+1)
		}
		if last := c.y[scalingPoints]; rate > 1 && last < math.Ln10 {
			t.Errorf("a network that diverged counts as %g, want a guess's ln 10 or more", last)
		}
	}
}
