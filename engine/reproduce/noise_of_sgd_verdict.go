package reproduce

import (
	"context"
	"fmt"
	"slices"

	"sgflow/engine/figure"
	"sgflow/engine/page"
)

// sgdNoiseRun is what a seed gave.
type sgdNoiseRun struct {
	measured, exact []float64 // variance of gradients, by case
	heights         []float64 // of plateaus, by case
}

// The cases of noise-of-sgd. Draws are such that means have errors of some percent.
var (
	varianceCases = []varianceCase{{8, 800}, {32, 400}, {128, 200}, {500, 150}, {750, 150}, {900, 150}}
	plateauCases  = []plateauCase{
		{0.02, 8, 0, 1}, {0.02, 20, 0, 4}, {0.02, 100, 0, 1}, {0.02, 200, 0, 1}, {0.02, 320, 0, 1}, // N/B − 1 from 49 to 0.25
		{0.01, 20, 0, 4}, {0.005, 20, 0, 4},
		{0.02, 20, 0.5, 4}, {0.02, 20, 0.9, 4},
	}
)

// plateauBase is the case that differs from others in its rate or momentum alone.
const plateauBase = 1

// The problems of noise-of-sgd.
const (
	varianceSamples = 1000
	plateauSamples  = 400
)

func runNoiseOfSGD(ctx context.Context, l *Lab) (*Outcome, error) {
	length := pick(l, 60., 240.)
	runs, err := EachSeed(ctx, l, func(ctx context.Context, l *Lab, seed uint64) (*sgdNoiseRun, error) {
		r := &sgdNoiseRun{}
		n, err := Open[float32](l, NewSetup("mlp:784-32-10", varianceSamples, seed))
		if err != nil {
			return nil, err
		}
		defer n.Close()
		if err := n.Take(ctx, Course{Batch: 32, LR: 0.1, Steps: 200}); err != nil {
			return nil, err
		}
		if r.measured, r.exact, err = gradientVariance(ctx, n, varianceCases, seed); err != nil {
			return nil, err
		}
		l.Report("seed %d: variance of gradients done", seed)
		convex, err := Open[float32](l, NewSetup("mlp:784-10", plateauSamples, seed))
		if err != nil {
			return nil, err
		}
		defer convex.Close()
		const decay, settled = 0.1, 20
		p, err := newPlateau(ctx, convex, decay, settled, length)
		for k := 0; err == nil && k < len(plateauCases); k++ {
			var h float64
			c := plateauCases[k]
			h, err = p.height(ctx, c, seed)
			r.heights = append(r.heights, h)
			l.Report("seed %d: ε = %g, B = %d, m = %g: %.3g above the minimum", seed, c.rate, c.batch, c.momentum, h)
		}
		return r, err
	})
	if err != nil {
		return nil, err
	}
	return judgeSGDNoise(runs), nil
}

