package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"

	"sgflow/engine/nearest"
	"sgflow/engine/request"
	"sgflow/engine/sweep"
	"sgflow/engine/sweep/grid"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// sweepCommand is `sgflow sweep` and what belongs to it.
type sweepCommand struct {
	Run    sweepRunCommand    `cmd:"" default:"withargs" help:"Do the runs of a grid that are not done yet (what sgflow sweep does by itself)."`
	Ls     sweepLsCommand     `cmd:"" help:"List sweeps, or the runs of one."`
	Show   sweepShowCommand   `cmd:"" help:"Show a sweep, or one run of it."`
	Export sweepExportCommand `cmd:"" help:"Write the table of a sweep's runs as CSV or Parquet."`
}

// Help returns the text below the summary in --help.
func (sweepCommand) Help() string {
	return sweepRunCommand{}.Help() + "\n\nAll flags: sgflow sweep run --help."
}

// sweepRunCommand is `sgflow sweep`.
type sweepRunCommand struct {
	// Axes are the flags of training, each of which takes several values.
	Axes kong.Plugins `embed:""`

	Name string     `xor:"folder" help:"Name of the sweep: its folder is sweeps/NAME. Named after its runs where not given."`
	Out  string     `xor:"folder" type:"path" placeholder:"DIR" help:"Sweep folder instead."`
	File sweepFile  `name:"config" placeholder:"FILE" help:"Take settings from a YAML file with the flags' names as keys, values being one, a list, or a range; flags win. Under runs: a list of runs of their own."`
	list []settings // runs of their own in the file

	Seeds      int    `help:"Number of seeds, counted up from --seed."`
	ScaleLR    string `name:"scale-lr" placeholder:"RULE" help:"Scale --lr with the batch size: linear or sqrt."`
	ScaleBatch int    `default:"64" help:"Batch size that --lr is for, with --scale-lr."`

	Workers     int           `default:"-1" help:"Worker processes on this machine; one a core where not given, none with --nats."`
	Threads     int           `help:"CPU threads of a run; the cores shared among the workers where not given."`
	Retries     int           `default:"2" help:"How often a run that failed is tried again."`
	RetryWait   time.Duration `default:"5s" help:"Pause before it is tried again; doubles each time."`
	Lease       time.Duration `default:"15s" help:"A worker that was silent for so long is taken for lost, and its run given to another."`
	Deliveries  int           `default:"10" help:"How often a run is given to a worker before it is given up as one that kills them."`
	KeepWeights bool          `help:"Keep the final weights of every run."`
	ShipData    bool          `help:"Send the data set to the workers through the queue."`
	natsFlags   `embed:""`

	Slurm        bool     `help:"Start the workers as a Slurm job array of --workers tasks."`
	SlurmOptions []string `sep:"none" placeholder:"OPTION" help:"Option of sbatch, such as --slurm-options=--partition=gpu; may be given again."`
}

// Help returns the text below the summary in --help.
func (sweepRunCommand) Help() string {
	return `Every flag of sgflow train takes several values: a list (8,16,32) or a range:

  8..4096*2      8, 16, … 4096          0.01..1:log5   5 values, equal ratios
  1..9+2         1, 3, … 9              0..1:5         5 values, equal distances

The runs of the grid are spread over worker processes. Ctrl-C stops, and the same
command goes on; runs that are done are never repeated. The sweep folder gets
sweep.db (SQLite) and runs/<id>, the run folders.

Examples:

  sgflow sweep --batch 8..1024*2 --lr 0.02,0.1 --seeds 3 --epochs 2
  sgflow sweep --name critical --batch 16..4096*4 --lr 0.1 --scale-lr sqrt --until test-accuracy:0.97 --epochs 20
  sgflow sweep --config grid.yaml --workers 4 --json
  sgflow sweep --batch 32,64 --nats nats://secret@head-node:4222
  sgflow sweep --batch 32,64 --nats nats://secret@head-node:4222 --slurm --workers 16 --slurm-options=--partition=cpu
  sgflow sweep ls critical
  sgflow sweep export critical --csv`
}

