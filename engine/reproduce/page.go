package reproduce

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"sgflow/engine/page"
	"sgflow/engine/record"
)

// pageName is the file name of pages without its extension.
const pageName = "index"

// Page is the result as a page.
func (r *Result) Page() *page.Page {
	e, o := r.Experiment, r.Outcome
	found := page.Table{Title: "Means over seeds with standard errors", Head: []string{"measured", "ours", "seeds", "paper"}}
	for _, f := range o.Measured {
		found.Rows = append(found.Rows, []page.Cell{
			page.Word(f.Name), page.Measured(f.Mean, f.Stderr), page.Number(float64(f.N)), page.Word(f.Paper),
		})
	}
	charts := make([]page.Chart, len(o.Charts))
	for i, c := range o.Charts {
		if c.Source == "" {
			c.Source = e.Source
		}
		charts[i] = c
	}
	return &page.Page{
		Kind: "reproduce", Title: e.Name, Answer: fmt.Sprintf("%s: %s", capital(string(o.Verdict)), e.Claim),
		Facts: []page.Fact{
			{Label: "verdict", Value: string(o.Verdict)},
			{Label: "seeds", Value: fmt.Sprint(len(r.Seeds)), Note: r.run()},
		},
		Sections: []page.Section{
			{Title: "Verdict", Text: []string{o.Why}, Tables: []page.Table{found}},
			{Title: "Claim", Text: []string{
				"Claim: " + e.Claim, "Source: " + e.Source, "In the paper: " + e.Paper, "Here: " + e.Setting, "What differs: " + e.Differs,
			}},
			{Title: "Measurements", Charts: charts, Tables: o.Tables},
		},
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// Save writes the page with its plots and result.json to the folder dir/NAME, and
// returns the page's path.
func (r *Result) Save(dir string) (path string, err error) {
	dir = filepath.Join(dir, r.Experiment.Name)
	path = filepath.Join(dir, pageName+".html")
	if err := r.Page().Save(dir, pageName); err != nil {
		return "", err
	}
	return path, record.WriteFileAtomic(filepath.Join(dir, "result.json"), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(r.JSON(path))
	})
}

// SaveSummary writes a page that leads to those of the results to the folder, and
// returns its path.
func SaveSummary(dir string, results []*Result) (path string, err error) {
	t := page.Table{Title: "Experiments", Head: []string{"experiment", "verdict", "why", "source", "seconds"}}
	var links strings.Builder
	links.WriteString("<ul>")
	for _, r := range results {
		e := r.Experiment
		t.Rows = append(t.Rows, []page.Cell{
			page.Word(e.Name), page.Word(string(r.Outcome.Verdict)), page.Word(r.Outcome.Why), page.Word(e.Source), page.Number(r.Seconds),
		})
		name := template.HTMLEscapeString(e.Name)
		fmt.Fprintf(&links, `<li><a href="%s/%s.html">%s</a>: %s</li>`, name, pageName, name, template.HTMLEscapeString(e.Claim))
	}
	links.WriteString("</ul>")
	p := &page.Page{
		Kind: "reproduce", Title: "Published results", Answer: "Published results: " + tally(results),
		Sections: []page.Section{
			{Title: "Verdicts", Tables: []page.Table{t}},
			{Title: "Pages", HTML: template.HTML(links.String())},
		},
	}
	return filepath.Join(dir, pageName+".html"), p.Save(dir, pageName)
}
