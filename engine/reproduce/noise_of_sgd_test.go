package reproduce

import (
	"context"
	"math"
	"testing"

	"sgflow/engine"
)

// singleGradients returns every training sample's gradient and their mean, in float64,
// sample by sample.
func singleGradients[T engine.Float](t *testing.T, n *Network[T]) (grads [][]float64, mean []float64) {
	t.Helper()
	mean = make([]float64, len(n.Session.Params()))
	for _, i := range n.All {
		n.Train.Gradient([]int32{i}, false)
		g := make([]float64, len(mean))
		for j, x := range n.Train.Grad() {
			g[j] = float64(x)
			mean[j] += g[j] / float64(len(n.All))
		}
		grads = append(grads, g)
	}
	return grads, mean
}

// The exact variance is the mean over all batches there are, listed one by one.
func TestGradientVarianceIsThatOfAllBatches(t *testing.T) {
	n, err := Open[float64](quickLab(t), NewSetup("mlp:784-4-10", 7, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	grads, mean := singleGradients(t, n)
	cases := []varianceCase{{1, 4000}, {3, 4000}, {6, 4000}, {7, 2}}
	measured, exact, err := gradientVariance(context.Background(), n, cases, 1)
	if err != nil {
		t.Fatal(err)
	}
	for k, c := range cases {
		var sum, squares float64
		batches := 0.0
		for set := range 1 << len(grads) {
			var members []int
			for i := range grads {
				if set>>i&1 == 1 {
					members = append(members, i)
				}
			}
			if len(members) != c.batch {
				continue
			}
			off := 0.0
			for j := range mean {
				d := -mean[j]
				for _, i := range members {
					d += grads[i][j] / float64(c.batch)
				}
				off += d * d
			}
			sum, squares, batches = sum+off, squares+off*off, batches+1
		}
		want := sum / batches
		scale := exact[0] // of rounding, where the variance is zero
		if math.Abs(exact[k]-want) > 1e-10*scale {
			t.Errorf("batch %d: exact variance %g, want %g", c.batch, exact[k], want)
		}
		stderr := math.Sqrt(max(0, squares/batches-want*want) / float64(c.draws))
		if math.Abs(measured[k]-want) > 4*stderr+1e-10*scale {
			t.Errorf("batch %d: measured variance %g, want %g ± %g", c.batch, measured[k], want, stderr)
		}
	}
}

func TestPlateauStartsAtTheMinimum(t *testing.T) {
	n, err := Open[float32](quickLab(t), NewSetup("mlp:784-10", 100, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	const decay = 0.1
	p, err := newPlateau(context.Background(), n, decay, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	copy(n.Session.Params(), p.lowest)
	n.Train.Gradient(n.All, false)
	norm := 0.0
	for j, g := range n.Train.Grad() {
		x := float64(g) + decay*float64(p.lowest[j])
		norm += x * x
	}
	// By strong convexity the loss is at most ‖∇‖²/(2·decay) above the minimum.
	if above := norm / (2 * decay); above > 1e-6 {
		t.Errorf("up to %g above the minimum, heights are 1e-4 and more", above)
	}
	low, err := p.height(context.Background(), plateauCase{0.02, 50, 0, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	high, err := p.height(context.Background(), plateauCase{0.02, 10, 0, 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	// g is 1 and 9; the paths are short.
	if ratio := high / low; ratio < 4 || ratio > 20 {
		t.Errorf("heights %g and %g for noise 1 and 9", low, high)
	}
}

// sgdNoise are runs in which the variances are factor times exact, the plateaus go as
// power in N/B − 1 and as ε, and momentum multiplies them; off adds luck.
func sgdNoise(factor, power, momentum, off float64) []*sgdNoiseRun {
	var runs []*sgdNoiseRun
	for i := range 3 {
		luck := math.Exp(off * float64(i-1))
		r := &sgdNoiseRun{}
		for _, c := range varianceCases {
			exact := float64(varianceSamples)/float64(c.batch) - 1
			r.exact, r.measured = append(r.exact, exact), append(r.measured, exact*factor*luck)
		}
		for _, c := range plateauCases {
			h := c.rate * math.Pow(c.noise(plateauSamples), power)
			if c.momentum > 0 {
				h *= momentum * luck
			}
			r.heights = append(r.heights, h)
		}
		runs = append(runs, r)
	}
	return runs
}

func TestNoiseOfSGDVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		factor, power, momentum, off float64
		want                         Verdict
	}{
		"as derived":                      {1, 1, 1, 0.005, Confirmed},
		"variance of another size":        {1.3, 1, 1, 0.005, Contradicted},
		"another power of N/B − 1":        {1, 0.5, 1, 0.005, Contradicted},
		"momentum without its factor":     {1, 1, 0.1, 0.005, Contradicted},
		"as derived, but too much spread": {1, 1, 1, 0.1, Undecided},
	} {
		t.Run(name, func(t *testing.T) {
			wantVerdict(t, judgeSGDNoise(sgdNoise(c.factor, c.power, c.momentum, c.off)), c.want)
		})
	}
}
