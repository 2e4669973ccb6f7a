package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"sgflow/engine/analysis"
	"sgflow/engine/figure"
	"sgflow/engine/measure"
	"sgflow/engine/record"
)

// Chart is a figure with what a reader needs to trust it.
type Chart struct {
	Name    string // of its files
	Topic   Topic
	Title   string
	Caption []string // what it shows, what was fitted
	How     string   // the formula
	Source  string
	figure.Chart
}

// Topic is a heading, and a word for it.
type Topic struct{ Title, Word string }

// The topics.
var (
	topicTarget   = Topic{"Steps and samples to the target", "Target"}
	topicNoise    = Topic{"Noise of the gradient", "Noise"}
	topicFlatness = Topic{"Flatness of the loss", "Flatness"}
	topicAccuracy = Topic{"Test accuracy and temperature", "Accuracy"}
	topicGap      = Topic{"Generalisation gap", "Gap"}
)

// topics are in the order of the page.
var topics = []Topic{topicTarget, topicNoise, topicFlatness, topicAccuracy, topicGap}

// abscissa is what settings are drawn against.
type abscissa struct {
	name, label string
	of          func(analysis.Setting) float64
	// family names the series that a setting belongs to.
	family func(*Section, analysis.Setting) string
}

var (
	byBatch = abscissa{"batch", "batch size", func(x analysis.Setting) float64 { return float64(x.Batch) }, (*Section).rateFamily}
	byRate  = abscissa{"rate", "learning rate", func(x analysis.Setting) float64 { return x.LR }, (*Section).batchFamily}
	byHeat  = abscissa{"temperature", "temperature lr/(batch·(1 − momentum))", analysis.Setting.Temperature, (*Section).batchFamily}
)

func (s *Section) rateFamily(x analysis.Setting) string {
	return "rate " + number(x.LR) + s.restFamily(x)
}

func (s *Section) batchFamily(x analysis.Setting) string {
	return fmt.Sprintf("batch %d", x.Batch) + s.restFamily(x)
}

func (s *Section) restFamily(x analysis.Setting) string {
	text := s.settingWords(x)
	text = strings.TrimPrefix(text, fmt.Sprintf("batch %d, rate %s", x.Batch, number(x.LR)))
	return text
}

// quantity is what is drawn.
type quantity struct {
	name, title, label string
	topic              Topic
	log                bool
	scale              float64 // factor of the axis
	of                 func(*analysis.Group) (analysis.Estimate, bool)
	sample             func(*analysis.Run) record.Opt // of one run, for the fits; nil for none
	how, source        string
}

// meanOf is a quantity that is a mean over runs.
func meanOf(q quantity, f func(*analysis.Run) record.Opt) quantity {
	q.of = func(g *analysis.Group) (analysis.Estimate, bool) { return g.Mean(f) }
	q.sample = f
	if q.scale == 0 {
		q.scale = 1
	}
	return q
}

const (
	mccandlish = "McCandlish et al. 2018, arXiv:1812.06162"
	tenths     = "Start, middle and end are means over the first tenth of a run's steps, the tenth around the middle and the last tenth; points are means over seeds, bars one standard error."
)

// flatness are the quantities of flatness, at the end of runs, as the registry of
// what is measured defines them.
func flatness() []quantity {
	var list []quantity
	for _, q := range []quantity{
		{name: "lambda_max", title: "Largest eigenvalue of the Hessian", label: "lambda_max at the end"},
		{name: "trace", title: "Trace of the Hessian", label: "tr H at the end"},
		{name: "batch_sharpness", title: "Batch sharpness", label: "ḡᵀHḡ/‖ḡ‖² at the end"},
	} {
		q.topic, q.log = topicFlatness, true
		formula, source := defined(q.name)
		q.how, q.source = q.name+": "+formula+". "+tenths, source
		list = append(list, meanOf(q, analysis.In(analysis.End, q.name)))
	}
	return list
}

