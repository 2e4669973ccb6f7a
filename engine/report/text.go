package report

import (
	"fmt"
	"path/filepath"
	"strings"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// Text returns the answers for a terminal, and where the report is.
func (r *Report) Text(dir string) string {
	var b strings.Builder
	for _, s := range r.Sections {
		if len(r.Sections) > 1 {
			fmt.Fprintf(&b, "%s\n", s.Title)
		}
		fmt.Fprintf(&b, "%s\n", s.Answer.Text)
		for _, line := range s.Answer.Sure {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	fmt.Fprintf(&b, "%s (and %s, %s)\n", filepath.Join(dir, PageFile), MarkdownFile, FigureFolder+string(filepath.Separator))
	return b.String()
}

// Result is the report for programs.
type Result struct {
	Page     string          `json:"page"`
	Markdown string          `json:"markdown"`
	Figures  string          `json:"figures"`
	Problems []ProblemResult `json:"problems"`
	Notes    []string        `json:"notes"`
}

// ProblemResult is a section of a Result.
type ProblemResult struct {
	Title      string             `json:"title"`
	Fixed      map[string]string  `json:"config"`
	Runs       int                `json:"runs"`
	Answer     string             `json:"answer"`
	Best       *SettingResult     `json:"best,omitempty"`
	Target     string             `json:"target,omitempty"`
	TradeOff   *analysis.TradeOff `json:"trade_off,omitempty"`
	NoTradeOff string             `json:"no_trade_off,omitempty"`
	Peak       *analysis.Peak     `json:"best_temperature,omitempty"`
	NoPeak     string             `json:"no_best_temperature,omitempty"`
	Settings   []SettingResult    `json:"settings"`
	Notes      []string           `json:"notes"`
}

// SettingResult is a setting with its means; what was not measured is absent.
type SettingResult struct {
	analysis.Setting
	Temperature float64                      `json:"temperature"`
	Runs        int                          `json:"runs"`
	Unfinished  int                          `json:"unfinished"`
	Means       map[string]analysis.Estimate `json:"means"`
}

// JSON returns the result; dir is where the report was saved.
func (r *Report) JSON(dir string) Result {
	result := Result{
		Page: filepath.Join(dir, PageFile), Markdown: filepath.Join(dir, MarkdownFile), Figures: filepath.Join(dir, FigureFolder),
		Notes: append([]string{}, r.Notes...),
	}
	for _, s := range r.Sections {
		p := ProblemResult{
			Title: s.Title, Fixed: map[string]string{}, Runs: len(s.Runs), Answer: s.Answer.Text,
			TradeOff: s.TradeOff, NoTradeOff: s.NoTradeOff, Peak: s.Peak, NoPeak: s.NoPeak, Notes: append([]string{}, s.Notes...),
		}
		for _, f := range s.Problem.Fixed {
			p.Fixed[f.Name] = f.Value
		}
		if s.Target != nil {
			p.Target = s.Target.String()
		}
		for _, g := range s.ranked() {
			p.Settings = append(p.Settings, s.settingResult(g))
		}
		if len(s.Ranking) > 0 {
			p.Best = &p.Settings[0]
		}
		result.Problems = append(result.Problems, p)
	}
	return result
}

func (s *Section) settingResult(g *analysis.Group) SettingResult {
	r := SettingResult{
		Setting: g.Setting, Temperature: g.Setting.Temperature(), Runs: len(g.Runs), Unfinished: len(g.Unfinished),
		Means: map[string]analysis.Estimate{},
	}
	add := func(name string, e analysis.Estimate, ok bool) {
		if ok {
			r.Means[name] = e
		}
	}
	final := map[string]func(*analysis.Run) record.Opt{
		"train_loss":     func(r *analysis.Run) record.Opt { return r.Final.TrainLoss },
		"train_accuracy": func(r *analysis.Run) record.Opt { return r.Final.TrainAccuracy },
		"test_loss":      func(r *analysis.Run) record.Opt { return r.Final.TestLoss },
		"test_accuracy":  func(r *analysis.Run) record.Opt { return r.Final.TestAccuracy },
		"loss_gap":       func(r *analysis.Run) record.Opt { return r.Final.Gap() },
		"accuracy_gap":   func(r *analysis.Run) record.Opt { return r.Final.AccuracyGap() },
	}
	for name, of := range final {
		e, ok := g.Mean(of)
		add(name, e, ok)
	}
	for phase, phaseName := range analysis.PhaseNames {
		e, ok := g.NoiseScale(phase)
		add("noise_scale_"+phaseName, e, ok)
		for _, name := range []string{"grad_var_trace", "grad_norm_sq_unbiased", "lambda_max", "trace", "batch_sharpness"} {
			e, ok := g.Mean(analysis.In(phase, name))
			add(name+"_"+phaseName, e, ok)
		}
	}
	if s.Target != nil {
		e, ok := g.Mean(s.steps)
		add("steps_to_target", e, ok)
		e, ok = g.Mean(s.samples)
		add("samples_to_target", e, ok)
	}
	return r
}
