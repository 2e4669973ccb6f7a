package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"sgflow/engine/request"
	"sgflow/engine/train"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitRequest     = 2
	exitInterrupted = 130
)

// cli is the command line. Adding a command is adding a field and its file.
type cli struct {
	JSON bool `name:"json" help:"Print JSON on standard output, and nothing else there."`

	Train     trainCommand     `cmd:"" help:"Train a network and log noise and flatness at every step."`
	Probe     probeCommand     `cmd:"" help:"Measure noise and flatness of fixed weights on fixed samples."`
	Sweep     sweepCommand     `cmd:"" help:"Do many training runs, on this machine or on a cluster, and keep what they measured."`
	Worker    workerCommand    `cmd:"" help:"Do runs of sweeps that come through a queue."`
	Landscape landscapeCommand `cmd:"" help:"Draw slices of the loss surface, with the paths that training takes over them."`
	Spectrum  spectrumCommand  `cmd:"" help:"Estimate the density of the eigenvalues of the Hessian, and plot it."`
	Flow      flowCommand      `cmd:"" help:"Lay SGD, descent, gradient flow and stochastic differential equations side by side."`
	Measures  measuresCommand  `cmd:"" help:"List the quantities that can be measured, with definitions and costs."`
	Report    reportCommand    `cmd:"" help:"Say from runs or a sweep which batch size and rate to use, with plots."`
	Reproduce reproduceCommand `cmd:"" help:"Check published claims about SGD: each with its verdict, error bars and a page."`
	Guide     guideCommand     `cmd:"" help:"Read about what this program shows: from mini-batch gradients to flat minima, by commands."`
	Bench     benchCommand     `cmd:"" help:"Time training steps of this machine, by model, batch, threads and quantities."`
	Data      dataCommand      `cmd:"" help:"List, fetch, verify and describe data sets."`
	Devices   devicesCommand   `cmd:"" help:"List what runs can compute on."`
	Version   versionCommand   `cmd:"" help:"Print the version."`
}

// app is what commands work with.
type app struct {
	ctx            context.Context
	stdout, stderr io.Writer
	json           bool
}

// exit is the panic by which kong's own way out, after --help, ends run.
type exit int

// run is the program: it returns the exit code. It may be called concurrently.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			status, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(status)
		}
	}()
	var c cli
	c.Sweep.Run.Axes = sweepAxes()
	parser := kong.Must(&c,
		kong.Name("sgflow"),
		kong.Description("Train small networks with mini-batch SGD and watch, at every step, the noise in the gradient and the flatness of the loss."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.PostBuild(setDefaults),
	)
	a := &app{ctx: ctx, stdout: stdout, stderr: stderr}
	parsed, err := parser.Parse(joinNegative(args))
	if err != nil {
		return a.fail(&request.Error{Err: explain(err)})
	}
	a.json = c.JSON
	if err := parsed.Run(a); err != nil {
		return a.fail(err)
	}
	return exitDone
}

// joinNegative writes "--lr -1" as "--lr=-1", so that a negative number is a
// value and not a short flag.
func joinNegative(args []string) []string {
	var joined []string
	for _, arg := range args {
		last := len(joined) - 1
		if negative.MatchString(arg) && last >= 0 && strings.HasPrefix(joined[last], "--") && !strings.Contains(joined[last], "=") {
			joined[last] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

var negative = regexp.MustCompile(`^-[.0-9]`)

// fail prints the error and returns the exit code that belongs to it.
func (a *app) fail(err error) int {
	fmt.Fprintf(a.stderr, "sgflow: %v\n", err)
	var request *request.Error
	switch {
	case errors.Is(err, train.ErrInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &request):
		return exitRequest
	}
	return exitFailed
}

// print writes v as a line of JSON to standard output.
func (a *app) print(v any) error {
	text, err := jsonLine(v)
	if err != nil {
		return err
	}
	return a.write(string(text))
}

// write puts text on standard output.
func (a *app) write(text string) error {
	if _, err := io.WriteString(a.stdout, text); err != nil {
		return fmt.Errorf("writing to standard output: %w", err)
	}
	return nil
}

// jsonLine returns v as a line of JSON.
func jsonLine(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the result: %w", err)
	}
	return append(text, '\n'), nil
}
