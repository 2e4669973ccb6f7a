package reproduce

import (
	"errors"
	"fmt"
	"math"

	"sgflow/engine/analysis"
	"sgflow/engine/figure"
	"sgflow/engine/page"
	"sgflow/engine/record"
)

// judgeCritical applies the criterion of critical-batch-size to a run of every batch
// size and seed.
func judgeCritical(batches []int, seeds []uint64, runs []*criticalRun) *Outcome {
	o := &Outcome{}
	largest := batches[len(batches)-1]
	var average, onTarget, critical []float64
	var refused error
	for _, seed := range seeds {
		var list []*criticalRun
		for _, r := range runs {
			if r.seed == seed {
				list = append(list, r)
			}
			if r.seed == seed && r.batch == largest {
				average, onTarget = append(average, r.average), append(onTarget, r.onTarget)
			}
		}
		t, err := criticalOf(list)
		if err != nil {
			refused = err
			continue
		}
		critical = append(critical, t.Critical.Value)
	}
	o.Measured = []Finding{
		Over(fmt.Sprintf("mean noise scale over the steps to the target, batch %d", largest), average, "50 at the start, 900 over a longer training"),
		Over("noise scale where the target is reached", onTarget, ""),
	}
	o.Charts = []page.Chart{stepsChart(batches, runs)}
	pooled, err := criticalOf(runs)
	if err == nil {
		err = refused
	}
	if err != nil {
		// Larger batches that save nothing, or go on saving to the last, are no
		// trade-off; of too few batch sizes nothing is known.
		o.Verdict = If(false)
		if errors.Is(err, analysis.ErrFewBatches) {
			o.Verdict = Undecided
		}
		o.Why = fmt.Sprintf("The trade-off cannot be fitted to the steps: %v.", err)
		return o
	}
	ratio := logRatios(average, critical)
	bound := math.Log(criticalFactor)
	o.Verdict = All(If(pooled.Quality.Verdict != analysis.Bad), Decide(ratio, -bound, bound))
	o.Why = fmt.Sprintf("The trade-off has to fit to within 25 %% and the noise scale on the way to be within a factor of %d of the critical batch size (95 %% interval): the mean steps are %.1f %% off the fit, and the noise scale is %s times the critical batch size of %s (where the target is reached it is %s times).",
		criticalFactor, 100*pooled.Quality.RMS, factorOf(ratio), factorOf(logs(critical)), factorOf(logRatios(onTarget, critical)))
	o.Measured = append([]Finding{
		Over("critical batch size", critical, "20 at the start, 200 over a longer training"),
		Over("noise scale over critical batch size", apply(ratio, math.Exp), "2.5 to 4.5"),
		Over("noise scale at the target over critical batch size", apply(logRatios(onTarget, critical), math.Exp), ""),
		{Name: "root mean square of the mean steps off the fit, log scale", Mean: pooled.Quality.RMS, N: len(runs)},
	}, o.Measured...)
	var x, y []float64
	for _, b := range batches {
		x, y = append(x, float64(b)), append(y, pooled.Steps(float64(b)))
	}
	c := &o.Charts[0]
	fit := line("S_min(1 + B_crit/B)", x, y)
	fit.Dashed = true
	c.Series = append(c.Series, fit)
	c.Spans = []figure.Span{{Label: "critical batch size", At: pooled.Critical.Value, Low: pooled.Critical.Low, High: pooled.Critical.High}}
	if low, high := Interval(logs(average)); finite(low) && finite(high) {
		c.Spans = append(c.Spans, figure.Span{Label: "noise scale", At: math.Exp((low + high) / 2), Low: record.Some(math.Exp(low)), High: record.Some(math.Exp(high))})
	}
	return o
}

// stepsChart plots the steps to the target against batch size.
func stepsChart(batches []int, runs []*criticalRun) page.Chart {
	var x []float64
	var steps [][]float64
	for _, b := range batches {
		x = append(x, float64(b))
		var list []float64
		for _, r := range runs {
			if r.batch == b {
				list = append(list, r.steps)
			}
		}
		steps = append(steps, list)
	}
	return page.Chart{
		Name: "steps", Title: "Steps to the target loss",
		Caption: []string{"Below the critical batch size doubling the batch halves the steps; above it hardly anything is saved."},
		How:     "fewest steps over learning rates; S = S_min(1 + B_crit/B), fitted in log S",
		Chart: figure.Chart{
			X: figure.Axis{Label: "batch size", Log: true}, Y: figure.Axis{Label: "steps", Log: true},
			Series: []figure.Series{factorSpread("steps at the best rate", x, steps)},
		},
	}
}
