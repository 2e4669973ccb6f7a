package main

import (
	"errors"
	"fmt"
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
  sgflow probe --model mlp:784-16-10 --split test --top 5 --exact-trace --json`
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
	row := func(name string, o record.Opt) {
		if x, ok := o.Get(); ok {
			fmt.Fprintf(w, "%s\t%.6g\n", name, x)
		}
	}
	with := func(name string, o record.Opt, what string, e record.Opt) {
		if x, ok := o.Get(); ok {
			y, _ := e.Get()
			fmt.Fprintf(w, "%s\t%.6g\t%s %.2g\n", name, x, what, y)
		}
	}
	fmt.Fprintf(w, "samples\t%s\n", grouped(r.Samples))
	fmt.Fprintf(w, "parameters\t%s\n", grouped(r.Params))
	row("loss", record.Some(r.Loss))
	row("accuracy", r.Accuracy)
	n, f := &r.Noise, &r.Flatness
	row("grad_norm_sq", n.GradNormSq)
	row("grad_var_trace", n.GradVarTrace)
	row("grad_norm_sq_unbiased", n.GradNormSqUnbiased)
	row("noise_scale", n.NoiseScale)
	row("fisher_trace", n.FisherTrace)
	with("lambda_max", f.LambdaMax, "residual", f.LambdaMaxResidual)
	for i, x := range f.TopEigenvalues[min(1, len(f.TopEigenvalues)):] {
		fmt.Fprintf(w, "eigenvalue %d\t%.6g\n", i+2, x)
	}
	row("lambda_min", f.LambdaMin)
	with("trace", f.Trace, "standard error", f.TraceStderr)
	row("batch_sharpness", f.BatchSharpness)
	fmt.Fprintf(w, "Hessian-vector products\t%d\n", f.HV)
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}
