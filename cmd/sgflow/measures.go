package main

import (
	"fmt"
	"strings"

	"sgflow/engine/measure"
	"sgflow/engine/request"
)

// measuresCommand is `sgflow measures`.
type measuresCommand struct {
	Names []string `arg:"" optional:"" placeholder:"NAME" help:"Only these quantities or sets."`
}

// Help returns the text below the summary in --help.
func (measuresCommand) Help() string {
	return `Lists each quantity with its definition, unit, cost and source. In formulas gᵢ is
the gradient of sample i's loss, ḡ the mean of the n of them, L the mean loss, H
its Hessian, θ the parameters.

Examples:

  sgflow measures
  sgflow measures economy
  sgflow measures noise_scale alpha --json`
}

// quantityRow is a line of the JSON form.
type quantityRow struct {
	Name    string   `json:"name"`
	Keys    []string `json:"keys"`
	Group   string   `json:"group"`
	Sets    []string `json:"sets"`
	Formula string   `json:"formula"`
	Unit    string   `json:"unit"`
	Source  string   `json:"source"`
	Cost    string   `json:"cost"`
	Needs   []string `json:"needs"`
}

// Run runs the command.
func (c *measuresCommand) Run(a *app) error {
	list := measure.Quantities()
	if len(c.Names) > 0 {
		s, err := measure.ParseSelection(strings.Join(c.Names, ","))
		if err != nil {
			return &request.Error{Err: err}
		}
		list = s.Quantities()
	}
	for _, q := range list {
		if a.json {
			if err := a.print(quantityRow{
				Name: q.Name, Keys: q.LogKeys(), Group: string(q.Group), Sets: append([]string{}, q.Sets...), Formula: q.Formula,
				Unit: q.Unit, Source: q.Source, Cost: q.Cost, Needs: q.Needs.Names(),
			}); err != nil {
				return err
			}
			continue
		}
		if err := a.write(quantityText(q)); err != nil {
			return err
		}
	}
	return nil
}

// quantityText is a quantity for people.
func quantityText(q *measure.Quantity) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  (%s", q.Name, q.Group)
	if len(q.Sets) > 0 {
		fmt.Fprintf(&b, "; in %s", strings.Join(q.Sets, ", "))
	}
	b.WriteString(")\n")
	row := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s\n", wrap(fmt.Sprintf("    %-8s", name), text, 80))
		}
	}
	row("", q.Formula)
	if keys := q.LogKeys(); len(keys) > 1 {
		row("keys", strings.Join(keys, ", "))
	}
	row("unit", q.Unit)
	row("cost", q.Cost)
	row("needs", strings.Join(q.Needs.Names(), ", "))
	row("source", q.Source)
	return b.String() + "\n"
}

// wrap breaks text at spaces into lines of at most width characters, the first
// behind head, the others as far in.
func wrap(head, text string, width int) string {
	indent := strings.Repeat(" ", len(head))
	line, lines := head, []string{}
	used := len(head)
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		if used > len(indent) && used+1+n > width {
			lines = append(lines, strings.TrimRight(line, " "))
			line, used = indent, len(indent)
		}
		if used > len(indent) {
			line += " "
			used++
		}
		line += word
		used += n
	}
	return strings.Join(append(lines, line), "\n")
}
