package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"sgflow/engine/nearest"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/sweep/export"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// sweepName is an argument that names a sweep: the name of a folder in sweeps,
// or the path of a sweep folder.
type sweepName string

// open opens the sweep's store.
func (n sweepName) open() (*store.Store, error) {
	dir := string(n)
	if _, err := os.Stat(filepath.Join(dir, store.File)); err != nil {
		dir = filepath.Join(sweepsDir, string(n))
	}
	s, err := store.Open(dir)
	if errors.Is(err, store.ErrNone) {
		hint := fmt.Sprintf("there are none in %s", sweepsDir)
		if names := sweepNames(); len(names) > 0 {
			hint = fmt.Sprintf("did you mean %s? (sgflow sweep ls lists all)", nearest.Name(string(n), names))
		}
		return nil, &request.Error{Err: fmt.Errorf("there is no sweep %q: %s", string(n), hint)}
	}
	if errors.Is(err, store.ErrDamaged) {
		return nil, fmt.Errorf("%w: `sgflow sweep` with the flags of this sweep puts it aside and makes a new one from the run folders", err)
	}
	return s, err
}

// sweepNames lists the sweeps in the folder of sweeps.
func sweepNames() []string {
	files, err := filepath.Glob(filepath.Join(sweepsDir, "*", store.File))
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	return names
}

// sweepLsCommand is `sgflow sweep ls`.
type sweepLsCommand struct {
	Sweep sweepName `arg:"" optional:"" help:"List the runs of this sweep: its name or its folder."`
}

// Help returns the text below the summary in --help.
func (sweepLsCommand) Help() string {
	return `Noise and flatness are means over the last tenth of a run's steps.

Examples:

  sgflow sweep ls
  sgflow sweep ls critical --json`
}

// Run runs the command.
func (c *sweepLsCommand) Run(a *app) error {
	if c.Sweep == "" {
		return c.sweeps(a)
	}
	s, err := c.Sweep.open()
	if err != nil {
		return err
	}
	defer s.Close()
	rows, err := s.Rows(a.ctx)
	if err != nil {
		return err
	}
	return printRows(a, rows)
}

// sweepRow is a line of the list of sweeps.
type sweepRow struct {
	Sweep  string `json:"sweep"`
	Done   int    `json:"done"`
	Failed int    `json:"failed"`
	Queued int    `json:"queued"`
}

// sweeps lists the sweeps.
func (c *sweepLsCommand) sweeps(a *app) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, name := range sweepNames() {
		s, err := store.Open(filepath.Join(sweepsDir, name))
		if err != nil {
			return err
		}
		counts, err := s.Counts(a.ctx)
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
		row := sweepRow{name, counts[store.Done], counts[store.Failed], counts[store.Queued]}
		if a.json {
			if err := a.print(row); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s\t%d done\t%d failed\t%d to do\n", row.Sweep, row.Done, row.Failed, row.Queued)
	}
	_ = w.Flush() // a strings.Builder takes every write
	return a.write(b.String())
}

// printRows prints runs, for people as a table.
func printRows(a *app, rows []store.Row) error {
	var b strings.Builder
	if a.json {
		for i := range rows {
			text, err := jsonLine(&rows[i])
			if err != nil {
				return err
			}
			b.Write(text)
		}
		return a.write(b.String())
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "run\tmodel\tbatch\tlr\tmomentum\tseed\tsteps\ttrain loss\ttest accuracy\tnoise scale\tlambda_max\ttemperature\t")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%.4g\t%.4g\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Model, r.Batch, r.LR, r.Momentum, r.Seed,
			dash(r.Status == store.Done, grouped(r.Steps)), optional(r.TrainLoss, "%.4f", 1), optional(r.TestAccuracy, "%.2f%%", 100),
			optional(r.NoiseScale, "%.4g", 1), optional(r.LambdaMax, "%.4g", 1), optional(r.Temperature, "%.3g", 1), mark(&r))
	}
	_ = w.Flush() // a strings.Builder takes every write
	return a.write(b.String())
}

