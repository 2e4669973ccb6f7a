package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"sgflow/engine/figure"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/engine/train"
)

// spectrumCommand is `sgflow spectrum`.
type spectrumCommand struct {
	Config train.SpectrumConfig `embed:""`

	Out  string     `type:"path" placeholder:"DIR" help:"Write spectrum.json, spectrum.png and spectrum.svg to this folder."`
	File configFile `name:"config" placeholder:"FILE" help:"Take settings from a YAML file with the flags' names as keys; flags win."`
}

// Help returns the text below the summary in --help.
func (spectrumCommand) Help() string {
	return `Stochastic Lanczos quadrature: each random probe takes --order Hessian-vector
products, all on exactly the given samples. The density is the mean over the
probes, each eigenvalue broadened to a Gaussian; trace and Frobenius norm come
with standard errors, the ends of the spectrum with residuals.

Examples:

  sgflow spectrum --model cnn --weights runs/cnn/checkpoints/weights.safetensors --indices 0:1000 --out spectra/cnn
  sgflow spectrum --model mlp:784-32-10 --limit 500 --order 120 --probes 20 --sigma 0.02 --json`
}

func (spectrumCommand) defaults() any {
	c := train.DefaultSpectrum()
	return &c
}

// Run runs the command.
func (c *spectrumCommand) Run(a *app) error {
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o777); err != nil {
			return &request.Error{Err: fmt.Errorf("--out: %w", err)}
		}
	}
	progress := newConsole(a.stderr)
	began := time.Now()
	shown := began
	result, err := train.Spectrum(a.ctx, c.Config, func(done, total int) {
		if now := time.Now(); progress.terminal() && now.Sub(shown) >= 100*time.Millisecond {
			shown = now
			progress.status(spectrumStatus(done, total, c.Config.Probes, now.Sub(began)))
		}
	})
	progress.end()
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := saveSpectrum(c.Out, result); err != nil {
			return err
		}
	}
	if a.json {
		return a.print(result)
	}
	return a.write(spectrumTable(result, c.Out))
}

// spectrumStatus is the progress after done of at most total products.
func spectrumStatus(done, total, probes int, took time.Duration) []string {
	fields := []string{
		fmt.Sprintf("probe %d/%d", done/(total/probes)+1, probes),
		fmt.Sprintf("Hessian-vector product %d/%d", done+1, total),
	}
	if done > 0 {
		fields = append(fields, clock(took.Seconds()/float64(done)*float64(total-done))+" left")
	}
	return fields
}

// saveSpectrum writes the result and its figure to the folder.
func saveSpectrum(dir string, r *train.SpectrumResult) error {
	c := &r.Config
	samples := c.Split
	if c.Indices != "" {
		samples += " " + c.Indices
	}
	weights := fmt.Sprintf("initial weights of seed %d", c.Seed)
	if c.Weights != "" {
		weights = c.Weights
	}
	trace := fmt.Sprintf("tr H = %.4g", r.Trace)
	if e, ok := r.TraceStderr.Get(); ok {
		trace += fmt.Sprintf(" ± %.2g", e)
	}
	f, err := figure.Spectrum(r.SpectrumResult,
		fmt.Sprintf("Hessian spectrum of %s, %s parameters, %s", c.Model, grouped(r.Params), weights),
		fmt.Sprintf("%s on %s, %s, %s samples", c.Loss, c.Data, samples, grouped(r.Samples)),
		fmt.Sprintf("λmax = %.4g, λmin = %.3g, %s", r.LambdaMax, r.LambdaMin, trace))
	if err != nil {
		return err
	}
	base := filepath.Join(dir, "spectrum")
	if err := f.Save(base); err != nil {
		return err
	}
	return record.WriteFileAtomic(base+".json", func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
}

// spectrumTable is the result for people.
func spectrumTable(r *train.SpectrumResult, dir string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	with := func(name string, x float64, what string, e record.Opt) {
		fmt.Fprintf(w, "%s\t%.6g", name, x)
		if y, ok := e.Get(); ok {
			fmt.Fprintf(w, "\t%s %.2g", what, y)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "samples\t%s\n", grouped(r.Samples))
	fmt.Fprintf(w, "parameters\t%s\n", grouped(r.Params))
	fmt.Fprintf(w, "loss\t%.6g\n", r.Loss)
	with("lambda_max", r.LambdaMax, "residual", record.Some(r.LambdaMaxResidual))
	with("lambda_min", r.LambdaMin, "residual", record.Some(r.LambdaMinResidual))
	with("trace", r.Trace, "standard error", r.TraceStderr)
	with("frobenius_sq", r.FrobeniusSq, "standard error", r.FrobeniusSqStderr)
	fmt.Fprintf(w, "sigma\t%.3g\n", r.Sigma)
	fmt.Fprintf(w, "Hessian-vector products\t%d\n", r.HV)
	if dir != "" {
		fmt.Fprintf(w, "files\t%s\n", filepath.Join(dir, "spectrum.{json,png,svg}"))
	} else {
		fmt.Fprintf(w, "files\tnone: --out DIR writes the density and its plot\n")
	}
	_ = w.Flush() // a strings.Builder takes every write
	return b.String()
}
