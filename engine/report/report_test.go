package report

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// The made-up sweep has a known critical batch size, best temperature, exponent and
// noise scale, and the report finds them.
func TestReportFindsTheTruth(t *testing.T) {
	r := mustReport(t, sharedSweep(t))
	if len(r.Sections) != 1 || len(r.Notes) != 0 {
		t.Fatalf("%d sections, notes %q", len(r.Sections), r.Notes)
	}
	s := r.Sections[0]
	t.Log(s.Answer.Text)
	// A chosen target and counts of some tens of steps cost a few per cent.
	if s.TradeOff == nil || math.Abs(s.TradeOff.Critical.Value/criticalSize-1) > 0.1 || s.TradeOff.Quality.Verdict == analysis.Bad {
		t.Errorf("critical batch size %+v: %s", s.TradeOff, s.NoTradeOff)
	}
	if s.Peak == nil || math.Abs(s.Peak.X.Value/bestHeat-1) > 0.1 {
		t.Errorf("best temperature %+v: %s", s.Peak, s.NoPeak)
	}
	best := s.Ranking[0].Group.Setting
	if heat := best.Temperature(); heat < bestHeat/2 || heat > 2*bestHeat {
		t.Errorf("the best setting %+v has temperature %g", best, heat)
	}
	// tr Σ = 50 and |G|² from 1.5 to 0.2: means over the last tenth.
	if e, ok := s.Ranking[0].Group.NoiseScale(analysis.End); !ok || math.Abs(e.Mean/(50/(1.5*math.Exp(-1.9)))-1) > 0.05 {
		t.Errorf("noise scale %+v at the end", e)
	}
	for _, words := range []string{"Use batch ", "of 14 settings", "best test accuracy", "larger batches save few steps"} {
		if !strings.Contains(s.Answer.Text, words) {
			t.Errorf("%q lacks %q", s.Answer.Text, words)
		}
	}
	found := false
	for _, c := range s.Charts {
		if c.Name == "s1-lambda_max-batch" {
			for _, line := range c.Caption {
				found = found || strings.Contains(line, "grows as batch to the power 0.2")
			}
		}
	}
	if !found {
		t.Error("no caption gives the exponent 0.2 of lambda_max")
	}
}

