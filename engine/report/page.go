package report

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"

	"sgflow/engine/analysis"
	"sgflow/engine/page"
)

//go:embed assets
var assets embed.FS

var document = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"topics": func() []Topic { return topics },
}).ParseFS(assets, "assets/page.html"))

// WritePage writes the report as one HTML file that needs nothing else.
func (r *Report) WritePage(w io.Writer) error {
	explorer, err := assets.ReadFile("assets/explorer.js")
	if err != nil {
		panic(err) // it is embedded
	}
	data, err := json.Marshal(r.data()) // escapes <, > and &, so that it cannot end its element
	if err != nil {
		return fmt.Errorf("report: encoding the page's data: %w", err)
	}
	err = document.Execute(w, map[string]any{
		"Report": r,
		"Title":  r.title(),
		"CSS":    template.CSS(page.Style()),
		"JS":     template.JS(page.Script() + string(explorer)),
		"Data":   template.JS(data),
	})
	if err != nil {
		return fmt.Errorf("report: writing the page: %w", err)
	}
	return nil
}

// title is the page's.
func (r *Report) title() string {
	if len(r.Sections) == 1 {
		return r.Sections[0].Title
	}
	return count(len(r.Sections), "problem", "problems")
}

// On returns the section's charts on a topic.
func (s *Section) On(topic Topic) []*Chart {
	var list []*Chart
	for _, c := range s.Charts {
		if c.Topic == topic {
			list = append(list, c)
		}
	}
	return list
}

// pageData is what the page's script draws.
type pageData struct {
	Charts   []chartData   `json:"charts"`
	Sections []sectionData `json:"sections"`
}

type chartData struct {
	Name  string `json:"name"`
	Chart any    `json:"chart"`
}

type sectionData struct {
	Name string    `json:"name"`
	Runs []runData `json:"runs"`
}

// runData is a run's curve.
type runData struct {
	Name     string  `json:"name"`
	Label    string  `json:"label"`
	Batch    int     `json:"batch"`
	LR       float64 `json:"lr"`
	Momentum float64 `json:"momentum"`
	Heat     float64 `json:"temperature"`
	Seed     string  `json:"seed"` // as text: it has 64 bits
	Series   Series  `json:"series"`
}

// mostCurves is how many runs a section's page can show the steps of: with more,
// the first seed of each setting is taken, so that the page stays small.
const mostCurves = 200

func (r *Report) data() pageData {
	d := pageData{Charts: []chartData{}, Sections: []sectionData{}}
	for _, s := range r.Sections {
		for _, c := range s.Charts {
			d.Charts = append(d.Charts, chartData{c.Name, c.Chart})
		}
		d.Sections = append(d.Sections, sectionData{s.Name, s.curves()})
	}
	return d
}

// curves are the runs whose steps the page shows.
func (s *Section) curves() []runData {
	list := []runData{}
	seen := map[analysis.Setting]bool{}
	for _, r := range s.Runs {
		if len(r.Series.Steps) == 0 || len(s.Runs) > mostCurves && seen[r.Setting] {
			continue
		}
		seen[r.Setting] = true
		list = append(list, runData{
			Name: r.Name, Label: fmt.Sprintf("%s, seed %d", s.settingWords(r.Setting), r.Seed),
			Batch: r.Setting.Batch, LR: r.Setting.LR, Momentum: r.Setting.Momentum, Heat: r.Setting.Temperature(),
			Seed: fmt.Sprint(r.Seed), Series: r.Series,
		})
	}
	return list
}

// Thinned reports whether curves leaves runs out.
func (s *Section) Thinned() bool { return len(s.Runs) > mostCurves }

// HasCurves reports whether there are steps to show.
func (s *Section) HasCurves() bool { return len(s.curves()) > 0 }