// judgeSGDNoise applies the criterion to a run of every seed.
func judgeSGDNoise(runs []*sgdNoiseRun) *Outcome {
	var noise, plainNoise, rates []float64 // N/B − 1 of the gradients and of the plateaus; ε
	for _, c := range varianceCases {
		noise = append(noise, float64(varianceSamples)/float64(c.batch)-1)
	}
	var byBatch, byRate, byMomentum []int // cases, all but byRate's with the base's rate
	base := plateauCases[plateauBase]
	for k, c := range plateauCases {
		switch {
		case c.momentum > 0:
			byMomentum = append(byMomentum, k)
			continue
		case c.rate == base.rate:
			byBatch, plainNoise = append(byBatch, k), append(plainNoise, c.noise(plateauSamples))
		}
		if c.batch == base.batch {
			byRate, rates = append(byRate, k), append(rates, c.rate)
		}
	}
	of := func(r *sgdNoiseRun, cases []int) (list []float64) {
		for _, k := range cases {
			list = append(list, r.heights[k])
		}
		return list
	}
	var pooled, inNoise, plateauNoise, plateauRate []float64
	momenta := make([][]float64, len(byMomentum))
	for _, r := range runs {
		pooled = append(pooled, geometricRatio(r.measured, r.exact))
		inNoise = append(inNoise, exponent(noise, r.measured))
		plateauNoise = append(plateauNoise, exponent(plainNoise, of(r, byBatch)))
		plateauRate = append(plateauRate, exponent(rates, of(r, byRate)))
		for i, k := range byMomentum {
			momenta[i] = append(momenta[i], r.heights[k]/r.heights[plateauBase])
		}
	}
	const v, p = varianceTolerance, plateauTolerance
	o := &Outcome{
		Verdict: All(Decide(pooled, 1-v, 1+v), Decide(inNoise, 1-v, 1+v), Decide(plateauNoise, 1-p, 1+p), Decide(plateauRate, 1-p, 1+p)),
		Measured: []Finding{
			Over("variance of mini-batch gradients over its exact value", pooled, "1"),
			Over("exponent of N/B − 1 in the variance of gradients", inNoise, "1"),
			Over("exponent of N/B − 1 in the height of the plateau", plateauNoise, "1"),
			Over("exponent of ε in the height of the plateau", plateauRate, "1"),
		},
	}
	said := ""
	for i, k := range byMomentum {
		m := plateauCases[k].momentum
		o.Verdict = All(o.Verdict, Decide(momenta[i], 1-p, 1+p))
		o.Measured = append(o.Measured, Over(fmt.Sprintf("plateau with momentum %g at ε(1 − m) over that of plain SGD at ε", m), momenta[i], "1"))
		said += fmt.Sprintf("; momentum %g at rate ε(1 − m) gives %s times the height of plain SGD", m, spanOf(momenta[i]))
	}
	o.Why = fmt.Sprintf("Variances have to be within %.0f %% of their exact value and plateaus within %.0f %% of what g says (95 %% intervals): the variance of gradients is %s times its exact value and goes as N/B − 1 to the power %s; the plateau goes as N/B − 1 to the power %s and as ε to the power %s%s.",
		100*v, 100*p, spanOf(pooled), spanOf(inNoise), spanOf(plateauNoise), spanOf(plateauRate), said)
	o.Charts = []page.Chart{varianceChart(runs, noise), plateauChart(runs, plainNoise, byBatch, byMomentum)}
	return o
}

// ascending is the series of a value of every run at each of the cases, whose x = N/B − 1
// descend.
func ascending(label string, x []float64, runs []*sgdNoiseRun, of func(r *sgdNoiseRun, k int) float64) figure.Series {
	values := make([][]float64, len(x))
	for k := range x {
		for _, r := range runs {
			values[k] = append(values[k], of(r, k))
		}
	}
	s := factorSpread(label, x, values)
	slices.Reverse(s.Points)
	return s
}

// noiseChart is a chart over N/B − 1.
func noiseChart(y string, series ...figure.Series) figure.Chart {
	return figure.Chart{X: figure.Axis{Label: "N/B − 1", Log: true}, Y: figure.Axis{Label: y, Log: true}, Series: series}
}

// varianceChart plots the variance of gradients against noise = N/B − 1.
func varianceChart(runs []*sgdNoiseRun, noise []float64) page.Chart {
	exact := ascending("exact, (N/B − 1)·tr Σ/(N − 1)", noise, runs, func(r *sgdNoiseRun, k int) float64 { return r.exact[k] })
	exact.Marks, exact.Dashed = false, true
	measured := ascending("measured", noise, runs, func(r *sgdNoiseRun, k int) float64 { return r.measured[k] })
	return page.Chart{
		Name: "variance", Title: "Variance of a mini-batch gradient",
		How:   "mean of ‖g_B − G‖² over batches drawn without replacement; 95 % intervals over seeds",
		Chart: noiseChart("‖g_B − G‖²", measured, exact),
	}
}

// plateauChart plots the heights of the cases byBatch against their noise, and of the
// cases with momentum.
func plateauChart(runs []*sgdNoiseRun, noise []float64, byBatch, byMomentum []int) page.Chart {
	series := []figure.Series{ascending("plain SGD", noise, runs, func(r *sgdNoiseRun, k int) float64 { return r.heights[byBatch[k]] })}
	for _, k := range byMomentum {
		c := plateauCases[k]
		series = append(series, ascending(fmt.Sprintf("momentum %g at ε(1 − m)", c.momentum), []float64{c.noise(plateauSamples)}, runs,
			func(r *sgdNoiseRun, _ int) float64 { return r.heights[k] }))
	}
	return page.Chart{
		Name: "plateau", Title: "Height of the stationary loss above its minimum",
		Caption: []string{"SGD at a constant rate hovers above the minimum in proportion to g."},
		How:     fmt.Sprintf("mean over time at ε = %g; 95 %% intervals over seeds", plateauCases[plateauBase].rate),
		Chart:   noiseChart("height", series...),
	}
}
