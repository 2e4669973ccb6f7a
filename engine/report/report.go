package report

import (
	"errors"
	"fmt"
	"strings"

	"sgflow/engine/analysis"
	"sgflow/engine/optim"
)

// Report is what is shown, by all outputs alike.
type Report struct {
	Runs     []*Run
	Sections []*Section
	Notes    []string // what is amiss with files and runs
}

// Section is a problem: the runs that can be compared.
type Section struct {
	Name    string // "s1", unique in the report
	Title   string
	Problem *analysis.Problem
	Runs    []*Run

	// Target is what steps and samples are counted to; nil where there is none.
	Target *analysis.Target
	// Chosen says that nobody asked for the target.
	Chosen bool
	Rows   []analysis.BatchRow
	// TradeOff is nil where it could not be fitted; NoTradeOff says why.
	TradeOff   *analysis.TradeOff
	NoTradeOff string

	Ranking []analysis.Ranked
	Goal    analysis.Goal
	// Peak is the best temperature; nil where there is none, and NoPeak says why.
	Peak   *analysis.Peak
	NoPeak string

	Answer Answer
	Cards  []Card
	Charts []*Chart
	Notes  []string
}

// New makes the report of runs. target is what steps are counted to, nil to
// choose one.
func New(l *Loaded, target *analysis.Target) (*Report, error) {
	if len(l.Runs) == 0 {
		return nil, fmt.Errorf("report: %w could be read: %s", ErrNoRuns, strings.Join(l.Notes, "; "))
	}
	r := &Report{Runs: l.Runs, Notes: append([]string{}, l.Notes...)}
	runs := make([]*analysis.Run, len(l.Runs))
	whole := map[*analysis.Run]*Run{}
	for i, run := range l.Runs {
		runs[i] = &run.Run
		whole[&run.Run] = run
	}
	problems, notes := analysis.GroupRuns(runs)
	r.Notes = append(r.Notes, notes...)
	for i, p := range problems {
		s := &Section{Name: fmt.Sprintf("s%d", i+1), Problem: p}
		for _, g := range p.Groups {
			for _, list := range [][]*analysis.Run{g.Runs, g.Unfinished} {
				for _, run := range list {
					s.Runs = append(s.Runs, whole[run])
				}
			}
		}
		s.analyse(target)
		r.Sections = append(r.Sections, s)
	}
	titles(r.Sections)
	return r, nil
}

// analyse fills s.
func (s *Section) analyse(target *analysis.Target) {
	s.fitTradeOff(target)
	s.Ranking, s.Goal = s.Problem.Rank(s.goals()...)
	s.fitPeak()
	s.check()
	s.Answer = s.answer()
	s.Cards = s.cards()
	s.Charts = s.charts()
}

// goals are what settings are ranked by: how well runs ended, or, of runs that
// stopped at the target, how many samples they took.
func (s *Section) goals() []analysis.Goal {
	if !s.untilTarget() {
		return analysis.Goals
	}
	return []analysis.Goal{{Name: "samples to the target", Least: true, Of: s.samples}}
}

// untilTarget reports whether the runs stopped at the target.
func (s *Section) untilTarget() bool {
	return s.Target != nil && len(s.Runs) > 0 && s.Runs[0].Until == s.Target.String()
}

// fitTradeOff counts steps to the target: the one asked for, that of the runs, or
// one that is chosen.
func (s *Section) fitTradeOff(asked *analysis.Target) {
	s.Target = asked
	if s.Target == nil && len(s.Runs) > 0 {
		if t, err := analysis.ParseTarget(s.Runs[0].Until); err == nil {
			s.Target = &t
		}
	}
	if s.Target == nil {
		t, ok := s.Problem.ChooseTarget()
		if !ok {
			s.NoTradeOff = "there is no training loss that most batch sizes reached, or no log of steps"
			return
		}
		s.Target, s.Chosen = &t, true
	}
	rows, reached := s.Problem.ToTarget(*s.Target)
	s.Rows = rows
	fit, err := analysis.FitTradeOff(reached)
	if err != nil {
		s.NoTradeOff = strings.TrimPrefix(err.Error(), "analysis: ")
		if errors.Is(err, analysis.ErrFewBatches) {
			n := 0
			for _, row := range rows {
				if row.Group != nil {
					n++
				}
			}
			s.NoTradeOff += fmt.Sprintf(" with every seed; here %d of %d did", n, len(rows))
		}
		return
	}
	s.TradeOff = fit
}

