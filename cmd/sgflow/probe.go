package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"sgflow/engine/measure"
	"sgflow/engine/record"
	"sgflow/engine/train"
)

// probeCommand is `sgflow probe`.
type probeCommand struct {
	Config train.ProbeConfig `embed:""`

	File configFile `name:"config" placeholder:"FILE" help:"Take settings from a YAML file with the flags' names as keys; flags win."`
}

// Help returns the text below the summary in --help.
func (probeCommand) Help() string {
	return `Noise is exact, eigenvalues are found to a small residual, and the trace is an
estimate with its standard error unless --exact-trace is given.

Examples:

  sgflow probe --model cnn --weights runs/cnn/checkpoints/weights.safetensors --indices 0:1000
  sgflow probe --model mlp:784-16-10 --split test --top 5 --exact-trace --json
  sgflow probe --weights runs/mlp/checkpoints/weights.safetensors --samples all --measure noise`
}

func (probeCommand) defaults() any {
	c := train.DefaultProbe()
	return &c
}

// Run runs the command.
func (c *probeCommand) Run(a *app) error {
	progress := newConsole(a.stderr)
	var shown time.Time
	result, err := train.Probe(a.ctx, c.Config, func(stage string, products int) {
		if now := time.Now(); progress.terminal() && now.Sub(shown) >= 100*time.Millisecond {
			shown = now
			progress.status([]string{stage, fmt.Sprintf("%d Hessian-vector products", products)})
		}
	})
	progress.end()
	if result == nil || err != nil && !errors.Is(err, measure.ErrNotConverged) {
		return err
	}
	if a.json {
		return errors.Join(a.print(result), err)
	}
	return errors.Join(a.write(probeTable(result)), err)
}

// probeTable is the result for people.
func probeTable(r *measure.ProbeResult) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "samples\t%s\n", grouped(r.Samples))
	fmt.Fprintf(w, "parameters\t%s\n", grouped(r.Params))
	fmt.Fprintf(w, "loss\t%.6g\n", r.Loss)
	if x, ok := r.Accuracy.Get(); ok {
		fmt.Fprintf(w, "accuracy\t%.6g\n", x)
	}
	numberRows(w, r.Noise)
	numberRows(w, r.Flatness.Numbers)
	for i := 1; i < len(r.Flatness.TopEigenvalues); i++ {
		fmt.Fprintf(w, "eigenvalue %d\t%.6g\tresidual %.2g\n", i+1, r.Flatness.TopEigenvalues[i], r.Flatness.TopResiduals[i])
	}
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}

// numberRows prints a row a number, and its error behind it.
func numberRows(w io.Writer, list record.Numbers) {
	for _, x := range list {
		if strings.HasSuffix(x.Name, "_residual") || strings.HasSuffix(x.Name, "_stderr") {
			continue
		}
		fmt.Fprintf(w, "%s\t%.6g", x.Name, x.X)
		if e, ok := list.Get(x.Name + "_residual").Get(); ok {
			fmt.Fprintf(w, "\tresidual %.2g", e)
		}
		if e, ok := list.Get(x.Name + "_stderr").Get(); ok {
			fmt.Fprintf(w, "\tstandard error %.2g", e)
		}
		fmt.Fprintln(w)
	}
}