func TestEveryChartHasAFormulaAndFigures(t *testing.T) {
	r := mustReport(t, sharedSweep(t))
	dir := t.TempDir()
	if err := r.Save(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range r.Sections[0].Charts {
		if c.How == "" || c.Title == "" || c.X.Label == "" || c.Y.Label == "" || len(c.Series) == 0 {
			t.Errorf("%s is not described: %+v", c.Name, c)
		}
		if names[c.Name] {
			t.Errorf("two charts are called %s", c.Name)
		}
		names[c.Name] = true
		text, err := os.ReadFile(filepath.Join(dir, FigureFolder, c.Name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s.svg: %v", c.Name, err)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, FigureFolder, c.Name+".png")); err != nil || info.Size() < 5000 {
			t.Errorf("%s.png: %v", c.Name, err)
		}
	}
	if len(names) < 15 {
		t.Errorf("%d charts", len(names))
	}
	md, err := os.ReadFile(filepath.Join(dir, MarkdownFile))
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if !strings.Contains(string(md), "figures/"+name+".svg") {
			t.Errorf("the Markdown does not show %s", name)
		}
	}
}

func TestTheSameRunsGiveTheSamePage(t *testing.T) {
	dir := sharedSweep(t)
	var pages [2]strings.Builder
	for i := range pages {
		if err := mustReport(t, dir).WritePage(&pages[i]); err != nil {
			t.Fatal(err)
		}
	}
	if pages[0].String() != pages[1].String() {
		t.Error("two pages of one sweep differ")
	}
}

func TestOneRunIsReportedWithoutComparisons(t *testing.T) {
	dir := t.TempDir()
	c := madeConfig(64, 0.2, 1)
	steps := madeSteps(&c)
	summary := madeSummary(&c, len(steps))
	madeRun(t, dir, &c, steps, &summary)
	r := mustReport(t, dir)
	s := r.Sections[0]
	if !strings.HasPrefix(s.Answer.Text, "One setting was run, batch 64, rate 0.2") || s.TradeOff != nil || s.Peak != nil {
		t.Errorf("%q", s.Answer.Text)
	}
	everything(t, r)
}

// Runs that stop at a target are ranked by what they needed, not by an accuracy that
// is the same for all.
func TestRunsToATargetAreRankedBySamples(t *testing.T) {
	dir := t.TempDir()
	for _, batch := range []int{16, 64, 256, 1024} {
		for seed := range uint64(3) {
			c := madeConfig(batch, 0.2, seed)
			c.Until = "test-accuracy:0.970"
			steps := madeSteps(&c)
			summary := madeSummary(&c, len(steps))
			reached := true
			summary.Reached = &reached
			madeRun(t, filepath.Join(dir, fmt.Sprintf("b%d-s%d", batch, seed)), &c, steps, &summary)
		}
	}
	r := mustReport(t, dir)
	s := r.Sections[0]
	if s.Target == nil || s.Target.String() != "test-accuracy:0.97" || s.Goal.Name != "samples to the target" {
		t.Fatalf("target %v, goal %q", s.Target, s.Goal.Name)
	}
	if s.Ranking[0].Group.Setting.Batch != 16 {
		t.Errorf("batch %d needs the fewest samples", s.Ranking[0].Group.Setting.Batch)
	}
	if s.TradeOff == nil || math.Abs(s.TradeOff.Critical.Value/criticalSize-1) > 0.1 {
		t.Errorf("%+v: %s", s.TradeOff, s.NoTradeOff)
	}
	everything(t, r)
}

// The number of a bad fit is no headline.
func TestBadFitsAreNoHeadlines(t *testing.T) {
	s := mustReport(t, sharedSweep(t)).Sections[0]
	s.Peak.Quality.Verdict, s.TradeOff.Quality.Verdict = analysis.Bad, analysis.Bad
	for _, c := range []Card{s.criticalCard(), s.temperatureCard()} {
		if c.Value != "not clear" || c.Verdict != analysis.Bad || !strings.HasPrefix(c.Detail, "the fit gives ") {
			t.Errorf("%+v", c)
		}
	}
	if text := s.answer().Text; strings.Contains(text, "Beyond a batch size") {
		t.Errorf("%q", text)
	}
}

func TestSeriesKeepTheirMeansAndEnds(t *testing.T) {
	for _, n := range []int{1, 2, 7, 100, 5000} {
		steps := make([]record.Step, n)
		sum := 0.0
		for i := range steps {
			steps[i] = record.Step{Step: i, Samples: 32, Loss: float64(i * i)}
			sum += float64(i * i)
		}
		s := newSeries(steps)
		got, counted := 0.0, 0
		edges := binEdges(n)
		for k, x := range s.Values["loss"] {
			width := edges[k+1] - edges[k]
			got += x * float64(width)
			counted += width
		}
		if counted != n || math.Abs(got-sum) > 1e-9*sum {
			t.Errorf("%d steps: %d in bins, sum %g, want %g", n, counted, got, sum)
		}
		if len(s.Steps) > bins+1 || s.Steps[0] != 0 || s.Samples[0] != 0 {
			t.Errorf("%d steps: %d bins, the first at step %g, sample %g", n, len(s.Steps), s.Steps[0], s.Samples[0])
		}
	}
}

func TestNumbersReadWell(t *testing.T) {
	estimate := func(mean, stderr float64) analysis.Estimate {
		return analysis.Estimate{Mean: mean, Stderr: record.Some(stderr), N: 3}
	}
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(1234.4), "1,234"}, {number(0.012345), "0.0123"}, {number(9.77e-5), "9.77e-05"}, {number(-3.14159), "-3.14"},
		{withError(estimate(0.98214, 0.0005), 100), "98.214 ± 0.050"}, {withError(estimate(11393, 207), 1), "11,393 ± 207"},
		{withError(estimate(221.7, 2.3), 1), "221.7 ± 2.3"}, {withError(estimate(1.5e7, 2e5), 1), "(1.500 ± 0.020)·10⁷"}, {withError(estimate(5e-5, 1e-6), 1), "(5.00 ± 0.10)·10⁻⁵"},
		{withError(analysis.Estimate{Mean: 0.98214, N: 1}, 100), "98.21"},
		{signed(-0.001), "0.00"}, {signed(-0.4), "−0.40"}, {signed(1.256), "1.26"},
		{list([]string{"a"}), "a"}, {list([]string{"a", "b", "c"}), "a, b and c"}, {count(1, "run", "runs"), "1 run"}, {count(1200, "run", "runs"), "1,200 runs"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestMarkdownOfFilesStaysText(t *testing.T) {
	if got, want := escapeMarkdown("a|b*c_d<e>`f`[g](h)#\ni"), "a\\|b\\*c\\_d&lt;e&gt;\\`f\\`\\[g\\](h)\\# i"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
