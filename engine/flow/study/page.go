package study

import (
	"fmt"
	"math"
	"strings"

	"sgflow/engine/analysis"
	"sgflow/engine/figure"
	"sgflow/engine/page"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// quantity is something that is drawn against time for every path.
type quantity struct {
	name, title, label string
	log                bool
	scale              float64
	how, source        string
}

// quantities are what is drawn, in the order of the page.
var quantities = []struct {
	title string
	list  []quantity
}{
	{"Loss and accuracy", []quantity{
		{name: "train_loss", title: "Training loss", label: "training loss", log: true, how: "Mean loss L(θ) of all training samples, which is what all paths descend."},
		{name: "test_loss", title: "Test loss", label: "test loss", log: true, how: "Mean loss of the test samples."},
		{name: "train_accuracy", title: "Training accuracy", label: "training accuracy, %", scale: 100, how: "Share of the training samples that are classified rightly."},
		{name: "test_accuracy", title: "Test accuracy", label: "test accuracy, %", scale: 100, how: "Share of the test samples that are classified rightly."},
	}},
	{"Noise and curvature", []quantity{
		{name: "grad_var_trace", title: "Trace of the gradients' covariance", label: "tr Σ", log: true, how: "tr Σ = (1/N) Σ‖gᵢ − ∇L‖² over all training samples, of whose losses L is the mean: nothing is estimated."},
		{name: "noise_scale", title: "Noise scale", label: "tr Σ/‖∇L‖², samples", log: true, how: "tr Σ/‖∇L‖²: the batch size at which the noise of a mean gradient is as large as the gradient.", source: "McCandlish et al. 2018, arXiv:1812.06162"},
		{name: "lambda_max", title: "Largest eigenvalue of the Hessian", label: "lambda_max", log: true, how: "The largest eigenvalue of the Hessian of L, by Lanczos iteration to 3 % of it. Steps above 2/lambda_max are unstable along its eigenvector.", source: "Lanczos 1950, doi:10.6028/jres.045.026"},
		{name: "langevin_temperature", title: "Temperature of the noise", label: "temperature of Langevin dynamics", log: true, how: "η tr Σ/(2BP): the temperature 𝒯 of Langevin dynamics √(2η𝒯)z whose noise has the trace of the path's; of SGLD with its own temperature added.", source: "Mandt et al. 2017, arXiv:1704.04289"},
	}},
	{"Where the paths go", []quantity{
		{name: "distance_from_start", title: "Distance from the start", label: "‖θ − θ₀‖", how: "Distance in weights from the common initial point."},
	}},
}

// Page returns the page that shows the result.
func (r *Result) Page() *page.Page {
	p := &page.Page{
		Kind: "flow", Title: r.title(), Answer: r.Answer(),
		Facts: []page.Fact{
			{Label: "parameters", Value: fmt.Sprint(r.Params)},
			{Label: "training samples", Value: fmt.Sprint(r.Samples), Note: "all of the loss that the paths descend"},
			{Label: "time", Value: fmt.Sprintf("%.4g", r.end()), Note: fmt.Sprintf("%d steps of %g", r.Config.Steps, r.Config.LR)},
			{Label: "2/lambda_max at the start", Value: fmt.Sprintf("%.3g", 2/r.LambdaMax), Note: "longer steps are unstable"},
		},
	}
	seeds := fmt.Sprintf("Means over %d seeds of the noise, from one initial point; bars are one standard error.", r.Config.Seeds)
	apart := page.Section{Title: "How far the paths are apart", Text: []string{
		"Distances are between paths of the same seed at the same time. Two random paths are apart even where both have the same distribution: compare with the distance between two seeds of the first path, drawn too.",
	}}
	apart.Text = append(apart.Text, r.Warnings...)
	for _, kind := range []struct {
		name, title, label, how string
		of                      func(Distance) *analysis.Estimate
	}{
		{"weights", "in weights", "‖θ − θ′‖", "‖θ_a − θ_b‖. " + seeds, func(d Distance) *analysis.Estimate { return &d.Weights }},
		{"predictions", "in predictions", "root mean square of ‖p − p′‖", fmt.Sprintf("√((1/n) Σ‖p_a(x) − p_b(x)‖²) over %d test samples, p being %s. ", r.TestSamples, r.predictionWords()) + seeds, func(d Distance) *analysis.Estimate { return &d.Predictions }},
		{"energy", "between distributions of predictions", "energy distance", "2E‖p_a − p_b‖ − E‖p_a − p_a′‖ − E‖p_b − p_b′‖ over independent seeds: 0 just where both have one distribution (Székely & Rizzo 2013); estimated without bias, so that it may be negative. Bars are one standard error, by the jackknife.", func(d Distance) *analysis.Estimate { return d.PredictionsEnergy }},
	} {
		c := page.Chart{Name: "distance-" + kind.name, Title: "Distance from " + r.Paths[0].Name + " " + kind.title, How: kind.how}
		c.X, c.Y = figure.Axis{Label: "time t = Σ η"}, figure.Axis{Label: kind.label}
		for _, other := range r.Paths {
			s := figure.Series{Label: other.Name, Line: true, Marks: true}
			if other == r.Paths[0] {
				s.Label = "two seeds of " + other.Name
			}
			for _, d := range r.Distances {
				if e := kind.of(d); d.A == r.Paths[0].Name && d.B == other.Name && e != nil {
					s.Points = append(s.Points, point(d.Time, *e, 1))
				}
			}
			if len(s.Points) > 0 {
				c.Series = append(c.Series, s)
			}
		}
		if len(c.Series) > 0 {
			apart.Charts = append(apart.Charts, c)
		}
	}
	apart.Tables = r.matrices()
	p.Sections = append(p.Sections, apart)
	for _, group := range quantities {
		s := page.Section{Title: group.title}
		for _, q := range group.list {
			c := page.Chart{Name: q.name, Title: q.title, How: q.how + " " + seeds, Source: q.source}
			if q.name == "lambda_max" && r.Config.LambdaMax != lambdaAll {
				c.How = q.how + " Of the first seed."
			}
			c.X, c.Y = figure.Axis{Label: "time t = Σ η"}, figure.Axis{Label: q.label, Log: q.log}
			for _, path := range r.Paths {
				series := figure.Series{Label: path.Name, Line: true, Marks: true}
				for _, at := range path.Points {
					if e, ok := at.Values[q.name]; ok && !(q.log && e.Mean <= 0) {
						series.Points = append(series.Points, point(at.Time, e, max(q.scale, 1)))
					}
				}
				if len(series.Points) > 0 {
					c.Series = append(c.Series, series)
				}
			}
			if q.name == "lambda_max" && len(c.Series) > 0 {
				c.Series = append(c.Series, figure.Series{
					Label: fmt.Sprintf("2/η of η = %g", r.Config.LR), Line: true, Dashed: true,
					Points: []figure.Point{{X: 0, Y: 2 / r.Config.LR}, {X: r.end(), Y: 2 / r.Config.LR}},
				})
			}
			if len(c.Series) > 0 {
				s.Charts = append(s.Charts, c)
			}
		}
		p.Sections = append(p.Sections, s)
	}
	p.Sections = append(p.Sections, page.Section{Title: "At the end", Tables: []page.Table{r.table()}})
	return p
}

// point is an estimate as a point of a chart, its bar one standard error.
func point(x float64, e analysis.Estimate, scale float64) figure.Point {
	p := figure.Point{X: x, Y: e.Mean * scale}
	if stderr, ok := e.Stderr.Get(); ok {
		p.Low, p.High = record.Some((e.Mean-stderr)*scale), record.Some((e.Mean+stderr)*scale)
	}
	return p
}

func (r *Result) title() string {
	return fmt.Sprintf("Paths of %s on %s, %d samples", r.Config.Model, r.Config.Data, r.Samples)
}

func (r *Result) end() float64 { return float64(r.Config.Steps) * r.Config.LR }

func (r *Result) predictionWords() string {
	if r.Config.Loss == problem.CrossEntropy {
		return "the softmax of the logits"
	}
	return "the outputs"
}

// Answer says in a sentence or two which path is most like the first one.
func (r *Result) Answer() string {
	first := r.Paths[0]
	final := first.Final()
	if final == nil || len(r.Paths) < 2 {
		return fmt.Sprintf("%s is the only path: give others to compare it with.", first.Name)
	}
	nearest, least := "", math.Inf(1)
	var parts []string
	energies := true
	for _, p := range r.Paths[1:] {
		d, _ := r.Between(first.Name, p.Name)
		energies = energies && d.PredictionsEnergy != nil
	}
	for _, p := range r.Paths[1:] {
		d, _ := r.Between(first.Name, p.Name)
		e := d.Predictions
		if energies {
			e = *d.PredictionsEnergy
		}
		if e.Mean < least {
			nearest, least = p.Name, e.Mean
		}
		parts = append(parts, p.Name+" "+page.Measured(e.Mean, e.Stderr).Text)
	}
	if energies {
		return fmt.Sprintf("At t = %.4g the path whose predictions are distributed most like those of %s is %s (energy distance, 0 for the same distribution: %s).",
			final.Time, first.Name, nearest, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("At t = %.4g the path that predicts most like %s is %s (root mean square distance of predictions: %s). With --seeds 2 or more distributions are compared.",
		final.Time, first.Name, nearest, strings.Join(parts, ", "))
}

// matrices are the distances of all pairs at the end.
func (r *Result) matrices() []page.Table {
	var list []page.Table
	for _, kind := range []struct {
		title string
		of    func(Distance) *analysis.Estimate
	}{
		{"Distance in weights, at the end (between seeds on the diagonal)", func(d Distance) *analysis.Estimate { return &d.Weights }},
		{"Distance in predictions, at the end (between seeds on the diagonal)", func(d Distance) *analysis.Estimate { return &d.Predictions }},
		{"Energy distance in predictions, at the end (0 for the same distribution)", func(d Distance) *analysis.Estimate { return d.PredictionsEnergy }},
	} {
		t := page.Table{Title: kind.title, Head: []string{"path"}}
		some := false
		for _, a := range r.Paths {
			t.Head = append(t.Head, a.Name)
			row := []page.Cell{page.Word(a.Name)}
			for _, b := range r.Paths {
				cell := page.Word("–")
				if d, ok := r.Between(a.Name, b.Name); ok {
					if e := kind.of(d); e != nil {
						cell, some = page.Measured(e.Mean, e.Stderr), true
					}
				}
				row = append(row, cell)
			}
			t.Rows = append(t.Rows, row)
		}
		if some {
			list = append(list, t)
		}
	}
	return list
}

// columns are the names of what tables show of the last points.
var columns = []string{"train_loss", "train_accuracy", "test_loss", "test_accuracy", "noise_scale", "lambda_max", "langevin_temperature", "distance_from_start"}

// table has every path's last point.
func (r *Result) table() page.Table {
	t := page.Table{Title: "Means over seeds, with standard errors", Head: append([]string{"path"}, columns...)}
	for _, p := range r.Paths {
		row := []page.Cell{page.Word(p.Name)}
		final := p.Final()
		for _, name := range columns {
			cell := page.Word("–")
			if final != nil {
				if e, ok := final.Values[name]; ok {
					cell = page.Measured(e.Mean, e.Stderr)
				}
			}
			row = append(row, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Tables are those of the last points and of the distances between them, for people.
func (r *Result) Tables() []page.Table { return append([]page.Table{r.table()}, r.matrices()...) }
