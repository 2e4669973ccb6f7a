package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"sgflow/bench"
	"sgflow/data"
	"sgflow/engine/figure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
	"sgflow/models"
)

// benchCommand is `sgflow bench`.
type benchCommand struct {
	Model   []string `sep:"none" help:"Models, as train takes them, separated by commas; mlp,cnn where not given, and a larger CNN with several devices."`
	Data    string   `default:"mnist" help:"Data set, as train takes it."`
	Devices []string `default:"cpu" help:"What to compute on: cpu, cuda, cuda:N. With several, from which batch size on each is faster than the first."`
	Batch   []int    `default:"1,16,64,256,1024" help:"Batch sizes."`
	Threads []int    `help:"CPU threads; 1 and all cores where not given."`
	Measure []string `default:"none,noise,all" help:"What to measure at every step: none, noise, all, or a quantity; each is timed by itself."`
	DType   string   `name:"dtype" default:"float32" help:"Number type: float32 or float64."`
	Seconds float64  `default:"1" help:"How long to time each case."`
	Out     string   `type:"path" placeholder:"DIR" help:"Write the rows to bench.jsonl in this folder, and plots of step time against batch size as PNG and SVG."`
}

// Help returns the text below the summary in --help.
func (benchCommand) Help() string {
	return `A step is all that training does in one: gather the batch, compute the
gradient, measure, update. Cases of one model and batch size are timed in turns,
after a warm-up; ± is half the distance between the quartiles of the steps'
times. The share of the peak is of what this machine's kernels reach on a product
in cache. A GPU that trains by itself takes many steps at once, 100 or, measuring
flatness, 25, and a step's time is its share of that.

Examples:

  sgflow bench
  sgflow bench --model cnn --batch 64 --threads 1,2 --measure none,noise --json
  sgflow bench --devices cpu,cuda --out bench-cpu-cuda
  sgflow bench --model mlp:784-100-10,act=tanh --batch 32`
}

// largerCNN is compared between devices beside the presets.
const largerCNN = "cnn:conv32k5,relu,maxpool2,conv64k5,relu,maxpool2,fc512,relu,fc10"

// Run runs the command.
func (c *benchCommand) Run(a *app) error {
	if c.Seconds <= 0 || c.Seconds > 3600 {
		return request.BadValue("seconds", c.Seconds, "give a number above 0, at most 3600")
	}
	set, err := data.Open(c.Data)
	if err != nil {
		return request.Wrap(err)
	}
	described, err := c.describe()
	if err != nil {
		return err
	}
	out, err := c.open()
	if err != nil {
		return request.Wrap(err)
	}
	options := bench.Options{Time: time.Duration(c.Seconds * float64(time.Second))}
	header := described + benchHeader // comes with the first row, when no request is wrong
	var rows []bench.Row
	err = bench.Run(a.ctx, set, c.cases(), options, func(r bench.Row) error {
		rows = append(rows, r)
		line, err := jsonLine(r)
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return err
		}
		if a.json {
			return a.write(string(line))
		}
		text := header + benchRow(r)
		header = ""
		return a.write(text)
	})
	err = errors.Join(err, out.Close())
	if err != nil {
		return err
	}
	crossings := bench.Crossovers(rows)
	if c.Out != "" {
		if err := savePlots(c.Out, rows, crossings); err != nil {
			return err
		}
	}
	var lines strings.Builder
	for _, x := range crossings {
		fmt.Fprintf(&lines, "%s, measure %s: %s\n", x.Model, x.Measure, crossoverWords(x))
	}
	if a.json {
		fmt.Fprint(a.stderr, lines.String())
		return nil
	}
	return a.write(lines.String())
}

// describe says what is compared, a line a device; an error is that of a device
// that is not there.
func (c *benchCommand) describe() (string, error) {
	var b strings.Builder
	for _, name := range c.Devices {
		settings := problem.Default()
		settings.Device, settings.DType = name, c.DType
		d, err := settings.Find()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s: %s, %s kernels", d.Name, d.Model, d.Kernels)
		if clock := d.Clock(); clock > 0 {
			fmt.Fprintf(&b, ", %.0f MHz", clock)
		}
		if d.CUDA != nil {
			fmt.Fprintf(&b, ", %d multiprocessors, driver %s", d.Cores, d.CUDA.DriverString())
		} else {
			fmt.Fprintf(&b, ", %d cores", d.Cores)
		}
		fmt.Fprintln(&b)
	}
	return b.String(), nil
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
	threads, specs := c.Threads, c.Model
	if len(threads) == 0 {
		threads = slices.Compact([]int{1, runtime.GOMAXPROCS(0)})
	}
	if len(specs) == 0 {
		specs = []string{"mlp", "cnn"}
		if len(c.Devices) > 1 {
			specs = append(specs, largerCNN)
		}
	}
	var cases []bench.Case
	for _, model := range splitModels(specs) {
		for _, batch := range c.Batch {
			for _, device := range c.Devices {
				count := threads
				if device != "cpu" {
					count = threads[len(threads)-1:] // they only fill inputs there
				}
				for _, t := range count {
					for _, measure := range c.Measure {
						cases = append(cases, bench.Case{Device: device, Model: model, Batch: batch, Threads: t, Measure: measure, DType: c.DType})
					}
				}
			}
		}
	}
	return cases
}

