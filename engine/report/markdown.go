package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the report's answer, tables and figures as Markdown; the
// figures are those that Save writes beside it.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	for _, s := range r.Sections {
		fmt.Fprintf(&b, "# %s\n\n%s\n\n", escapeMarkdown(s.Title), escapeMarkdown(s.Answer.Text))
		for _, line := range s.Answer.Sure {
			fmt.Fprintf(&b, "- %s\n", escapeMarkdown(line))
		}
		b.WriteString("\n")
		for _, c := range s.Cards {
			fmt.Fprintf(&b, "- **%s**: %s. %s", c.Title, escapeMarkdown(c.Value), escapeMarkdown(c.Detail))
			if c.Why != "" {
				fmt.Fprintf(&b, " (%s)", escapeMarkdown(strings.TrimSpace(string(c.Verdict)+" "+c.Why)))
			}
			b.WriteString("\n")
		}
		if batches := s.Batches(); len(batches.Rows) > 0 {
			b.WriteString("\n## Batch sizes, each at its best setting\n\n")
			batches.markdown(&b)
		}
		for _, topic := range topics {
			charts := s.On(topic)
			if len(charts) == 0 {
				continue
			}
			fmt.Fprintf(&b, "\n## %s\n", topic.Title)
			for _, c := range charts {
				fmt.Fprintf(&b, "\n### %s\n\n![%s](figures/%s.svg)\n\n", c.Title, c.Title, c.Name)
				for _, line := range c.Caption {
					fmt.Fprintf(&b, "- %s\n", escapeMarkdown(line))
				}
				fmt.Fprintf(&b, "- Computed as: %s", escapeMarkdown(c.How))
				if c.Source != "" {
					fmt.Fprintf(&b, " (%s)", escapeMarkdown(c.Source))
				}
				b.WriteString("\n")
			}
		}
		b.WriteString("\n## Settings\n\n")
		settings := s.Settings()
		settings.markdown(&b)
		b.WriteString("\n## Configuration\n\n")
		for _, f := range s.Configuration() {
			if f.Value != "" {
				fmt.Fprintf(&b, "- %s: %s\n", f.Name, escapeMarkdown(f.Value))
			}
		}
		notes(&b, s.Notes)
		b.WriteString("\n")
	}
	notes(&b, r.Notes)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: writing the summary: %w", err)
	}
	return nil
}

func notes(b *strings.Builder, list []string) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\n## Notes\n\n")
	for _, n := range list {
		fmt.Fprintf(b, "- %s\n", escapeMarkdown(n))
	}
}

// markdown writes the table.
func (t *Table) markdown(b *strings.Builder) {
	line := func(cells []string) { fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | ")) }
	var head, rule []string
	for _, c := range t.Columns {
		head, rule = append(head, escapeMarkdown(c.Title)), append(rule, "---")
	}
	line(head)
	line(rule)
	for _, row := range t.Rows {
		var cells []string
		for _, c := range row {
			cells = append(cells, escapeMarkdown(c.Text))
		}
		line(cells)
	}
}

// escapeMarkdown makes text of files plain in Markdown, on one line.
var markdownEscapes = strings.NewReplacer(
	"\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "]", "\\]", "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", "\\|", "#", "\\#", "\n", " ", "\r", " ",
)

func escapeMarkdown(text string) string { return markdownEscapes.Replace(text) }
