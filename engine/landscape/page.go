package landscape

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"

	"sgflow/engine/figure"
	"sgflow/engine/page"
	"sgflow/engine/record"
)

// page returns the page of the result. It holds pictures within itself.
func (r *Result) page(gif []byte) (*page.Page, error) {
	p := &page.Page{Kind: "landscape", Title: r.where(), Answer: r.answer(), Facts: r.facts()}
	if r.Config.Dims == 2 {
		s := page.Section{Title: "The surface", Text: r.reading()}
		for _, f := range r.figures() {
			drawn, err := f.contours.Draw(f.title...)
			if err != nil {
				return nil, err
			}
			picture, err := inline(drawn, f.title[0])
			if err != nil {
				return nil, err
			}
			s.HTML += picture
		}
		p.Sections = append(p.Sections, s)
		if len(gif) > 0 {
			p.Sections = append(p.Sections, page.Section{
				Title: "The paths as they go", Text: []string{"Both on the same clock, t = Σ η: a step at rate η is a time η, whatever it costs."},
				HTML: template.HTML(`<img alt="the paths growing over the contours" style="max-width:100%" src="data:image/gif;base64,` +
					base64.StdEncoding.EncodeToString(gif) + `">`),
			})
		}
	} else {
		s := page.Section{Title: "The surface", Text: r.reading()}
		for i, c := range r.lines() {
			s.Charts = append(s.Charts, page.Chart{Name: []string{lossName, accuracyName}[i], Title: r.title(c.Y.Label), Chart: c, How: "θ(a) = θ₀ + a·d, evaluated at every point of the grid on all the samples."})
		}
		p.Sections = append(p.Sections, s)
	}
	if len(r.Paths) > 0 {
		p.Sections = append(p.Sections, r.pathSection())
	}
	p.Sections = append(p.Sections, r.directionSection())
	return p, nil
}

// facts are the numbers that open the page.
func (r *Result) facts() []page.Fact {
	facts := []page.Fact{{Label: "loss at the point", Value: fmt.Sprintf("%.4g", r.Center.Loss), Note: r.About}}
	if a, ok := r.Center.Accuracy.Get(); ok {
		facts[0].Note += fmt.Sprintf("; accuracy %.2f %%", 100*a)
	}
	facts = append(facts, page.Fact{Label: "lowest on the " + r.shape(), Value: fmt.Sprintf("%.4g", r.lowest()), Note: fmt.Sprintf("of %d points", len(r.Loss)*len(r.X))})
	if share, ok := r.Share.Get(); ok {
		facts = append(facts, page.Fact{Label: "of the paths on the " + r.shape(), Value: fmt.Sprintf("%.3g %%", 100*share), Note: "of the squared distances of their points from it"})
	}
	for _, a := range r.Apart {
		facts = append(facts, page.Fact{Label: "distance of the ends", Value: fmt.Sprintf("%.4g", a.Distance), Note: a.A + " and " + a.B})
	}
	if barrier, ok := r.Barrier(); ok {
		facts = append(facts, page.Fact{Label: "barrier", Value: fmt.Sprintf("%.3g", barrier), Note: "above the straight line between the ends' losses"})
	}
	if r.Gaps > 0 {
		facts = append(facts, page.Fact{Label: "gaps", Value: fmt.Sprint(r.Gaps), Note: "points of the grid where the loss is not finite; drawn grey"})
	}
	return facts
}

// reading says how to read the slice, and what not to read in it.
func (r *Result) reading() []string {
	text := []string{fmt.Sprintf("The model has %d parameters and the picture %d: what is off the %s is not drawn.", r.Params, r.Config.Dims, r.shape())}
	switch r.Config.Directions {
	case PCA:
		text = append(text, "A path falls on the nearest point of the slice, where the loss differs from its own; principal components of a long path look like smooth curves even for a random walk (Antognini & Sohl-Dickstein 2018, arXiv:1806.08805), so read the shares before the shapes.")
	case Random:
		text = append(text, "Random directions, each filter scaled to the norm of the weights' (Li et al. 2018, arXiv:1712.09913), so that slices of different networks can be compared; of the sharpest directions, which are few, they hold next to nothing.")
	case Eigen:
		text = append(text, "The directions in which the loss bends most: along most others it is far flatter.")
	}
	return text
}

