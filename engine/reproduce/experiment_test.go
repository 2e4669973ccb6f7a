package reproduce

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sgflow/engine/figure"
	"sgflow/engine/page"
	"sgflow/engine/request"
)

func TestExperimentsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for _, e := range Experiments {
		if !name.MatchString(e.Name) || e.Name == "all" || e.Name == "list" || seen[e.Name] {
			t.Errorf("%q is no name, or a second one", e.Name)
		}
		seen[e.Name] = true
		for field, text := range map[string]string{
			"Claim": e.Claim, "Source": e.Source, "Paper": e.Paper, "Setting": e.Setting, "Differs": e.Differs,
		} {
			if len(strings.Fields(text)) < 2 {
				t.Errorf("%s: %s is %q", e.Name, field, text)
			}
		}
		if !strings.HasSuffix(e.Claim, ".") {
			t.Errorf("%s: the claim %q is no sentence", e.Name, e.Claim)
		}
		if !regexp.MustCompile(`\b(19|20)\d\d\b`).MatchString(e.Source) {
			t.Errorf("%s: the source %q has no year", e.Name, e.Source)
		}
		if e.Run == nil {
			t.Errorf("%s cannot be run", e.Name)
		}
	}
}

func TestLookupTakesNamesOnceAndNamesTheNearest(t *testing.T) {
	all, err := Lookup("all", Experiments[0].Name)
	if err != nil || len(all) != len(Experiments) {
		t.Errorf("all are %d experiments, %v", len(all), err)
	}
	some, err := Lookup("hessian-outliers", "edge-of-stability", "hessian-outliers")
	if err != nil || len(some) != 2 || some[0].Name != "hessian-outliers" || some[1].Name != "edge-of-stability" {
		t.Errorf("%v, %v", some, err)
	}
	_, err = Lookup("edge-of-stabilty")
	var wrong *request.Error
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "did you mean edge-of-stability?") {
		t.Errorf("%v", err)
	}
}

// fake is an experiment that finds what it is told to.
func fake(o *Outcome) *Experiment {
	return &Experiment{
		Name: "fake", Claim: "Fakes are <found>.", Source: "Nobody 2000", Paper: "17 somewhere", Setting: "a test", Differs: "all of it",
		Run: func(context.Context, *Lab) (*Outcome, error) { return o, nil },
	}
}

func TestResultIsPrintedAndWritten(t *testing.T) {
	l := smallLab(t, 1)
	x, y := []float64{1, 2, 3}, []float64{2, 4, 8}
	o := &Outcome{
		Verdict: Contradicted, Why: "16 is not 17.",
		Measured: []Finding{Over("number of fakes", []float64{15, 16, 17}, "17"), Over("single", []float64{5}, "")},
		Charts:   []page.Chart{{Name: "fakes", Title: "Fakes", Chart: figure.Chart{X: figure.Axis{Label: "x"}, Y: figure.Axis{Label: "y"}, Series: []figure.Series{marked("f", x, y)}}}},
		Tables:   []page.Table{{Title: "All fakes", Head: []string{"which"}, Rows: [][]page.Cell{{page.Word("the third")}}}},
	}
	r, err := fake(o).Check(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := r.Save(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := r.Text(path)
	for _, want := range []string{"CONTRADICTED", "Fakes are <found>.", "Nobody 2000", "17 somewhere", "a test", "all of it", "number of fakes", "16 ", "± 0.58", "16 is not 17.", "seeds 0, 1, 2", path} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if len([]rune(line)) > lineWidth+2 && !strings.Contains(line, path) {
			t.Errorf("line of %d characters: %q", len([]rune(line)), line)
		}
	}
	html, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Contradicted: Fakes are &lt;found&gt;.", "16 is not 17.", "Nobody 2000", "the third", `data-chart="fakes"`, "16 ± 0.58"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, name := range []string{"fakes.png", "fakes.svg"} {
		if _, err := os.Stat(filepath.Join(dir, "fake", name)); err != nil {
			t.Error(err)
		}
	}
	file, err := os.ReadFile(filepath.Join(dir, "fake", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var j JSON
	if err := json.Unmarshal(file, &j); err != nil {
		t.Fatal(err)
	}
	if e, _ := j.Measured[0].Stderr.Get(); j.Verdict != Contradicted || j.Measured[0].Mean != 16 || math.Abs(e-1/math.Sqrt(3)) > 1e-15 || !j.Quick || len(j.Seeds) != 3 || j.Page != path {
		t.Errorf("%+v", j)
	}
	if _, ok := j.Measured[1].Stderr.Get(); ok {
		t.Error("a single value has a standard error")
	}
	if table := Summary([]*Result{r, r}); strings.Count(table, "fake ") != 2 || !strings.Contains(table, "2 contradicted in ") {
		t.Errorf("the table of two results is\n%s", table)
	}
	summary, err := SaveSummary(dir, []*Result{r})
	if err != nil {
		t.Fatal(err)
	}
	html, err = os.ReadFile(summary)
	if err != nil || !strings.Contains(string(html), `<a href="fake/index.html">`) || !strings.Contains(string(html), "1 contradicted") {
		t.Errorf("the summary has no link to the page or no count: %v", err)
	}
}

func TestCheckRefusesWhatCannotBePrinted(t *testing.T) {
	good := []Finding{Over("x", []float64{1, 2}, "")}
	for name, o := range map[string]*Outcome{
		"no verdict": {Why: "so", Measured: good},
		"no reason":  {Verdict: Confirmed, Measured: good},
		"nothing":    {Verdict: Confirmed, Why: "so"},
		"NaN":        {Verdict: Confirmed, Why: "so", Measured: []Finding{Over("x", []float64{1, math.NaN()}, "")}},
	} {
		if _, err := fake(o).Check(context.Background(), smallLab(t, 1)); err == nil || !strings.HasPrefix(err.Error(), "reproduce: fake: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
