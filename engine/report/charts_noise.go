package report

import (
	"fmt"

	"sgflow/engine/analysis"
	"sgflow/engine/figure"
)

// bestOfBatch returns the best ranked setting of each batch size, by batch size.
func (s *Section) bestOfBatch() []*analysis.Group {
	var list []*analysis.Group
	for _, batch := range s.Problem.Batches() {
		for _, r := range s.Ranking {
			if r.Group.Setting.Batch == batch {
				list = append(list, r.Group)
				break
			}
		}
	}
	return list
}

// noiseScaleChart draws the noise scale in the three phases against the batch
// size, beside the critical batch size.
func (s *Section) noiseScaleChart() *Chart {
	c := &Chart{
		Name: "noise_scale-batch", Topic: topicNoise, Title: "Noise scale against batch size",
		How:    "tr Σ / |G|², the ratio of the means over steps and seeds of tr Σ̂ = Σ‖gᵢ − ḡ‖²/(n − 1) and of ‖ḡ‖² − tr Σ̂/n. " + tenths + " Of each batch size the setting with the best " + s.Goal.Name + ".",
		Source: mccandlish + ", B_simple and appendix A.1; standard error of a ratio: Cochran 1977, eq. 2.39",
	}
	c.X, c.Y = s.batchAxis(), figure.Axis{Label: "noise scale, samples", Log: true}
	if !s.phases(c, (*analysis.Group).NoiseScale) {
		return nil
	}
	if atTarget := s.noiseAtTarget(); len(atTarget.Points) > 0 {
		c.Series = append(c.Series, atTarget)
		c.How += " At the target: over the steps from 0.9 to 1.1 times the one that reached it, of the setting that needs the fewest steps."
	}
	low, high := s.batchRange()
	c.Series = append(c.Series, curve("noise scale = batch size", low, high, func(x float64) float64 { return x }))
	if t := s.TradeOff; t != nil {
		c.Series = append(c.Series, curve("critical batch size", low, high, func(float64) float64 { return t.Critical.Value }))
		c.Caption = append(c.Caption, s.noiseWords(t))
	}
	c.Caption = append(c.Caption, s.phaseFits((*analysis.Group).NoiseScale, "noise_scale")...)
	return c
}

// noiseAtTarget is the noise scale where the target was reached.
func (s *Section) noiseAtTarget() figure.Series {
	series := figure.Series{Label: "at the target", Line: true, Marks: true}
	for _, row := range s.Rows {
		if e, ok := row.NoiseScale(*s.Target); ok {
			series.Points = append(series.Points, s.point(float64(row.Batch), e, 1, "at the target, of "+s.settingWords(row.Group.Setting)))
		}
	}
	return series
}

// noiseWords compares the critical batch size with the noise scale.
func (s *Section) noiseWords(t *analysis.TradeOff) string {
	text := "Critical batch size from steps and samples: " + intervalWords(t.Critical)
	if len(s.Ranking) == 0 {
		return text + "."
	}
	for phase, name := range analysis.PhaseNames {
		if e, ok := s.Ranking[0].Group.NoiseScale(phase); ok {
			text += fmt.Sprintf("; noise scale at the %s %s", name, withError(e, 1))
		}
	}
	text += " (of the best setting)"
	if points := s.noiseAtTarget().Points; len(points) > 0 {
		first, last := points[0], points[len(points)-1]
		text += fmt.Sprintf("; where the target is reached %s at batch size %g, %s at %g", number(first.Y), first.X, number(last.Y), last.X)
	}
	return text + ". The theory expects the same order of magnitude, not the same number."
}

// batchAxis is the axis of batch sizes, with those of the section as its ticks.
func (s *Section) batchAxis() figure.Axis {
	a := figure.Axis{Label: byBatch.label, Log: true}
	if batches := s.Problem.Batches(); len(batches) < 16 {
		for _, b := range batches {
			a.Ticks = append(a.Ticks, float64(b))
		}
	}
	return a
}

// batchRange returns the least and the largest batch size.
func (s *Section) batchRange() (low, high float64) {
	batches := s.Problem.Batches()
	return float64(batches[0]), float64(batches[len(batches)-1])
}