// mark says what is special about a run.
func mark(r *store.Row) string {
	switch {
	case r.Status == store.Failed:
		return "  failed: " + r.Error
	case r.Status == store.Queued && r.Error != "":
		return "  to do; failed before: " + r.Error
	case r.Status == store.Queued:
		return "  to do"
	case r.Reached != nil && !*r.Reached:
		return "  target not reached"
	}
	return ""
}

// dash is text where ok is true.
func dash(ok bool, text string) string {
	if !ok {
		return "-"
	}
	return text
}

// optional prints a number times a factor.
func optional(o record.Opt, format string, factor float64) string {
	x, ok := o.Get()
	return dash(ok, fmt.Sprintf(format, factor*x))
}

// sweepShowCommand is `sgflow sweep show`.
type sweepShowCommand struct {
	Sweep sweepName `arg:"" help:"Name or folder of the sweep."`
	ID    string    `arg:"" optional:"" name:"run" help:"Show this run: its id, or the beginning of it."`
}

// Help returns the text below the summary in --help.
func (sweepShowCommand) Help() string {
	return `Examples:

  sgflow sweep show critical
  sgflow sweep show critical 3f2a --json`
}

// shownRun is the JSON form of a run.
type shownRun struct {
	Run         string              `json:"run"`
	Status      store.Status        `json:"status"`
	Attempts    int                 `json:"attempts"`
	Error       string              `json:"error,omitempty"`
	Folder      string              `json:"folder,omitempty"`
	Config      map[string]string   `json:"config"`
	Summary     *record.Summary     `json:"summary,omitempty"`
	Windows     map[string]shownWin `json:"windows,omitempty"`
	Epochs      []record.Epoch      `json:"epochs,omitempty"`
	Environment map[string]string   `json:"environment,omitempty"`
}

// shownWin is the JSON form of a window.
type shownWin struct {
	First int                `json:"first"`
	Last  int                `json:"last"`
	Means map[string]float64 `json:"means"`
}

// Run runs the command.
func (c *sweepShowCommand) Run(a *app) error {
	s, err := c.Sweep.open()
	if err != nil {
		return err
	}
	defer s.Close()
	if c.ID == "" {
		return c.sweep(a, s)
	}
	runs, err := s.Runs(a.ctx)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(r store.Run) bool { return !strings.HasPrefix(r.ID, c.ID) })
	if len(runs) != 1 {
		return &request.Error{Err: fmt.Errorf("%d runs of %s have an id that begins with %q: `sgflow sweep ls %s` lists them", len(runs), s.Dir(), c.ID, sweepArg(s.Dir()))}
	}
	r := &runs[0]
	windows, err := s.Windows(a.ctx, r.ID)
	if err != nil {
		return err
	}
	epochs, err := s.Epochs(a.ctx, r.ID)
	if err != nil {
		return err
	}
	environment, err := s.Environment(a.ctx, r.ID)
	if err != nil {
		return err
	}
	if a.json {
		v := shownRun{
			Run: r.ID, Status: r.Status, Attempts: r.Attempts, Error: r.Error, Config: train.Values(&r.Config),
			Summary: r.Summary, Epochs: epochs, Environment: environment, Windows: map[string]shownWin{},
		}
		if r.Status == store.Done {
			v.Folder = store.RunFolder(s.Dir(), r.ID)
		}
		for _, w := range windows {
			means := map[string]float64{}
			for _, m := range w.Means {
				means[m.Name] = m.Mean
			}
			v.Windows[string(w.Part)] = shownWin{w.First, w.Last, means}
		}
		return a.print(v)
	}
	return a.write(runText(s, r, windows, environment))
}

