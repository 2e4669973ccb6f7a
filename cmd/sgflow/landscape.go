package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"sgflow/engine/landscape"
	"sgflow/engine/request"
	"sgflow/engine/train"
)

// landscapeCommand is `sgflow landscape`.
type landscapeCommand struct {
	Config landscape.Config `embed:""`

	Runs []string   `arg:"" optional:"" name:"run" help:"Run folders with trajectories (sgflow train --trajectory) to draw; without, the command trains two paths itself."`
	Out  string     `default:"landscape" placeholder:"DIR" help:"Folder for landscape.json, the figures, the animation, the page and the paths that are trained."`
	File configFile `name:"config" placeholder:"FILE" help:"Take settings from a YAML file with the flags' names as keys; flags win."`
}

// Help returns the text below the summary in --help.
func (landscapeCommand) Help() string {
	return `By default the command trains SGD and full-batch gradient descent from one initial
point, keeps both paths, and draws loss and accuracy on the plane of the paths'
principal components, with the paths over the contours: DIR/index.html, and the
figures as PNG, SVG and GIF. With run folders it draws their paths, about the last
point of the first. Other slices go through --weights, or the initial weights.

Examples:

  sgflow landscape
  sgflow landscape --model mlp:784-64-10 --limit 2000 --batch 4 --lr 0.2 --steps 1000
  sgflow train --model cnn --limit 5000 --trajectory 20 --out runs/cnn
  sgflow landscape runs/cnn --samples 2000 --out landscapes/cnn
  sgflow landscape --directions random --weights runs/cnn/checkpoints/weights.safetensors --model cnn
  sgflow landscape --directions eigen --dims 1 --weights runs/mlp/checkpoints/weights.safetensors --samples 500
  sgflow landscape --directions line --dims 1 --weights a.safetensors --to b.safetensors`
}

func (landscapeCommand) defaults() any {
	c := landscape.Default()
	return &c
}

// BeforeResolve reads the problem of the runs that are named, which is the
// command's.
func (*landscapeCommand) BeforeResolve(ctx *kong.Context) error {
	var dirs []string
	for _, trace := range ctx.Path {
		if trace.Positional != nil {
			dirs = append(dirs, ctx.Value(trace).Interface().([]string)...)
		}
	}
	if len(dirs) == 0 {
		return nil
	}
	p, err := landscape.FromRuns(dirs)
	if err != nil {
		return err
	}
	p.Threads = 0 // of the machine that they ran on
	values := settings{}
	for name, value := range train.Values(&p) {
		values[name] = value
	}
	ctx.AddResolver(values)
	return nil
}

// Run runs the command.
func (c *landscapeCommand) Run(a *app) error {
	if err := os.MkdirAll(c.Out, 0o777); err != nil {
		return &request.Error{Err: fmt.Errorf("--out: %w", err)}
	}
	progress := newConsole(a.stderr)
	stages := stageProgress{console: progress, now: time.Now}
	result, err := landscape.Run(a.ctx, c.Config, c.Runs, c.Out, stages.at)
	if err == nil {
		err = result.Save(a.ctx, stages.at)
	}
	progress.end()
	if a.ctx.Err() != nil && err != nil {
		return fmt.Errorf("landscape: interrupted; the paths so far are in %s: %w", c.Out, err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return a.print(result.Summary())
	}
	return a.write(landscapeTable(result))
}

// stageProgress shows the progress of work in stages on a console.
type stageProgress struct {
	console      *console
	now          func() time.Time
	stage        string
	began, shown time.Time
}

// at shows that done of a stage's total pieces are done, if the last that was shown
// is old enough: a tenth of a second on a terminal, five seconds elsewhere.
func (s *stageProgress) at(stage string, done, total int) {
	now := s.now()
	if stage != s.stage {
		s.stage, s.began = stage, now
	}
	pause := 5 * time.Second
	if s.console.terminal() {
		pause = 100 * time.Millisecond
	}
	if s.shown.IsZero() {
		s.shown = now
	}
	if now.Sub(s.shown) < pause {
		return
	}
	s.shown = now
	s.console.status(stageStatus(stage, done, total, now.Sub(s.began)))
}

// stageStatus is the progress after done of total pieces of a stage.
func stageStatus(stage string, done, total int, took time.Duration) []string {
	fields := []string{stage, fmt.Sprintf("%s/%s", grouped(done), grouped(total))}
	if done > 0 {
		fields = append(fields, clock(took.Seconds()/float64(done)*float64(total-done))+" left")
	}
	return fields
}

// landscapeTable is the result for people.
func landscapeTable(r *landscape.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Answer)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "samples\t%s\n", grouped(r.Samples))
	fmt.Fprintf(w, "parameters\t%s\n", grouped(r.Params))
	fmt.Fprintf(w, "loss at %s\t%.6g\n", r.About, r.Center.Loss)
	if x, ok := r.Center.Accuracy.Get(); ok {
		fmt.Fprintf(w, "accuracy there\t%.6g\n", x)
	}
	for j, d := range r.Directions {
		fmt.Fprintf(w, "direction %d\t%s, norm %.4g", j+1, d.Kind, d.Norm)
		if x, ok := d.Share.Get(); ok {
			fmt.Fprintf(w, ", %.3g %% of the squared distances", 100*x)
		}
		if x, ok := d.Eigenvalue.Get(); ok {
			residual, _ := d.Residual.Get()
			fmt.Fprintf(w, ", eigenvalue %.5g, residual %.2g", x, residual)
		}
		fmt.Fprintln(w)
	}
	for _, p := range r.Paths {
		last := p.Points[len(p.Points)-1]
		fmt.Fprintf(w, "%s\t%s points to step %s", p.Name, grouped(len(p.Points)), grouped(last.Step))
		if x, ok := last.Loss.Get(); ok {
			fmt.Fprintf(w, ", loss %.4g there", x)
		}
		fmt.Fprintf(w, ", %.3g off the slice\n", last.Off)
	}
	if barrier, ok := r.Barrier(); ok {
		fmt.Fprintf(w, "barrier\t%.4g\n", barrier)
	}
	if r.Gaps > 0 {
		fmt.Fprintf(w, "gaps\t%s points of the grid, where the loss is not finite\n", grouped(r.Gaps))
	}
	fmt.Fprintf(w, "page\t%s\n", filepath.Join(r.Out, "index.html"))
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}