// crossoverWords says where a device becomes faster than another.
func crossoverWords(x bench.Crossover) string {
	if x.Below == "" {
		return x.Above + " is faster at every batch size"
	}
	text := fmt.Sprintf("%s is faster from batch %.3g on", x.Above, x.Batch)
	switch {
	case x.From > 0 && x.To > 0:
		text += fmt.Sprintf(" (within the spreads: from %.3g to %.3g)", x.From, x.To)
	case x.From > 0:
		text += fmt.Sprintf(" (within the spreads: from %.3g on)", x.From)
	case x.To > 0:
		text += fmt.Sprintf(" (within the spreads: up to %.3g)", x.To)
	}
	return text
}

// savePlots draws the time of a step against the batch size, a figure a model,
// each device at its best number of threads, and writes the crossings beside them.
func savePlots(dir string, rows []bench.Row, crossings []bench.Crossover) error {
	charts := map[string]*figure.Chart{}
	for _, r := range rows {
		chart := charts[r.Model]
		if chart == nil {
			chart = &figure.Chart{X: figure.Axis{Label: "batch size", Log: true}, Y: figure.Axis{Label: "ms a step", Log: true}}
			charts[r.Model] = chart
		}
		label := r.Device + ", measure " + r.Measure
		i := slices.IndexFunc(chart.Series, func(s figure.Series) bool { return s.Label == label })
		if i < 0 {
			i = len(chart.Series)
			chart.Series = append(chart.Series, figure.Series{Label: label, Line: true, Marks: true})
		}
		s := &chart.Series[i]
		at := slices.IndexFunc(s.Points, func(p figure.Point) bool { return p.X == float64(r.Batch) })
		if at < 0 {
			at = len(s.Points)
			s.Points = append(s.Points, figure.Point{X: float64(r.Batch), Y: math.Inf(1)})
		}
		if r.MSPerStep < s.Points[at].Y {
			s.Points[at] = figure.Point{
				X: float64(r.Batch), Y: r.MSPerStep,
				Low: record.Some(r.MSPerStep * (1 - r.Spread)), High: record.Some(r.MSPerStep * (1 + r.Spread)),
			}
		}
	}
	for model, chart := range charts {
		for i := range chart.Series {
			slices.SortFunc(chart.Series[i].Points, func(p, q figure.Point) int { return cmp.Compare(p.X, q.X) })
		}
		f, err := chart.Draw("Time of a training step of "+model, "medians, each device at its best number of threads; bars are the quartiles")
		if err != nil {
			return err
		}
		if err := f.Save(filepath.Join(dir, "bench-"+fileName(model))); err != nil {
			return err
		}
	}
	return record.WriteFileAtomic(filepath.Join(dir, "crossovers.json"), func(w io.Writer) error {
		return json.NewEncoder(w).Encode(crossings)
	})
}

// fileName is a model's spec with what file names should not have replaced.
func fileName(spec string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(":,=/\\ ", r) {
			return '-'
		}
		return r
	}, spec)
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

const benchHeader = "model                device  batch  threads  measure    ms/step       ±    samples/s    steps  GFLOP/s  of peak\n"

// benchRow is a row for people.
func benchRow(r bench.Row) string {
	peak := "      –"
	if r.PeakShare > 0 {
		peak = fmt.Sprintf("%6.1f%%", 100*r.PeakShare)
	}
	return fmt.Sprintf("%-20s %-6s  %5d  %7d  %-7s %10.4g  %5.1f%%  %11s  %7s  %7.1f  %s\n", r.Model, r.Device, r.Batch, r.Threads, r.Measure,
		r.MSPerStep, 100*r.Spread, grouped(int(r.SamplesPerSecond)), grouped(r.Steps), r.GFLOPS, peak)
}
