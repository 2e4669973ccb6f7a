package report

import (
	"fmt"
	"math"
	"strconv"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// Table is a table that can be sorted.
type Table struct {
	Columns []Column
	Rows    [][]Cell
}

// Column heads a column.
type Column struct {
	Title string
	Hint  string // what it is
	Text  bool   // sorted as text
}

// Cell is what a place of a table shows, and the number that it is sorted by, in
// full; absent where there is none.
type Cell struct {
	Text  string
	Value record.Opt
}

// Sort returns the number that the cell is sorted by, every digit of it.
func (c Cell) Sort() string {
	x, ok := c.Value.Get()
	if !ok {
		return ""
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// estimated is a column of means.
type estimated struct {
	title, hint string
	scale       float64
	of          func(*analysis.Group) (analysis.Estimate, bool)
}

// end returns the mean of a number of the log at the end of a run.
func end(name string) func(*analysis.Run) record.Opt { return analysis.In(analysis.End, name) }

// quantities are the columns of numbers that both tables have; of is a run's.
var quantities = []struct {
	title, hint string
	scale       float64
	of          func(*analysis.Run) record.Opt
}{
	{"test acc. %", "test accuracy after the last step", 100, func(r *analysis.Run) record.Opt { return r.Final.TestAccuracy }},
	{"test loss", "after the last step", 1, func(r *analysis.Run) record.Opt { return r.Final.TestLoss }},
	{"train loss", "mean over the last epoch", 1, func(r *analysis.Run) record.Opt { return r.Final.TrainLoss }},
	{"loss gap", "test loss − training loss", 1, func(r *analysis.Run) record.Opt { return r.Final.Gap() }},
	{"acc. gap %", "training accuracy − test accuracy", 100, func(r *analysis.Run) record.Opt { return r.Final.AccuracyGap() }},
	{"tr Σ", "grad_var_trace, last tenth of the steps", 1, end("grad_var_trace")},
	{"|G|²", "grad_norm_sq_unbiased, last tenth of the steps", 1, end("grad_norm_sq_unbiased")},
	{"λmax", "lambda_max, last tenth of the steps", 1, end("lambda_max")},
	{"tr H", "trace of the Hessian, last tenth of the steps", 1, end("trace")},
	{"sharpness", "batch_sharpness, last tenth of the steps", 1, end("batch_sharpness")},
}

// Settings is the table of settings, the best first.
func (s *Section) Settings() Table {
	t := Table{Columns: []Column{
		{Title: "batch"}, {Title: "rate", Hint: "learning rate"}, {Title: "momentum"},
		{Title: "temperature", Hint: "lr/(batch·(1 − momentum))"}, {Title: "runs", Hint: "that ended, of all"},
		{Title: "p", Hint: "of a t-test against the best, paired by seed"},
	}}
	var columns []estimated
	for _, q := range quantities {
		columns = append(columns, estimated{q.title, q.hint, q.scale, func(g *analysis.Group) (analysis.Estimate, bool) { return g.Mean(q.of) }})
	}
	for phase, name := range analysis.PhaseNames {
		columns = append(columns, estimated{"noise scale " + name, "tr Σ / |G|², ratio of the means over steps and seeds", 1,
			func(g *analysis.Group) (analysis.Estimate, bool) { return g.NoiseScale(phase) }})
	}
	if s.Target != nil {
		columns = append(columns,
			estimated{"steps to target", s.Target.Words(), 1, func(g *analysis.Group) (analysis.Estimate, bool) { return g.Mean(s.steps) }},
			estimated{"samples to target", s.Target.Words(), 1, func(g *analysis.Group) (analysis.Estimate, bool) { return g.Mean(s.samples) }})
	}
	for _, c := range columns {
		t.Columns = append(t.Columns, Column{Title: c.title, Hint: c.hint + "; mean over seeds ± one standard error"})
	}
	for _, g := range s.ranked() {
		x := g.Setting
		row := []Cell{
			numberCell(float64(x.Batch), strconv.Itoa(x.Batch)), numberCell(x.LR, number(x.LR)), numberCell(x.Momentum, number(x.Momentum)),
			numberCell(x.Temperature(), number(x.Temperature())),
			numberCell(float64(len(g.Runs)), fmt.Sprintf("%d of %d", len(g.Runs), len(g.Runs)+len(g.Unfinished))),
			s.pCell(g),
		}
		for _, c := range columns {
			row = append(row, estimateCell(c, g))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// ranked are all settings, those with results first and the best first of them.
func (s *Section) ranked() []*analysis.Group {
	var list []*analysis.Group
	seen := map[*analysis.Group]bool{}
	for _, r := range s.Ranking {
		list = append(list, r.Group)
		seen[r.Group] = true
	}
	for _, g := range s.Problem.Groups {
		if !seen[g] {
			list = append(list, g)
		}
	}
	return list
}

func (s *Section) pCell(g *analysis.Group) Cell {
	for i, r := range s.Ranking {
		if r.Group != g {
			continue
		}
		if i == 0 {
			return Cell{Text: "best"}
		}
		if p, ok := r.P.Get(); ok {
			return numberCell(p, fmt.Sprintf("%.2g", p))
		}
	}
	return Cell{}
}

func numberCell(x float64, text string) Cell {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return Cell{}
	}
	return Cell{Text: text, Value: record.Some(x)}
}

func estimateCell(c estimated, g *analysis.Group) Cell {
	e, ok := c.of(g)
	if !ok {
		return Cell{}
	}
	return numberCell(e.Mean, withError(e, c.scale))
}

// samples returns the samples of a run to the target; absent where the sizes of its
// batches change.
func (s *Section) samples(r *analysis.Run) record.Opt {
	if n, ok := s.steps(r).Get(); ok && s.oneSize() {
		return record.Some(n * float64(r.Setting.Batch))
	}
	return record.Opt{}
}

// RunTable is the table of runs.
func (s *Section) RunTable() Table {
	t := Table{Columns: []Column{
		{Title: "run", Hint: "its folder's name", Text: true}, {Title: "batch"}, {Title: "rate", Hint: "learning rate"}, {Title: "momentum"},
		{Title: "seed"}, {Title: "steps"}, {Title: "seconds"}, {Title: "state", Text: true},
	}}
	for _, q := range quantities {
		t.Columns = append(t.Columns, Column{Title: q.title, Hint: q.hint})
	}
	for _, name := range analysis.PhaseNames {
		t.Columns = append(t.Columns, Column{Title: "noise scale " + name, Hint: "tr Σ / |G|², ratio of the means over steps"})
	}
	if s.Target != nil {
		t.Columns = append(t.Columns, Column{Title: "steps to target", Hint: s.Target.Words()})
	}
	for _, r := range s.Runs {
		state := "done"
		if !r.Ended {
			state = "no result"
		}
		x := r.Setting
		row := []Cell{
			{Text: r.Name}, numberCell(float64(x.Batch), strconv.Itoa(x.Batch)), numberCell(x.LR, number(x.LR)), numberCell(x.Momentum, number(x.Momentum)),
			numberCell(float64(r.Seed), strconv.FormatUint(r.Seed, 10)), numberCell(float64(r.Steps), grouped(r.Steps)),
			numberCell(r.Seconds, number(r.Seconds)), {Text: state},
		}
		for _, q := range quantities {
			row = append(row, optCell(q.of(&r.Run), q.scale))
		}
		for phase := range analysis.PhaseNames {
			row = append(row, optCell(analysis.In(phase, "noise_scale")(&r.Run), 1))
		}
		if s.Target != nil {
			row = append(row, optCell(s.steps(&r.Run), 1))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// optCell shows a number, times scale; it is sorted by the number itself.
func optCell(o record.Opt, scale float64) Cell {
	x, ok := o.Get()
	if !ok {
		return Cell{}
	}
	if scale == 100 {
		return numberCell(x, strconv.FormatFloat(100*x, 'f', 2, 64))
	}
	return numberCell(x, number(x))
}

// Batches is the table of the first screen: each batch size at its best setting.
func (s *Section) Batches() Table {
	t := Table{Columns: []Column{{Title: "batch"}, {Title: "best rate"}, {Title: s.Goal.Name}, {Title: "p against the best", Hint: "of a t-test paired by seed"},
		{Title: "noise scale, end"}, {Title: "steps to target"}, {Title: "samples to target"}}}
	rows := map[int]analysis.BatchRow{}
	for _, row := range s.Rows {
		rows[row.Batch] = row
	}
	for _, g := range s.bestOfBatch() {
		goal, _ := g.Mean(s.Goal.Of)
		cells := []Cell{
			numberCell(float64(g.Setting.Batch), strconv.Itoa(g.Setting.Batch)), numberCell(g.Setting.LR, number(g.Setting.LR)),
			numberCell(goal.Mean, s.goalWords(goal)), s.pCell(g),
			estimateCell(estimated{scale: 1, of: func(g *analysis.Group) (analysis.Estimate, bool) { return g.NoiseScale(analysis.End) }}, g),
		}
		row := rows[g.Setting.Batch]
		for _, e := range []analysis.Estimate{row.Steps, row.Samples} {
			if row.Group == nil {
				cells = append(cells, Cell{Text: "not reached"})
				continue
			}
			cells = append(cells, numberCell(e.Mean, withError(e, 1)))
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// Configuration lists the settings that all runs of the section share.
func (s *Section) Configuration() []analysis.Field {
	list := append([]analysis.Field{}, s.Problem.Fixed...)
	add := func(name string, of func(*Run) string) {
		seen := map[string]bool{}
		var values []string
		for _, r := range s.Runs {
			if v := of(r); v != "" && !seen[v] {
				seen[v] = true
				values = append(values, v)
			}
		}
		if len(values) > 0 {
			list = append(list, analysis.Field{Name: name, Value: clip(values)})
		}
	}
	setting := func(f func(analysis.Setting) string) func(*Run) string {
		return func(r *Run) string { return f(r.Setting) }
	}
	add("batch", setting(func(x analysis.Setting) string { return strconv.Itoa(x.Batch) }))
	add("lr", setting(func(x analysis.Setting) string { return number(x.LR) }))
	add("momentum", setting(func(x analysis.Setting) string { return number(x.Momentum) }))
	add("epochs", setting(func(x analysis.Setting) string { return positive(x.Epochs) }))
	add("steps", setting(func(x analysis.Setting) string { return positive(x.Steps) }))
	add("seed", func(r *Run) string { return strconv.FormatUint(r.Seed, 10) })
	add("parameters", func(r *Run) string { return positive(r.Params) })
	add("measure", func(r *Run) string { return r.Config.Measure })
	add("device", func(r *Run) string { return r.Device })
	add("sgflow", func(r *Run) string { return r.Version })
	return list
}

func positive(n int) string {
	if n < 1 {
		return ""
	}
	return strconv.Itoa(n)
}

// clip joins values, of many the first ones.
func clip(values []string) string {
	const most = 24
	text := ""
	for i, v := range values {
		if i == most {
			return fmt.Sprintf("%s, … (%d in all)", text, len(values))
		}
		if i > 0 {
			text += ", "
		}
		text += v
	}
	return text
}