// thermal reports whether the runs of the section have the temperature of SGD.
func (s *Section) thermal() bool {
	optimizer := value(s.Problem.Fixed, "optimizer")
	return (optimizer == "" || optimizer == optim.SGD || optimizer == optim.SGDW) && s.oneSize() && value(s.Problem.Fixed, "noise") == ""
}

// oneSize reports whether all batches of a run of the section have the size of its
// setting.
func (s *Section) oneSize() bool {
	schedule := value(s.Problem.Fixed, "batch-schedule")
	return (schedule == "" || schedule == optim.Constant) && value(s.Problem.Fixed, "adaptive-batch") == ""
}

// fitPeak finds the best temperature.
func (s *Section) fitPeak() {
	if !s.thermal() {
		s.NoPeak = "lr/(batch·(1 − momentum)) is the temperature of SGD with batches of one size, and these runs are of another optimizer, with noise added or with batches that change"
		return
	}
	var list []analysis.Sampled
	for _, g := range s.Problem.Groups {
		if len(g.Unfinished) > 0 {
			continue
		}
		for _, r := range g.Runs {
			if y, ok := r.Final.TestAccuracy.Get(); ok {
				list = append(list, analysis.Sampled{X: g.Setting.Temperature(), Y: y, Seed: r.Seed})
			}
		}
	}
	peak, err := analysis.FitPeak(list)
	if err != nil {
		s.NoPeak = strings.TrimPrefix(err.Error(), "analysis: ")
		return
	}
	s.Peak = peak
}

// mostNotes is how many unfinished runs are named one by one.
const mostNotes = 10

// check notes what makes comparisons within the section doubtful.
func (s *Section) check() {
	lengths := map[[2]int]bool{}
	unfinished, unlogged, unmeasured := 0, 0, 0
	for _, r := range s.Runs {
		if r.Until == "" {
			lengths[[2]int{r.Setting.Epochs, r.Setting.Steps}] = true
		}
		if !r.Ended {
			if unfinished++; unfinished <= mostNotes {
				s.note("%s (%s, seed %d) has no result: %s", r.Name, s.settingWords(r.Setting), r.Seed, r.reason())
			}
			continue
		}
		if len(r.Loss) == 0 {
			unlogged++
		}
		if r.Phases[analysis.End].Means.Get("grad_var_trace").IsZero() {
			unmeasured++
		}
	}
	if unfinished > mostNotes {
		s.note("%d more runs have no result", unfinished-mostNotes)
	}
	if len(lengths) > 1 {
		s.note("runs are of different lengths (epochs or steps): a longer run may win by its length alone")
	}
	if unlogged > 0 {
		s.note("%s no log of steps: no curve, and no steps to the target", count(unlogged, "run has", "runs have"))
	}
	if unmeasured > 0 {
		s.note("%s no measurement of the gradient's noise", count(unmeasured, "run has", "runs have"))
	}
}

func (s *Section) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// reason says why a run has no result.
func (r *Run) reason() string {
	if r.Error != "" {
		return r.Error
	}
	return "it diverged, was interrupted or is under way"
}

// titles names the sections by what tells them apart.
func titles(sections []*Section) {
	differs := map[string]bool{"model": true, "data": true}
	for _, s := range sections {
		for _, f := range s.Problem.Fixed {
			if value(sections[0].Problem.Fixed, f.Name) != f.Value {
				differs[f.Name] = true
			}
		}
	}
	for _, s := range sections {
		parts := []string{value(s.Problem.Fixed, "model") + " on " + value(s.Problem.Fixed, "data")}
		for _, f := range s.Problem.Fixed {
			if differs[f.Name] && f.Name != "model" && f.Name != "data" {
				parts = append(parts, strings.TrimSpace(f.Name+" "+f.Value))
			}
		}
		s.Title = strings.Join(parts, ", ")
	}
}