// runText is a run for people.
func runText(s *store.Store, r *store.Run, windows []store.Window, environment map[string]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "run\t%s, %s\n", r.ID, r.Status)
	if r.Error != "" {
		fmt.Fprintf(w, "error\t%s (%d tries)\n", r.Error, r.Attempts)
	}
	defaults := train.Default()
	usual, values := train.Values(&defaults), train.Values(&r.Config)
	for _, name := range train.Names(&r.Config) {
		if values[name] != usual[name] || name == "model" || name == "data" || name == "batch" || name == "lr" {
			fmt.Fprintf(w, "%s\t%s\n", name, values[name])
		}
	}
	if sum := r.Summary; sum != nil {
		fmt.Fprintf(w, "train\tloss %s, accuracy %s\n", number(sum.TrainLoss), percent(sum.TrainAccuracy))
		fmt.Fprintf(w, "test\tloss %s, accuracy %s\n", number(sum.TestLoss), percent(sum.TestAccuracy))
		fmt.Fprintf(w, "steps\t%s in %s, on %s\n", grouped(sum.Steps), clock(sum.Seconds), environment["device"])
		if sum.Reached != nil {
			fmt.Fprintf(w, "target\t%s\n", map[bool]string{true: "reached", false: "not reached"}[*sum.Reached])
		}
		fmt.Fprintf(w, "folder\t%s\n", store.RunFolder(s.Dir(), r.ID))
	}
	_ = w.Flush() // a strings.Builder takes every write
	if len(windows) == 0 {
		return b.String()
	}
	b.WriteString("\n")
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "mean over steps\t")
	for _, part := range windows {
		fmt.Fprintf(w, "%d to %d\t±\t", part.First, part.Last)
	}
	fmt.Fprintln(w)
	for _, m := range windows[len(windows)-1].Means {
		fmt.Fprintf(w, "%s\t", m.Name)
		for _, part := range windows {
			x, ok := part.Get(m.Name)
			fmt.Fprintf(w, "%s\t%s\t", dash(ok, fmt.Sprintf("%.4g", x.Mean)), dash(ok && x.N > 1, fmt.Sprintf("%.2g", x.SD)))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}

// sweep shows the sweep as a whole.
func (c *sweepShowCommand) sweep(a *app, s *store.Store) error {
	counts, err := s.Counts(a.ctx)
	if err != nil {
		return err
	}
	build, err := s.Value(a.ctx, "build")
	if err != nil {
		return err
	}
	row := sweepRow{sweepArg(s.Dir()), counts[store.Done], counts[store.Failed], counts[store.Queued]}
	if a.json {
		return a.print(row)
	}
	if err := a.write(fmt.Sprintf("%s: %d done, %d failed, %d to do; begun by %s\n\n", row.Sweep, row.Done, row.Failed, row.Queued, build)); err != nil {
		return err
	}
	rows, err := s.Rows(a.ctx)
	if err != nil {
		return err
	}
	return printRows(a, rows)
}

// sweepExportCommand is `sgflow sweep export`.
type sweepExportCommand struct {
	Sweep   sweepName `arg:"" help:"Name or folder of the sweep."`
	CSV     bool      `name:"csv" xor:"format" required:"" help:"Write CSV."`
	Parquet bool      `xor:"format" required:"" help:"Write Parquet."`
	To      string    `type:"path" placeholder:"FILE" help:"Write to this file; standard output where not given."`
}

// Help returns the text below the summary in --help.
func (sweepExportCommand) Help() string {
	return `A row a run: its settings, how it ended, and each mean over the start, the middle
and the end of it as lambda_max.end and so on, with standard deviations between
steps as lambda_max.end.sd.

Examples:

  sgflow sweep export critical --csv --to runs.csv
  sgflow sweep export critical --parquet --to runs.parquet`
}

// Run runs the command.
func (c *sweepExportCommand) Run(a *app) error {
	s, err := c.Sweep.open()
	if err != nil {
		return err
	}
	defer s.Close()
	table, err := export.Read(a.ctx, s)
	if err != nil {
		return err
	}
	write := table.CSV
	if c.Parquet {
		write = table.Parquet
	}
	if c.To == "" {
		return write(a.stdout)
	}
	if err := record.WriteFileAtomic(c.To, write); err != nil {
		return err
	}
	if a.json {
		return a.print(map[string]any{"file": c.To, "rows": len(table.Rows), "columns": len(table.Columns)})
	}
	return nil
}