// sweepAxes returns the flags of training that a sweep varies, made from those
// of the configuration.
func sweepAxes() kong.Plugins {
	var fields []reflect.StructField
	for _, f := range reflect.VisibleFields(reflect.TypeFor[train.Config]()) {
		name := f.Tag.Get("json")
		if name == "" || !slices.Contains(grid.Settings(), name) {
			continue
		}
		fields = append(fields, reflect.StructField{
			Name: f.Name, Type: reflect.TypeFor[[]string](),
			Tag: reflect.StructTag(fmt.Sprintf(`name:%q sep:"none" placeholder:"VALUES" help:%q`, name, f.Tag.Get("help"))),
		})
	}
	return kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}
}

// axes returns the values of the settings that are given.
func (c *sweepRunCommand) axes() (map[string][]string, error) {
	axes := map[string][]string{}
	v := reflect.ValueOf(c.Axes[0]).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		for _, text := range v.Field(i).Interface().([]string) {
			for _, element := range strings.Split(text, listMark) {
				values, err := grid.Values(tag.Get("name"), element)
				if err != nil {
					return nil, err
				}
				axes[tag.Get("name")] = append(axes[tag.Get("name")], values...)
			}
		}
	}
	return axes, nil
}

// request returns what is asked for.
func (c *sweepRunCommand) request() (*grid.Request, error) {
	axes, err := c.axes()
	if err != nil {
		return nil, err
	}
	r := &grid.Request{Axes: axes, Seeds: c.Seeds, ScaleLR: c.ScaleLR, ScaleBatch: c.ScaleBatch}
	for _, run := range c.list {
		r.Runs = append(r.Runs, run)
	}
	return r, nil
}

// configs returns the configurations of the runs: those of the grid, or, where
// none is asked for, those of the sweep that is there.
func (c *sweepRunCommand) configs(a *app) ([]train.Config, error) {
	r, err := c.request()
	if err != nil {
		return nil, &request.Error{Err: err}
	}
	if len(r.Axes) > 0 || len(r.Runs) > 0 || r.Seeds > 0 {
		configs, err := r.Plan()
		if err != nil {
			return nil, &request.Error{Err: fmt.Errorf("sweep: %w", err)}
		}
		return configs, nil
	}
	if c.Name == "" && c.Out == "" {
		return nil, &request.Error{Err: errors.New("sweep: nothing is asked for: give values for flags of training, such as --batch 8..1024*2 --seeds 3, or the --name of a sweep to go on with")}
	}
	s, err := store.Open(c.dir(nil))
	if err != nil {
		return nil, &request.Error{Err: fmt.Errorf("sweep: no flag of training is given, and there is nothing to go on with: %w", err)}
	}
	defer s.Close()
	runs, err := s.Runs(a.ctx)
	if err != nil {
		return nil, err
	}
	var configs []train.Config
	for _, run := range runs {
		configs = append(configs, run.Config)
	}
	return configs, nil
}

// dir returns the sweep folder, named after the runs where it is not given.
func (c *sweepRunCommand) dir(p *sweep.Plan) string {
	switch {
	case c.Out != "":
		return c.Out
	case c.Name != "":
		return filepath.Join(sweepsDir, c.Name)
	}
	return filepath.Join(sweepsDir, p.Name())
}

// sweepsDir is where sweeps are that have a name.
const sweepsDir = "sweeps"

// Run runs the command.
func (c *sweepRunCommand) Run(a *app) error {
	if c.Name != filepath.Base(c.Name) && c.Name != "" || c.Name == ".." || c.Name == "." {
		return &request.Error{Err: fmt.Errorf("--name %s: give a name, not a path (--out takes a path)", c.Name)}
	}
	configs, err := c.configs(a)
	if err != nil {
		return err
	}
	plan, err := sweep.NewPlan(a.ctx, configs)
	if err != nil {
		return err
	}
	o := sweep.Options{
		Dir: c.dir(plan), Workers: c.Workers, Threads: c.Threads, Retries: c.Retries, RetryWait: c.RetryWait,
		Lease: c.Lease, MostDeliveries: c.Deliveries, KeepWeights: c.KeepWeights, ShipData: c.ShipData,
	}
	if o.Queue, err = c.options(); err != nil {
		return err
	}
	if c.Workers == -1 {
		o.Workers = runtime.GOMAXPROCS(0)
		if c.NATS != "" {
			o.Workers = 0
		}
	}
	if c.Slurm {
		if c.Workers == -1 {
			return &request.Error{Err: errors.New("--slurm: give the number of tasks as --workers")}
		}
		o.Slurm = &sweep.Slurm{Tasks: o.Workers, Threads: max(c.Threads, 1), Options: c.SlurmOptions}
		o.Workers = 0
		if c.NATS == "" {
			fmt.Fprintln(a.stderr, "warning: without --nats the queue is for this machine alone: workers on other nodes cannot reach it")
		}
	}
	b := newBoard(a.stderr, plan, o.Dir)
	report, err := sweep.Run(a.ctx, plan, o, b)
	b.end()
	if report == nil {
		return err
	}
	return errors.Join(c.results(a, plan, o.Dir, err == nil), err, failures(report, o.Dir))
}