// phasesChart draws the mean of a number of the log in the three phases.
func (s *Section) phasesChart(name, label string) *Chart {
	how := map[string]string{
		"grad_var_trace":        "tr Σ̂ = Σ‖gᵢ − ḡ‖²/(n − 1) over the batch, exact, averaged over steps and seeds. ",
		"grad_norm_sq_unbiased": "|G|² = ‖ḡ‖² − tr Σ̂/n, unbiased, averaged over steps and seeds; may be negative where noise hides it. ",
	}
	c := &Chart{Name: name + "-batch", Topic: topicNoise, Title: label + " against batch size",
		How: how[name] + tenths + " Of each batch size the setting with the best " + s.Goal.Name + ".", Source: mccandlish + ", appendix A.1"}
	c.X, c.Y = s.batchAxis(), figure.Axis{Label: label, Log: true}
	of := func(g *analysis.Group, phase int) (analysis.Estimate, bool) { return g.Mean(analysis.In(phase, name)) }
	if !s.phases(c, of) {
		return nil
	}
	if lowest(c.Series) <= 0 {
		c.Y.Log = false
	}
	c.Caption = s.phaseFits(of, name)
	return c
}

// phases adds a series for each phase; it reports whether there are two batch
// sizes to draw.
func (s *Section) phases(c *Chart, of func(*analysis.Group, int) (analysis.Estimate, bool)) bool {
	most := 0
	for phase, name := range analysis.PhaseNames {
		series := figure.Series{Label: name, Line: true, Marks: true}
		for _, g := range s.bestOfBatch() {
			if e, ok := of(g, phase); ok {
				series.Points = append(series.Points, s.point(float64(g.Setting.Batch), e, 1, name+" of "+s.settingWords(g.Setting)))
			}
		}
		if len(series.Points) > 0 {
			c.Series = append(c.Series, series)
		}
		most = max(most, len(series.Points))
	}
	return most >= 2
}

// phaseFits words the power laws of the three phases.
func (s *Section) phaseFits(of func(*analysis.Group, int) (analysis.Estimate, bool), name string) []string {
	var lines []string
	for phase, phaseName := range analysis.PhaseNames {
		var list []analysis.Sampled
		for _, g := range s.bestOfBatch() {
			if _, ok := of(g, phase); !ok {
				continue
			}
			for _, r := range g.Runs {
				if y, ok := analysis.In(phase, name)(r).Get(); ok {
					list = append(list, analysis.Sampled{X: float64(g.Setting.Batch), Y: y, Seed: r.Seed})
				}
			}
		}
		if fit, ok := analysis.FitPowerLaw(list); ok {
			lines = append(lines, powerWords(phaseName, "batch", fit))
		}
	}
	return lines
}

// accuracyChart draws the test accuracy against the temperature, with its best.
func (s *Section) accuracyChart() *Chart {
	c := s.against(byHeat, accuracy())
	if c == nil {
		return nil
	}
	p := s.Peak
	if p == nil {
		c.Caption = append(c.Caption, "No best temperature: "+s.NoPeak+".")
		return c
	}
	c.Series = append(c.Series, curve("parabola in log temperature", p.Low, p.High, func(x float64) float64 { return 100 * p.At(x) }))
	c.Spans = append(c.Spans, span("best temperature", p.X))
	text := fmt.Sprintf("Best temperature %s: test accuracy %s %%", intervalWords(p.X), number(100*p.Height.Value))
	if interval(p.X) != "" {
		text += fmt.Sprintf(" (95 %% interval, %s)", p.Quality.Method)
	}
	text += fmt.Sprintf(". Goodness: %s", p.Quality.Verdict)
	if r2, ok := p.Quality.R2.Get(); ok {
		text += fmt.Sprintf(", R² %.2f", r2)
	}
	for _, reason := range p.Quality.Reasons {
		text += "; " + reason
	}
	c.Caption = append(c.Caption, text+".")
	c.How += " The parabola c₀ + c₁u + c₂u², u = log temperature, is fitted to the means within a factor of 10 of the best one; the best temperature is its top."
	c.Source = "Jastrzębski et al. 2017, arXiv:1711.04623; Smith & Le 2017, arXiv:1710.06451"
	return c
}