// pathSection shows the paths over time and in numbers.
func (r *Result) pathSection() page.Section {
	s := page.Section{Title: "The paths"}
	s.Charts = []page.Chart{
		{Name: "path-loss", Title: "loss along the paths", Chart: r.overTime("loss", true, func(q *PathPoint) record.Opt { return q.Loss }),
			Caption: []string{"At the paths' own points, not where they fall on the slice."}},
		{Name: "path-off", Title: "distance from the " + r.shape(), Chart: r.overTime("distance from the "+r.shape(), false, func(q *PathPoint) record.Opt { return record.Some(q.Off) }),
			How: "‖θ − θ₀ − Σ aⱼdⱼ‖, a by least squares"},
	}
	t := page.Table{Title: "Paths", Head: []string{"path", "stored points", "steps", "time", "way, at least", "from start to end", "way / that", "loss at the end", "accuracy at the end", "end's distance from the " + r.shape()}}
	for i := range r.Paths {
		p := &r.Paths[i]
		last := &p.Points[len(p.Points)-1]
		row := []page.Cell{page.Word(p.Name), page.Number(float64(len(p.Points))), page.Number(float64(last.Step)), page.Number(last.Time),
			page.Number(p.Length), page.Number(p.Displacement), page.Word(""), optional(last.Loss), optional(last.Accuracy), page.Number(last.Off)}
		if p.Displacement > 0 {
			row[6] = page.Number(p.Length / p.Displacement)
		}
		t.Rows = append(t.Rows, row)
	}
	s.Tables = []page.Table{t}
	return s
}

// directionSection shows the directions in numbers.
func (r *Result) directionSection() page.Section {
	t := page.Table{Title: "Directions", Head: []string{"direction", "norm", "share of the squared distances", "eigenvalue", "residual"}}
	for j, d := range r.Directions {
		t.Rows = append(t.Rows, []page.Cell{page.Word(fmt.Sprintf("%d, %s", j+1, d.Kind)), page.Number(d.Norm), optional(d.Share), optional(d.Eigenvalue), optional(d.Residual)})
	}
	s := page.Section{Title: "The directions", Tables: []page.Table{t}}
	if c, ok := r.Cosine.Get(); ok {
		s.Text = append(s.Text, fmt.Sprintf("The cosine of the angle between them is %.3g.", c))
	}
	if len(r.Shares) > 2 {
		series := figure.Series{Label: "share", Line: true, Marks: true}
		for i, share := range r.Shares {
			if i < 30 {
				series.Points = append(series.Points, figure.Point{X: float64(i + 1), Y: share})
			}
		}
		s.Charts = append(s.Charts, page.Chart{
			Name: "shares", Title: "shares of the principal components",
			Chart:  figure.Chart{X: figure.Axis{Label: "component"}, Y: figure.Axis{Label: "share of the squared distances", Log: true}, Series: []figure.Series{series}},
			How:    "λⱼ/Σλ of the matrix of products of the points' differences from the slice's point",
			Source: "Li et al. 2018, arXiv:1712.09913, §7.1; differences from the last point, not the mean",
		})
	}
	return s
}

func optional(x record.Opt) page.Cell {
	if v, ok := x.Get(); ok {
		return page.Number(v)
	}
	return page.Word("")
}

// inline returns the figure as an element of a page: as PNG, whose text does not
// depend on the fonts of who looks at it.
func inline(f *figure.Figure, what string) (template.HTML, error) {
	var b bytes.Buffer
	if err := f.WritePNG(&b); err != nil {
		return "", err
	}
	return template.HTML(`<img alt="` + template.HTMLEscapeString(what) + `" style="width:100%;max-width:960px" src="data:image/png;base64,` +
		base64.StdEncoding.EncodeToString(b.Bytes()) + `">`), nil
}

func sortPoints(points []figure.Point) {
	slices.SortStableFunc(points, func(a, b figure.Point) int { return cmp.Compare(a.X, b.X) })
}