// failures is the error of a sweep in which runs failed.
func failures(r *sweep.Report, dir string) error {
	if r.Failed == 0 {
		return nil
	}
	return fmt.Errorf("sweep: %d of %d runs failed: `sgflow sweep ls %s` says why; the same command tries those again that need not fail", r.Failed, r.Failed+r.Done, sweepArg(dir))
}

// sweepArg returns how a sweep folder is named on the command line.
func sweepArg(dir string) string {
	if name, ok := strings.CutPrefix(filepath.ToSlash(dir), sweepsDir+"/"); ok && !strings.Contains(name, "/") {
		return name
	}
	return dir
}

// results prints a row for every run of the plan that is done: of a sweep that
// was interrupted for JSON alone.
func (c *sweepRunCommand) results(a *app, p *sweep.Plan, dir string, over bool) error {
	if !a.json && !over {
		return nil
	}
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	rows, err := s.Rows(a.ctx)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, r := range p.Runs {
		ids[r.ID] = true
	}
	return printRows(a, slices.DeleteFunc(rows, func(r store.Row) bool { return !ids[r.ID] }))
}

// sweepFile is a flag that names a YAML file of settings for a sweep.
type sweepFile string

// listMark separates the elements of a list from a file.
const listMark = "\n"

// BeforeResolve reads the file.
func (sweepFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(sweepFile))
	values, runs, err := readSweepFile(path, ctx.Selected())
	if err != nil {
		return err
	}
	ctx.Selected().Target.Addr().Interface().(*sweepRunCommand).list = runs
	ctx.AddResolver(values)
	return nil
}

// readSweepFile reads a YAML file of settings for the flags of a command.
func readSweepFile(path string, command *kong.Node) (values settings, runs []settings, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("--config: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return nil, nil, explainYAML(path, err, train.Config{})
	}
	names := []string{"runs"}
	for _, f := range command.Flags {
		if f.Name != "config" && f.Name != "help" {
			names = append(names, f.Name)
		}
	}
	values = settings{}
	for key, v := range keys {
		switch {
		case !slices.Contains(names, key):
			return nil, nil, fmt.Errorf("%s: unknown key %q: did you mean %s?", path, key, nearest.Name(key, names))
		case key == "runs":
			if runs, err = fileRuns(path, v); err != nil {
				return nil, nil, err
			}
		default:
			if values[key], err = fileValue(path, key, v); err != nil {
				return nil, nil, err
			}
		}
	}
	return values, runs, nil
}

// fileValue returns a value of a file as a flag takes it.
func fileValue(path, key string, v any) (string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var texts []string
	for _, x := range list {
		switch x.(type) {
		case string, bool, int, int64, uint64, float64:
			texts = append(texts, fmt.Sprint(x))
		default:
			return "", fmt.Errorf("%s: %s: %v is no value: give one, or a list", path, key, x)
		}
	}
	if len(texts) == 0 {
		return "", fmt.Errorf("%s: %s has no values: give one or remove the line", path, key)
	}
	return strings.Join(texts, listMark), nil
}

// fileRuns reads the list of runs of their own.
func fileRuns(path string, v any) ([]settings, error) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("%s: runs: give a list of runs, each with settings such as {batch: 8, lr: 0.1}", path)
	}
	var runs []settings
	for i, item := range list {
		keys, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: runs: the %d. is no run: give settings such as {batch: 8, lr: 0.1}", path, i+1)
		}
		run := settings{}
		for name, x := range keys {
			text, err := fileValue(path, name, x)
			if err != nil {
				return nil, err
			}
			run[name] = text
		}
		runs = append(runs, run)
	}
	return runs, nil
}
