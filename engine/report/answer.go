package report

import (
	"fmt"
	"strings"

	"sgflow/engine/analysis"
)

// Answer is what the reader came for.
type Answer struct {
	Text string   // a sentence or two
	Sure []string // how sure that is, and what would make it surer
}

// Card is a number of the first screen.
type Card struct {
	Title   string
	Value   string
	Detail  string
	Verdict analysis.Verdict // "" where there is nothing to judge
	Why     string           // of the verdict
}

// goalWords prints an estimate of the goal.
func (s *Section) goalWords(e analysis.Estimate) string {
	if strings.Contains(s.Goal.Name, "accuracy") {
		return withError(e, 100) + " %"
	}
	return withError(e, 1)
}

// answer words the section's answer.
func (s *Section) answer() Answer {
	if len(s.Ranking) == 0 {
		return Answer{Text: fmt.Sprintf("None of %s ended with a result, so there is nothing to recommend.", count(len(s.Runs), "run", "runs"))}
	}
	best := s.Ranking[0]
	if len(s.Ranking) == 1 {
		a := Answer{Text: fmt.Sprintf("One setting was run, %s: its %s is %s.", s.settingWords(best.Group.Setting), s.Goal.Name, s.goalWords(best.Estimate))}
		if e, ok := best.Group.NoiseScale(analysis.End); ok {
			a.Text += fmt.Sprintf(" At the end its noise scale is %s samples, %s its batch size.", number(e.Mean), times(e.Mean/float64(best.Group.Setting.Batch)))
		}
		a.Sure = append(a.Sure, "Which batch size and rate to use takes several of each to say.")
		return a
	}
	a := Answer{Text: fmt.Sprintf("Use %s: of %d settings it has the best %s, %s", s.settingWords(best.Group.Setting), len(s.Ranking), s.Goal.Name, s.goalWords(best.Estimate))}
	equals := s.equals()
	switch {
	case best.Estimate.N < 2:
		a.Text += ", though with one seed nothing says how much of that is luck."
	case len(equals) == 0:
		a.Text += fmt.Sprintf(", and %s tell it from all others.", count(best.Estimate.N, "seed", "seeds"))
	default:
		a.Text += fmt.Sprintf(", though %d seeds cannot tell it from %s.", best.Estimate.N, count(len(equals), "other", "others"))
	}
	if t := s.TradeOff; t != nil && t.Quality.Verdict != analysis.Bad {
		text := number(t.Critical.Value)
		if ends := interval(t.Critical); ends != "" {
			text += " (95 % interval " + ends + ")"
		}
		a.Text += fmt.Sprintf(" Beyond a batch size of about %s, larger batches save few steps.", text)
	}
	a.Sure = s.sure(equals)
	return a
}

// equals are the settings that the runs cannot tell from the best.
func (s *Section) equals() []analysis.Ranked {
	var list []analysis.Ranked
	for _, r := range s.Ranking[1:] {
		if r.Equal() && len(r.Group.Unfinished) == 0 {
			list = append(list, r)
		}
	}
	return list
}

// sure says how sure the answer is.
func (s *Section) sure(equals []analysis.Ranked) []string {
	best := s.Ranking[0]
	var lines []string
	if n := best.Estimate.N; n > 1 {
		lines = append(lines, fmt.Sprintf("± is one standard error over %d seeds; settings are compared by t-tests paired by seed at 5 %%, not corrected for their number or for the choice of the best.", n))
	} else {
		lines = append(lines, "One seed a setting: run at least three to know the error.")
	}
	if len(equals) > 0 && best.Estimate.N > 1 {
		var names []string
		for i, r := range equals {
			if i == 4 && len(equals) > 5 {
				names = append(names, fmt.Sprintf("%d more", len(equals)-i))
				break
			}
			names = append(names, s.settingWords(r.Group.Setting))
		}
		lines = append(lines, "As good as far as can be told: "+strings.Join(names, "; ")+".")
	}
	lines = append(lines, s.edges(best.Group.Setting)...)
	if n := s.unfinished(); n > 0 {
		lines = append(lines, fmt.Sprintf("%s without a result; settings with such runs are ranked last.", count(n, "run is", "runs are")))
	}
	return lines
}

// edges says where the best setting lies at an end of what was tried.
func (s *Section) edges(best analysis.Setting) []string {
	var lines []string
	for _, axis := range []struct {
		name string
		of   func(analysis.Setting) float64
	}{
		{"batch size", func(x analysis.Setting) float64 { return float64(x.Batch) }},
		{"rate", func(x analysis.Setting) float64 { return x.LR }},
	} {
		if !s.varies(axis.of) {
			continue
		}
		smallest, largest := true, true
		for _, g := range s.Problem.Groups {
			smallest = smallest && axis.of(g.Setting) >= axis.of(best)
			largest = largest && axis.of(g.Setting) <= axis.of(best)
		}
		switch {
		case smallest:
			lines = append(lines, fmt.Sprintf("The best %s is the smallest that was tried: a smaller one may be better.", axis.name))
		case largest:
			lines = append(lines, fmt.Sprintf("The best %s is the largest that was tried: a larger one may be better.", axis.name))
		}
	}
	return lines
}

func (s *Section) unfinished() int {
	n := 0
	for _, g := range s.Problem.Groups {
		n += len(g.Unfinished)
	}
	return n
}

// times prints a ratio.
func times(x float64) string { return number(x) + " times" }
