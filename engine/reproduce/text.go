package reproduce

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// lineWidth is where the text of results wraps.
const lineWidth = 100

// Text is the result for people. page is where its page lies.
func (r *Result) Text(page string) string {
	var b strings.Builder
	e, o := r.Experiment, r.Outcome
	fmt.Fprintf(&b, "%s: %s\n\n", e.Name, strings.ToUpper(string(o.Verdict)))
	for _, part := range []struct{ label, text string }{
		{"claim", e.Claim}, {"source", e.Source}, {"paper", e.Paper}, {"setting", e.Setting}, {"differs", e.Differs},
	} {
		paragraph(&b, part.label, part.text)
	}
	b.WriteByte('\n')
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  measured\tmean over %d seeds\tstandard error\tpaper\n", len(r.Seeds))
	for _, f := range o.Measured {
		fmt.Fprintf(w, "  %s\t%.4g\t%s\t%s\n", f.Name, f.Mean, f.stderr(), f.Paper)
	}
	_ = w.Flush() // a strings.Builder takes every write
	b.WriteByte('\n')
	paragraph(&b, "verdict", string(o.Verdict)+": "+o.Why)
	paragraph(&b, "run", r.run())
	if page != "" {
		paragraph(&b, "page", page)
	}
	return b.String()
}

// stderr is the standard error as text.
func (f *Finding) stderr() string {
	if e, ok := f.Stderr.Get(); ok {
		return fmt.Sprintf("± %.2g", e)
	}
	return "–"
}

// run says what the numbers are of.
func (r *Result) run() string {
	var seeds []string
	for _, s := range r.Seeds {
		seeds = append(seeds, fmt.Sprint(s))
	}
	extent := "in full"
	if r.Quick {
		extent = "quick"
	}
	return fmt.Sprintf("%s, seeds %s, %.1f s", extent, strings.Join(seeds, ", "), r.Seconds)
}

// labelWidth is the column that paragraphs begin in.
const labelWidth = 9

// paragraph writes a labelled text, wrapped.
func paragraph(b *strings.Builder, label, text string) {
	fmt.Fprintf(b, "%-*s", labelWidth, label)
	column := labelWidth
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i > 0 && column+1+n > lineWidth:
			fmt.Fprintf(b, "\n%*s", labelWidth, "")
			column = labelWidth
		case i > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteByte('\n')
}

// Summary is a table of results for people.
func Summary(results []*Result) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "experiment\tverdict\tseconds\tsource")
	total := 0.0
	for _, r := range results {
		source, _, more := strings.Cut(r.Experiment.Source, ";")
		if more {
			source += "; …"
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\n", r.Experiment.Name, r.Outcome.Verdict, r.Seconds, source)
		total += r.Seconds
	}
	_ = w.Flush() // a strings.Builder takes every write
	fmt.Fprintf(&b, "%s in %.0f s\n", tally(results), total)
	return b.String()
}

// tally counts the verdicts.
func tally(results []*Result) string {
	var parts []string
	for _, v := range []Verdict{Confirmed, Contradicted, Undecided} {
		n := 0
		for _, r := range results {
			if r.Outcome.Verdict == v {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}

// List is a table of the experiments for people.
func List(list []*Experiment) string {
	var b strings.Builder
	for _, e := range list {
		fmt.Fprintf(&b, "%s\n", e.Name)
		paragraph(&b, "", e.Claim)
		paragraph(&b, "", e.Source)
	}
	return b.String()
}
