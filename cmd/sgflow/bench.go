package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sgflow/bench"
	"sgflow/data"
	"sgflow/engine/request"
	"sgflow/models"
)

// benchCommand is `sgflow bench`.
type benchCommand struct {
	Model   []string `sep:"none" default:"mlp,cnn" help:"Models, as train takes them, separated by commas."`
	Data    string   `default:"mnist" help:"Data set, as train takes it."`
	Batch   []int    `default:"1,16,64,256,1024" help:"Batch sizes."`
	Threads []int    `help:"CPU threads; 1 and all cores where not given."`
	Measure []string `default:"none,noise,all" help:"What to measure at every step: none, noise, all, or a quantity; each is timed by itself."`
	DType   string   `name:"dtype" default:"float32" help:"Number type: float32 or float64."`
	Seconds float64  `default:"1" help:"How long to time each case."`
	Out     string   `type:"path" placeholder:"DIR" help:"Also write the rows to bench.jsonl in this folder."`
}

// Help returns the text below the summary in --help.
func (benchCommand) Help() string {
	return `A step is all that training does in one: gather the batch, compute the
gradient, measure, update. Cases of one model and batch size are timed in turns.
The share of the peak is of what this machine's kernels reach on a product in
cache.

Examples:

  sgflow bench
  sgflow bench --model cnn --batch 64 --threads 1,2 --measure none,noise --json
  sgflow bench --model mlp:784-100-10,act=tanh --batch 32`
}

// Run runs the command.
func (c *benchCommand) Run(a *app) error {
	if c.Seconds <= 0 || c.Seconds > 3600 {
		return &request.Error{Err: fmt.Errorf("--seconds %v: give a number above 0, at most 3600", c.Seconds)}
	}
	set, err := data.Open(c.Data)
	if err != nil {
		return &request.Error{Err: err}
	}
	out, err := c.open()
	if err != nil {
		return &request.Error{Err: err}
	}
	options := bench.Options{Time: time.Duration(c.Seconds * float64(time.Second))}
	header := benchHeader
	err = bench.Run(a.ctx, set, c.cases(), options, func(r bench.Row) error {
		var line bytes.Buffer
		if err := json.NewEncoder(&line).Encode(r); err != nil {
			return err
		}
		if _, err := out.Write(line.Bytes()); err != nil {
			return err
		}
		if a.json {
			return a.write(line.String())
		}
		text := header + benchRow(r)
		header = ""
		return a.write(text)
	})
	if errors.Is(err, bench.ErrCase) {
		err = &request.Error{Err: err}
	}
	return errors.Join(err, out.Close())
}

// open makes the file for the rows; one that takes nothing where none is asked
// for.
func (c *benchCommand) open() (*os.File, error) {
	if c.Out == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(c.Out, 0o777); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	f, err := os.Create(filepath.Join(c.Out, "bench.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	return f, nil
}

// cases lists what is to be timed.
func (c *benchCommand) cases() []bench.Case {
	threads := c.Threads
	if len(threads) == 0 {
		threads = slices.Compact([]int{1, runtime.GOMAXPROCS(0)})
	}
	var cases []bench.Case
	for _, model := range splitModels(c.Model) {
		for _, batch := range c.Batch {
			for _, t := range threads {
				for _, measure := range c.Measure {
					cases = append(cases, bench.Case{Model: model, Batch: batch, Threads: t, Measure: measure, DType: c.DType})
				}
			}
		}
	}
	return cases
}

// splitModels cuts lists of models at those commas behind which a model starts:
// a preset or a word with a colon. The others belong to specs.
func splitModels(lists []string) []string {
	var specs []string
	for _, list := range lists {
		for i, word := range strings.Split(list, ",") {
			if i == 0 || strings.Contains(word, ":") || slices.Contains(models.Presets(), word) {
				specs = append(specs, word)
			} else {
				specs[len(specs)-1] += "," + word
			}
		}
	}
	return specs
}

const benchHeader = "model                batch  threads  measure    ms/step       ±    samples/s  GFLOP/s  of peak\n"

// benchRow is a row for people.
func benchRow(r bench.Row) string {
	return fmt.Sprintf("%-20s %5d  %7d  %-7s %10.4g  %5.1f%%  %11s  %7.1f  %6.1f%%\n", r.Model, r.Batch, r.Threads, r.Measure,
		r.MSPerStep, 100*r.Spread, grouped(int(r.SamplesPerSecond)), r.GFLOPS, 100*r.PeakShare)
}
