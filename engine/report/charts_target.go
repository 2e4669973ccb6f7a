package report

import (
	"fmt"
	"math"
	"strings"

	"sgflow/engine/analysis"
	"sgflow/engine/figure"
	"sgflow/engine/record"
)

const tradeOffHow = "(S/S_min − 1)(E/E_min − 1) = 1 with E = batch·S; the critical batch size is E_min/S_min. " +
	"Fitted by least squares in log S to all seeds of the setting of each batch size that needs the fewest steps."

// howTarget says how the steps to the target were found.
func (s *Section) howTarget() string {
	switch {
	case s.Target == nil:
		return ""
	case s.untilTarget():
		return fmt.Sprintf("Runs stopped at the target (--until %s): S is the steps they took, to the next time that they looked.", s.Target)
	case s.Target.Test:
		return "S is interpolated between the evaluations of the test set at the ends of epochs."
	}
	return fmt.Sprintf("S is where the %s of the batches, averaged over the steps from %g to %g times each step, first reaches the target, interpolated between steps.",
		strings.Fields(s.Target.Words())[1], 1-analysis.Smoothing, 1+analysis.Smoothing)
}

// targetCaption says what the target is and how good the fit.
func (s *Section) targetCaption() []string {
	text := "Target: " + s.Target.Words()
	if s.Chosen {
		text += ", chosen as the lowest that three quarters of the batch sizes reach (--target sets another)"
	}
	lines := []string{text + "."}
	var missed []string
	for _, row := range s.Rows {
		if row.Group == nil {
			missed = append(missed, fmt.Sprint(row.Batch))
		}
	}
	if len(missed) > 0 {
		lines = append(lines, "Not reached, or at the first look already, by every seed at any one setting of batch size "+list(missed)+".")
	}
	t := s.TradeOff
	if t == nil {
		return append(lines, "No fit: "+s.NoTradeOff+".")
	}
	fit := fmt.Sprintf("Fit: S_min %s, E_min %s, critical batch size %s",
		intervalWords(t.StepsMin), intervalWords(t.SamplesMin), intervalWords(t.Critical))
	if interval(t.Critical) != "" {
		fit += fmt.Sprintf(" (95 %% intervals, %s)", t.Quality.Method)
	}
	lines = append(lines, fit+".")
	q := t.Quality
	good := fmt.Sprintf("Goodness: %s; %d batch sizes, %d runs, means %.1f %% off the curve", q.Verdict, q.Points, q.Runs, 100*q.RMS)
	if r2, ok := q.R2.Get(); ok {
		good += fmt.Sprintf(", R² %.4f", r2)
	}
	if p, ok := q.LackOfFit.Get(); ok {
		good += fmt.Sprintf(", lack of fit p = %.2g", p)
	}
	if len(q.Reasons) > 0 {
		good += "; " + strings.Join(q.Reasons, "; ")
	}
	lines = append(lines, good+".")
	for _, line := range s.oneRate() {
		lines = append(lines, strings.ToUpper(line[:1])+line[1:]+".")
	}
	return lines
}

// intervalWords prints a value with its interval.
func intervalWords(i analysis.Interval) string {
	text := number(i.Value)
	if ends := interval(i); ends != "" {
		text += " (" + ends + ")"
	}
	return text
}

// tradeOffChart draws steps against samples.
func (s *Section) tradeOffChart() *Chart {
	c := &Chart{Name: "tradeoff", Topic: topicTarget, Title: "Steps against samples to the target",
		How: tradeOffHow + " " + s.howTarget(), Source: mccandlish + ", eq. 2.11 and 2.12"}
	c.X = figure.Axis{Label: "samples to the target, E", Log: true}
	c.Y = figure.Axis{Label: "steps to the target, S", Log: true}
	points := figure.Series{Label: "best setting of each batch size", Marks: true}
	least, most := math.Inf(1), 0.0
	for _, row := range s.Rows {
		if row.Group == nil {
			continue
		}
		points.Points = append(points.Points, s.point(row.Samples.Mean, row.Steps, 1, s.settingWords(row.Group.Setting)))
		least, most = min(least, float64(row.Batch)), max(most, float64(row.Batch))
	}
	if len(points.Points) < 2 {
		return nil
	}
	c.Series = append(c.Series, points)
	c.sort()
	c.Caption = s.targetCaption()
	if t := s.TradeOff; t != nil {
		line := figure.Series{Label: "fit", Line: true, Dashed: true}
		for _, p := range curve("", least/2, most*2, t.Steps).Points {
			line.Points = append(line.Points, figure.Point{X: p.X * p.Y, Y: p.Y})
		}
		c.Series = append(c.Series, line)
		c.Series = append(c.Series, figure.Series{Label: "at the critical batch size", Marks: true, Points: []figure.Point{{
			X: 2 * t.SamplesMin.Value, Y: 2 * t.StepsMin.Value, Note: "2·E_min samples in 2·S_min steps",
		}}})
	}
	return c
}

// stepsChart draws steps and the fit against the batch size.
func (s *Section) stepsChart() *Chart {
	c := &Chart{Name: "steps-batch", Topic: topicTarget, Title: "Steps to the target against batch size",
		How: "S(batch) = S_min·(1 + B_crit/batch), the same fit. " + s.howTarget(), Source: mccandlish + ", eq. 2.11 and 2.12"}
	c.X, c.Y = s.batchAxis(), figure.Axis{Label: "steps to the target, S", Log: true}
	best := map[*analysis.Group]bool{}
	for _, row := range s.Rows {
		best[row.Group] = true
	}
	others := figure.Series{Label: "other settings", Marks: true}
	chosen := figure.Series{Label: "best setting of each batch size", Marks: true}
	for _, g := range s.Problem.Groups {
		if s.Target == nil {
			return nil
		}
		e, ok := g.Mean(func(r *analysis.Run) record.Opt { return s.steps(r) })
		if !ok || e.N < len(g.Runs) || len(g.Unfinished) > 0 {
			continue
		}
		p := s.point(float64(g.Setting.Batch), e, 1, s.settingWords(g.Setting))
		if best[g] {
			chosen.Points = append(chosen.Points, p)
		} else {
			others.Points = append(others.Points, p)
		}
	}
	if len(chosen.Points) < 2 {
		return nil
	}
	c.Series = append(c.Series, chosen)
	if t := s.TradeOff; t != nil {
		low, high := chosen.Points[0].X, chosen.Points[len(chosen.Points)-1].X
		c.Series = append(c.Series, curve("fit", low, high, t.Steps))
		c.Spans = append(c.Spans, span("critical batch size", t.Critical))
	}
	if len(others.Points) > 0 {
		c.Series = append(c.Series, others)
	}
	return c
}

// steps returns the steps of a run to the target.
func (s *Section) steps(r *analysis.Run) record.Opt {
	if s.Target == nil {
		return record.Opt{}
	}
	if n, ok := s.Target.Steps(r); ok {
		return record.Some(n)
	}
	return record.Opt{}
}

// span marks an interval.
func span(label string, i analysis.Interval) figure.Span {
	return figure.Span{Label: label, At: i.Value, Low: i.Low, High: i.High}
}