// defined returns formula and source of a quantity.
func defined(name string) (formula, source string) {
	for _, q := range measure.Quantities() {
		if q.Name == name {
			return q.Formula, q.Source
		}
	}
	return "", ""
}

func accuracy() quantity {
	return meanOf(quantity{
		name: "test_accuracy", topic: topicAccuracy, title: "Test accuracy", label: "test accuracy, %", scale: 100,
		how: "Share of the test set classified rightly after the last step, mean over seeds; bars are one standard error.",
	}, func(r *analysis.Run) record.Opt { return r.Final.TestAccuracy })
}

func gaps() []quantity {
	return []quantity{
		meanOf(quantity{
			name: "loss_gap", topic: topicGap, title: "Test loss − training loss", label: "test loss − training loss",
			how: "Loss of the test set after the last step less the mean training loss over the last epoch (during which the weights still moved), mean over seeds; bars are one standard error.",
		}, func(r *analysis.Run) record.Opt { return r.Final.Gap() }),
		meanOf(quantity{
			name: "accuracy_gap", topic: topicGap, title: "Training accuracy − test accuracy", label: "training − test accuracy, %", scale: 100,
			how: "Mean training accuracy over the last epoch less accuracy on the test set after the last step, mean over seeds; bars are one standard error.",
		}, func(r *analysis.Run) record.Opt { return r.Final.AccuracyGap() }),
	}
}

// charts are all charts of the section that have something to show.
func (s *Section) charts() []*Chart {
	var list []*Chart
	add := func(charts ...*Chart) {
		for _, c := range charts {
			if c != nil {
				list = append(list, c)
			}
		}
	}
	add(s.tradeOffChart(), s.stepsChart(), s.noiseScaleChart())
	for _, part := range [][2]string{{"grad_var_trace", "tr Σ"}, {"grad_norm_sq_unbiased", "|G|²"}} {
		add(s.phasesChart(part[0], part[1]))
	}
	for _, q := range flatness() {
		add(s.against(byBatch, q), s.against(byRate, q), s.against(byHeat, q))
	}
	add(s.accuracyChart(), s.against(byBatch, accuracy()), s.against(byRate, accuracy()))
	for _, q := range gaps() {
		add(s.against(byBatch, q), s.against(byHeat, q))
	}
	for _, c := range list {
		c.Name = s.Name + "-" + c.Name
	}
	return list
}

// point is an estimate as a point, its bar one standard error.
func (s *Section) point(x float64, e analysis.Estimate, scale float64, what string) figure.Point {
	p := figure.Point{X: x, Y: e.Mean * scale, Note: fmt.Sprintf("%s, %s", what, count(e.N, "seed", "seeds"))}
	if stderr, ok := e.Stderr.Get(); ok {
		low, high := (e.Mean-stderr)*scale, (e.Mean+stderr)*scale
		if !math.IsInf(low, 0) && !math.IsInf(high, 0) {
			p.Low, p.High = record.Some(low), record.Some(high)
		}
	}
	return p
}

