package report

import (
	"fmt"
	"strings"

	"sgflow/engine/analysis"
)

// cards are the numbers of the first screen.
func (s *Section) cards() []Card {
	cards := []Card{s.bestCard(), s.criticalCard(), s.noiseCard(), s.temperatureCard()}
	var list []Card
	for _, c := range cards {
		if c.Title != "" {
			list = append(list, c)
		}
	}
	return list
}

func (s *Section) bestCard() Card {
	if len(s.Ranking) == 0 {
		return Card{}
	}
	best := s.Ranking[0]
	c := Card{
		Title:  "Best setting",
		Value:  s.settingWords(best.Group.Setting),
		Detail: s.Goal.Name + " " + s.goalWords(best.Estimate),
	}
	if s.thermal() {
		c.Detail += "; temperature " + number(best.Group.Setting.Temperature())
	}
	switch equals := s.equals(); {
	case len(s.Ranking) == 1:
		c.Verdict, c.Why = analysis.Rough, "nothing to compare it with"
	case best.Estimate.N < 2:
		c.Verdict, c.Why = analysis.Rough, "one seed: error unknown"
	case len(equals) > 0:
		c.Verdict, c.Why = analysis.Rough, fmt.Sprintf("%s as good within the error", count(len(equals), "other", "others"))
	default:
		c.Verdict, c.Why = analysis.Good, "told from all others"
	}
	return c
}

func (s *Section) criticalCard() Card {
	c := Card{Title: "Critical batch size"}
	t := s.TradeOff
	if t == nil {
		if len(s.Problem.Batches()) < 2 {
			return Card{}
		}
		c.Value, c.Verdict, c.Why = "not found", analysis.Bad, s.NoTradeOff
		return c
	}
	c.Value = intervalWords(t.Critical)
	c.Detail = fmt.Sprintf("to %s: at least %s steps, at least %s samples; at the critical size twice each", s.Target.Words(), number(t.StepsMin.Value), number(t.SamplesMin.Value))
	c.Verdict, c.Why = t.Quality.Verdict, strings.Join(append(append([]string{}, t.Quality.Reasons...), s.oneRate()...), "; ")
	if c.Why == "" {
		c.Why = fmt.Sprintf("the fit is within %.1f %% of the mean steps", 100*t.Quality.RMS)
	}
	if len(s.oneRate()) > 0 && c.Verdict == analysis.Good {
		c.Verdict = analysis.Rough
	}
	c.doubt()
	return c
}

// doubt takes the number of a bad fit out of the headline.
func (c *Card) doubt() {
	if c.Verdict == analysis.Bad {
		c.Value, c.Detail = "not clear", "the fit gives "+c.Value+"; "+c.Detail
	}
}

// oneRate says so where the trade-off rests on a single rate.
func (s *Section) oneRate() []string {
	for _, row := range s.Rows {
		if row.Settings > 1 {
			return nil
		}
	}
	return []string{"one setting a batch size: the law is for the best rate at each, so this is the critical size of these rates"}
}

func (s *Section) noiseCard() Card {
	if len(s.Ranking) == 0 {
		return Card{}
	}
	best := s.Ranking[0].Group
	var values []string
	for phase := range analysis.PhaseNames {
		if e, ok := best.NoiseScale(phase); ok {
			values = append(values, number(e.Mean))
		} else {
			values = append(values, "–")
		}
	}
	if strings.Join(values, "") == "–––" {
		return Card{}
	}
	c := Card{
		Title:  "Noise scale",
		Value:  strings.Join(values, " → ") + " samples",
		Detail: fmt.Sprintf("start → middle → end of %s", s.settingWords(best.Setting)),
	}
	if e, ok := best.NoiseScale(analysis.End); ok {
		c.Detail += "; end " + withError(e, 1)
		if e.Mean > float64(best.Setting.Batch) {
			c.Why = "noise outweighs the gradient in a batch at the end"
		} else {
			c.Why = "the gradient outweighs the noise in a batch at the end"
		}
	}
	return c
}

func (s *Section) temperatureCard() Card {
	if s.Goal.Name != analysis.Goals[0].Name || len(s.Ranking) < 2 || !s.thermal() {
		return Card{}
	}
	c := Card{Title: "Best temperature"}
	if s.Peak == nil {
		c.Value, c.Verdict, c.Why = "not found", analysis.Bad, s.NoPeak
		c.Detail = "the best setting's is " + number(s.Ranking[0].Group.Setting.Temperature())
		return c
	}
	c.Value = intervalWords(s.Peak.X)
	c.Detail = fmt.Sprintf("lr/(batch·(1 − momentum)) at the top of the fitted test accuracy, %s %%", number(100*s.Peak.Height.Value))
	c.Verdict, c.Why = s.Peak.Quality.Verdict, strings.Join(s.Peak.Quality.Reasons, "; ")
	if r2, ok := s.Peak.Quality.R2.Get(); ok && c.Why == "" {
		c.Why = fmt.Sprintf("the parabola explains %.0f %% of what the means differ by", 100*r2)
	}
	c.doubt()
	return c
}
