package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sgflow/engine/analysis"
	reports "sgflow/engine/report" // report is the progress of a run here
	"sgflow/engine/request"
)

// reportCommand is `sgflow report`.
type reportCommand struct {
	Dirs   []string `arg:"" name:"dir" help:"Sweep folders, run folders, or folders of them."`
	Out    string   `placeholder:"DIR" help:"Folder for report.html, report.md and figures/; report in the first DIR where not given."`
	Target string   `placeholder:"TARGET" help:"Count steps and samples to train-loss:X, train-accuracy:X, test-loss:X or test-accuracy:X; else to the target of the runs, or one that most batch sizes reach."`
}

// Help returns the text below the summary in --help.
func (reportCommand) Help() string {
	return `Which batch size and rate to use, why, and how sure that is: means with standard
errors over seeds, McCandlish's trade-off of steps and samples with the critical
batch size, noise scale, flatness and test accuracy against batch, rate and
temperature. The page is one file with interactive plots and needs no network.

Examples:

  sgflow report runs/my-sweep
  sgflow report runs/my-sweep --target train-loss:0.1
  sgflow report runs/a runs/b --out reports/a-and-b`
}

// Run runs the command.
func (c *reportCommand) Run(a *app) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	for _, dir := range c.Dirs {
		if info, err := os.Stat(dir); err != nil {
			return &request.Error{Err: fmt.Errorf("report: %w", err)}
		} else if !info.IsDir() {
			return &request.Error{Err: fmt.Errorf("report: %s is no folder: give the folder of a sweep or of a run", dir)}
		}
	}
	progress := newConsole(a.stderr)
	loaded, err := reports.Load(a.ctx, func(done, total int) {
		if progress.terminal() {
			progress.status([]string{fmt.Sprintf("reading run %d of %d", done, total)})
		}
	}, c.Dirs...)
	progress.end()
	if err == nil && len(loaded.Runs) == 0 {
		_, err = reports.New(loaded, target) // says why
	}
	if errors.Is(err, reports.ErrNoRuns) || errors.Is(err, fs.ErrNotExist) {
		return &request.Error{Err: err}
	}
	if err != nil {
		return err
	}
	r, err := reports.New(loaded, target)
	if err != nil {
		return err
	}
	out := c.Out
	if out == "" {
		out = filepath.Join(c.Dirs[0], "report")
	}
	if err := r.Save(a.ctx, out); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(a.stderr, "note: %s\n", note)
	}
	if a.json {
		return a.print(r.JSON(out))
	}
	return a.write(r.Text(out))
}

// target returns the target that was asked for, nil for none.
func (c *reportCommand) target() (*analysis.Target, error) {
	if c.Target == "" {
		return nil, nil
	}
	t, err := analysis.ParseTarget(c.Target)
	if err != nil {
		return nil, &request.Error{Err: fmt.Errorf("--target %w", err)}
	}
	return &t, nil
}