// against draws a quantity against an abscissa, a series for each family; nil
// where there are not two abscissas, or the runs have no temperature.
func (s *Section) against(x abscissa, q quantity) *Chart {
	if x.name == byHeat.name && !s.thermal() {
		return nil
	}
	c := &Chart{Name: q.name + "-" + x.name, Topic: q.topic, Title: q.title + " against " + x.name, How: q.how, Source: q.source}
	c.X, c.Y = figure.Axis{Label: x.label, Log: true}, figure.Axis{Label: q.label, Log: q.log}
	if x.name == byBatch.name {
		c.X = s.batchAxis()
	}
	samples := map[string][]analysis.Sampled{}
	var all []analysis.Sampled
	abscissas := map[float64]bool{}
	for _, g := range s.Problem.Groups {
		e, ok := q.of(g)
		if !ok {
			continue
		}
		at := x.of(g.Setting)
		abscissas[at] = true
		family := x.family(s, g.Setting)
		series := c.series(family)
		series.Line, series.Marks = true, true
		series.Points = append(series.Points, s.point(at, e, q.scale, s.settingWords(g.Setting)))
		for _, r := range g.Runs {
			if y, ok := q.sample(r).Get(); ok {
				samples[family] = append(samples[family], analysis.Sampled{X: at, Y: y, Seed: r.Seed})
				all = append(all, analysis.Sampled{X: at, Y: y, Seed: r.Seed})
			}
		}
	}
	if len(abscissas) < 2 {
		return nil
	}
	c.sort()
	if !q.log {
		return c
	}
	if lowest(c.Series) <= 0 {
		c.Y.Log = false
	}
	if x.name == byHeat.name {
		if fit, ok := analysis.FitPowerLaw(all); ok {
			c.Caption = append(c.Caption, powerWords("all settings", x.name, fit))
			c.Series = append(c.Series, lawSeries("power law", fit, c.Series))
		}
		return c
	}
	for _, series := range c.Series {
		if fit, ok := analysis.FitPowerLaw(samples[series.Label]); ok {
			c.Caption = append(c.Caption, powerWords(series.Label, x.name, fit))
		}
	}
	return c
}

// series returns the series of that label, new at the end where there is none.
// The pointer is good until the next call.
func (c *Chart) series(label string) *figure.Series {
	for i := range c.Series {
		if c.Series[i].Label == label {
			return &c.Series[i]
		}
	}
	c.Series = append(c.Series, figure.Series{Label: label})
	return &c.Series[len(c.Series)-1]
}

// sort sorts the points of every series.
func (c *Chart) sort() {
	for _, s := range c.Series {
		slices.SortStableFunc(s.Points, func(a, b figure.Point) int { return cmp.Compare(a.X, b.X) })
	}
}

func lowest(series []figure.Series) float64 {
	least := math.Inf(1)
	for _, s := range series {
		for _, p := range s.Points {
			least = min(least, p.Y)
		}
	}
	return least
}

// powerWords words a power law.
func powerWords(what, x string, l *analysis.PowerLaw) string {
	text := fmt.Sprintf("%s: grows as %s to the power %s", what, x, signed(l.Exponent.Value))
	low, okLow := l.Exponent.Low.Get()
	high, okHigh := l.Exponent.High.Get()
	if okLow && okHigh {
		text += fmt.Sprintf(" (95 %%: %s to %s; %s)", signed(low), signed(high), l.Quality.Method)
	}
	if r2, ok := l.Quality.R2.Get(); ok {
		text += fmt.Sprintf(", R² %.2f", r2)
	}
	if l.Quality.Verdict != analysis.Good {
		text += fmt.Sprintf(". A %s fit: %s", l.Quality.Verdict, strings.Join(l.Quality.Reasons, "; "))
	}
	return text + "."
}

// lawSeries is a power law over the abscissas of the series.
func lawSeries(label string, l *analysis.PowerLaw, series []figure.Series) figure.Series {
	low, high := math.Inf(1), 0.0
	for _, s := range series {
		for _, p := range s.Points {
			low, high = min(low, p.X), max(high, p.X)
		}
	}
	return curve(label, low, high, func(x float64) float64 { return l.Factor * math.Pow(x, l.Exponent.Value) })
}

// curve is f between low and high, evenly in log x.
func curve(label string, low, high float64, f func(float64) float64) figure.Series {
	const n = 60
	s := figure.Series{Label: label, Line: true, Dashed: true}
	for i := range n + 1 {
		x := low * math.Pow(high/low, float64(i)/n)
		if y := f(x); !math.IsNaN(y) && !math.IsInf(y, 0) {
			s.Points = append(s.Points, figure.Point{X: x, Y: y})
		}
	}
	return s
}
