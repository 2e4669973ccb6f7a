package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"sgflow/engine/flow/study"
)

// flowCommand is `sgflow flow`.
type flowCommand struct {
	Config study.Config `embed:""`

	Out  string     `type:"path" placeholder:"DIR" help:"Folder for flow.html with its plots, flow.json and flow.jsonl; runs/<time>-flow-<model>-<data> where not given."`
	File configFile `name:"config" placeholder:"FILE" help:"Take settings from a YAML file with the flags' names as keys; flags win."`
}

// Help returns the text below the summary in --help.
func (flowCommand) Help() string {
	return `From one initial point, side by side on a common axis of time t = Σ η:

  sgd            batch=B,lr=η,sampling=replacement|shuffle
  descent        lr=η                   all samples each step
  gradient-flow  tolerance=ε            θ̇ = −∇L, Dormand-Prince 5(4) with error control
  sde            batch=B,lr=η,noise=full|diagonal|isotropic|none,order=1|2,steps=n
                 dθ = −∇L dt + √(η/B·Σ) dW by Euler-Maruyama, n steps for one of SGD;
                 order 2 adds −η/4 ∇‖∇L‖² to the drift. sde-full, sde-diagonal and
                 sde-isotropic name the noise
  svag           batch=B,lr=η,l=L       steps of η/L with as much more noise
  langevin       batch=B|full,lr=η,temperature=T

Distances between all pairs of paths, in weights and in predictions, loss, accuracy,
noise scale, lambda_max and temperature along each: means over --seeds with standard
errors.

Examples:

  sgflow flow
  sgflow flow --paths 'sgd;sgd:batch=8;sgd:batch=128;gradient-flow' --limit 2000 --steps 500
  sgflow flow --model mlp:784-32-10 --paths 'sgd;svag:l=4;sde-full:steps=4;sde-full:order=2' --seeds 10 --out flows/svag
  sgflow flow --paths 'descent;gradient-flow;langevin:temperature=1e-6' --loss mse --json`
}

func (flowCommand) defaults() any {
	c := study.Default()
	return &c
}

// Run runs the command.
func (c *flowCommand) Run(a *app) (err error) {
	if err := c.Config.Validate(); err != nil {
		return err // before there is a folder
	}
	if c.Out == "" {
		c.Out = study.DefaultDir(&c.Config, time.Now())
	}
	w := &flowWatcher{console: newConsole(a.stderr), dir: c.Out, began: time.Now()}
	result, err := study.Run(a.ctx, c.Config, w)
	w.console.end()
	if w.folder != nil {
		if saved := w.save(result, err == nil); err == nil {
			err = saved
		}
	}
	if a.ctx.Err() != nil && err != nil && w.folder != nil {
		return fmt.Errorf("flow: interrupted; what was measured is in %s: %w", w.dir, err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.print(result)
	}
	return a.write(flowTables(result, c.Out))
}

// flowWatcher shows a study's progress and keeps its log.
type flowWatcher struct {
	console      *console
	dir          string
	folder       *study.Folder // made when there is something to write
	began, shown time.Time
}

// Warn is study.Watcher's.
func (w *flowWatcher) Warn(text string) { w.console.line("warning: %s", text) }

// Log is study.Watcher's.
func (w *flowWatcher) Log(line any) (err error) {
	if w.folder == nil {
		if w.folder, err = study.CreateFolder(w.dir); err != nil {
			return err
		}
	}
	return w.folder.Log(line)
}

// Progress is study.Watcher's: twice a second on a terminal, else every ten seconds.
func (w *flowWatcher) Progress(p study.Progress) {
	every := 10 * time.Second
	if w.console.terminal() {
		every = 500 * time.Millisecond
	}
	now := time.Now()
	if w.shown.IsZero() {
		w.shown = w.began
	}
	if now.Sub(w.shown) < every {
		return
	}
	w.shown = now
	w.console.status(flowStatus(p, now.Sub(w.began)))
}

// flowStatus is the progress after some time.
func flowStatus(p study.Progress, took time.Duration) []string {
	fields := []string{fmt.Sprintf("t %.4g/%.4g", p.Time, p.End), fmt.Sprintf("%.0f%%", 100*p.Share)}
	if p.Share > 0 {
		fields = append(fields, clock(took.Seconds()*(1-p.Share)/p.Share)+" left")
	}
	return append(fields, fmt.Sprintf("%s, seed %d", p.Path, p.Seed))
}

// save writes the result, of a study that did not end as far as it came.
func (w *flowWatcher) save(r *study.Result, ended bool) error {
	err := w.folder.Close()
	if r != nil && (ended || len(r.Distances) > 0) {
		if saved := w.folder.Save(r); err == nil {
			err = saved
		}
	}
	return err
}

// flowTables is the result for people.
func flowTables(r *study.Result, dir string) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Answer())
	for _, t := range r.Tables() {
		fmt.Fprintf(&b, "\n%s\n", t.Title)
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.Join(t.Head, "\t"))
		for _, row := range t.Rows {
			for i, cell := range row {
				if i > 0 {
					fmt.Fprint(w, "\t")
				}
				fmt.Fprint(w, cell.Text)
			}
			fmt.Fprintln(w)
		}
		_ = w.Flush() // a strings.Builder takes every write
	}
	fmt.Fprintf(&b, "\npage  %s/flow.html\n", dir)
	return b.String()
}
