// Package page writes results as one HTML file that needs nothing else: an answer
// in a sentence, facts, plots that show what is pointed at, zoom and follow the
// theme, and tables that sort. It prints on paper too.
//
// A [Page] is plain values; [Page.Save] writes it, and its charts as PNG and SVG
// beside it. Package report has a page of its own and takes [Style] and [Script]
// from here.
package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"sgflow/engine/figure"
	"sgflow/engine/record"
)

//go:embed assets
var assets embed.FS

var document = template.Must(template.ParseFS(assets, "assets/page.html"))

// Page is what a page shows.
type Page struct {
	Kind     string // of page, for its head: "flow"
	Title    string // what was examined
	Answer   string // opens the page
	Facts    []Fact
	Sections []Section
}

// Fact is a number that a reader looks for first.
type Fact struct{ Label, Value, Note string }

// Section is a part of a page.
type Section struct {
	Title  string
	Text   []string // paragraphs
	Charts []Chart
	HTML   template.HTML // what is neither text nor chart nor table
	Tables []Table
}

// Chart is a figure with what a reader needs to trust it.
type Chart struct {
	Name    string // of its files, and unique in the page
	Title   string
	Caption []string // what it shows
	How     string   // the formula
	Source  string
	figure.Chart
}

// Table is a table that sorts by any column; its first column is text.
type Table struct {
	Title string
	Head  []string
	Rows  [][]Cell
}

// Cell is a text and the number that it sorts by, as text; "" for words.
type Cell struct{ Text, Sort string }

// Word is a cell that is no number.
func Word(text string) Cell { return Cell{Text: text} }

// Number is a cell of a number, printed to four digits.
func Number(x float64) Cell { return Cell{fmt.Sprintf("%.4g", x), strconv.FormatFloat(x, 'g', -1, 64)} }

// Measured is a cell of a number with its standard error, if it has one.
func Measured(x float64, stderr record.Opt) Cell {
	c := Number(x)
	if e, ok := stderr.Get(); ok {
		c.Text += fmt.Sprintf(" ± %.2g", e)
	}
	return c
}

// Style is the style sheet of pages, that of the plots included.
func Style() string { return asset("uplot/uPlot.min.css") + asset("page.css") }

// Script draws the charts that the element "data" holds as JSON,
// {"charts": [{"name", "chart"}]}, into the figures with their names in
// data-chart, and makes the tables of class sortable sort.
func Script() string {
	return asset("uplot/uPlot.iife.min.js") + "\n" + asset("charts.js") + asset("page.js")
}

func asset(name string) string {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(b)
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	type named struct {
		Name  string `json:"name"`
		Chart any    `json:"chart"`
	}
	charts := []named{}
	for _, s := range p.Sections {
		for _, c := range s.Charts {
			charts = append(charts, named{c.Name, c.Chart})
		}
	}
	data, err := json.Marshal(map[string]any{"charts": charts}) // escapes <, > and &, so that it cannot end its element
	if err != nil {
		return fmt.Errorf("page: encoding the charts: %w", err)
	}
	err = document.Execute(w, map[string]any{
		"Page": p, "CSS": template.CSS(Style()), "JS": template.JS(Script()), "Data": template.JS(data),
	})
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	return nil
}

// Save writes the page to dir/name.html and every chart to dir/NAME.png and
// dir/NAME.svg, each replaced as a whole.
func (p *Page) Save(dir, name string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("page: %w", err)
	}
	if err := record.WriteFileAtomic(filepath.Join(dir, name+".html"), p.Write); err != nil {
		return err
	}
	for _, s := range p.Sections {
		for _, c := range s.Charts {
			f, err := c.Draw(c.Title, p.Title)
			if err != nil {
				return err
			}
			if err := f.Save(filepath.Join(dir, c.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}
