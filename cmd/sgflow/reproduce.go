package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"sgflow/engine/reproduce"
	"sgflow/engine/request"
)

// reproduceCommand is `sgflow reproduce`.
type reproduceCommand struct {
	Names   []string `arg:"" name:"name" help:"Experiments, all, or list to list them."`
	Quick   bool     `help:"Seconds to two minutes an experiment instead of minutes."`
	Seed    uint64   `help:"Base seed: K seeds from K times it on."`
	Seeds   int      `default:"3" placeholder:"K" help:"How many seeds to average over, 2 or more."`
	Threads int      `help:"CPU threads; 0 is all cores. Results do not depend on it."`
	Out     string   `default:"reproduce" placeholder:"DIR" help:"Folder for the pages, DIR/NAME/index.html."`
}

// Help returns the text below the summary in --help.
func (reproduceCommand) Help() string {
	return `Published claims, checked: each prints the claim, its source, the setting and what
differs from the paper's, the paper's value, ours with standard errors over seeds,
and a verdict by the criterion in its source: confirmed, contradicted or undecided.
The exit code is 0 whatever the verdict. Each writes a page with its plots.

Examples:

  sgflow reproduce list
  sgflow reproduce edge-of-stability --quick
  sgflow reproduce all --quick --json
  sgflow reproduce edge-of-stability --seeds 5 --seed 1 --out pages`
}

// listName is the name that lists the experiments.
const listName = "list"

// Run runs the command.
func (c *reproduceCommand) Run(a *app) error {
	if slices.Contains(c.Names, listName) {
		if len(c.Names) > 1 {
			return request.Wrap(errors.New("reproduce: list goes alone, without names"))
		}
		return c.list(a)
	}
	experiments, err := reproduce.Lookup(c.Names...)
	if err != nil {
		return err
	}
	progress := newConsole(a.stderr)
	var at string
	shown := time.Now()
	lab, err := reproduce.NewLab(reproduce.Config{
		Quick: c.Quick, Seed: c.Seed, Seeds: c.Seeds, Threads: c.Threads,
		Progress: func(line string) {
			if now := time.Now(); progress.terminal() && now.Sub(shown) >= 100*time.Millisecond {
				shown = now
				progress.status([]string{at, line})
			}
		},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o777); err != nil {
		return &request.Error{Err: fmt.Errorf("--out: %w", err)}
	}
	var results []*reproduce.Result
	var failed error
	failures := 0
	for i, e := range experiments {
		at = fmt.Sprintf("%d/%d %s", i+1, len(experiments), e.Name)
		if !progress.terminal() {
			progress.line("%s", at)
		}
		r, err := e.Check(a.ctx, lab)
		progress.end()
		if a.ctx.Err() != nil {
			failed = fmt.Errorf("reproduce: interrupted after %d of %d experiments, whose pages are in %s: %w", len(results), len(experiments), c.Out, a.ctx.Err())
			break
		}
		if err != nil && len(experiments) == 1 {
			return err
		}
		if err != nil { // the others may do
			progress.line("sgflow: %v", err)
			failures++
			failed = fmt.Errorf("reproduce: %d of %d experiments failed", failures, len(experiments))
			continue
		}
		path, err := r.Save(c.Out)
		if err != nil {
			return err
		}
		results = append(results, r)
		if err := c.show(a, r, path, i > 0); err != nil {
			return err
		}
	}
	if len(experiments) > 1 && len(results) > 0 {
		if err := c.summarise(a, results); err != nil {
			return err
		}
	}
	return failed
}

// list lists the experiments.
func (c *reproduceCommand) list(a *app) error {
	if !a.json {
		return a.write(reproduce.List(reproduce.Experiments))
	}
	for _, e := range reproduce.Experiments {
		if err := a.print(e.ListJSON()); err != nil {
			return err
		}
	}
	return nil
}

// show prints a result, with a line before it where it follows another.
func (c *reproduceCommand) show(a *app, r *reproduce.Result, path string, follows bool) error {
	if a.json {
		return a.print(r.JSON(path))
	}
	text := r.Text(path)
	if follows {
		text = "\n" + text
	}
	return a.write(text)
}

// summarise writes the page of several results, and prints their table.
func (c *reproduceCommand) summarise(a *app, results []*reproduce.Result) error {
	path, err := reproduce.SaveSummary(c.Out, results)
	if err != nil {
		return err
	}
	if a.json {
		return nil
	}
	return a.write(fmt.Sprintf("\n%s%s\n", reproduce.Summary(results), path))
}
