package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
)

// Run trains as c says and returns how it ended, which is in the run folder
// too. A folder that holds a run is an error unless force is set.
//
// Where ctx ends first, the step at hand is finished, the state saved, and the
// error is ErrInterrupted, wrapped. A wrong request is a request.Error; it comes
// before the folder is made.
func Run(ctx context.Context, c Config, force bool, r Reporter, with ...problem.Option) (*record.Summary, error) {
	p, err := c.open(with...)
	if err != nil {
		return nil, err
	}
	if c.Out == "" {
		c.Out = unused(defaultOut(&c, time.Now()))
	}
	if c.DType == problem.Float64 {
		return start[float64](ctx, &c, p, force, r)
	}
	return start[float32](ctx, &c, p, force, r)
}

// Resume goes on with the run in the folder dir from its last checkpoint, as if
// it had never stopped. c is the configuration of the stored run (ReadConfig),
// or differs from it in what results do not depend on; else the error is a
// request.Error. A run that has ended is left as it is.
func Resume(ctx context.Context, dir string, c Config, r Reporter, with ...problem.Option) (*record.Summary, error) {
	stored, run, err := readRun(dir)
	if err != nil {
		return nil, err
	}
	if err := conflict(&stored, &c); err != nil {
		return nil, err
	}
	if run.Summary != nil {
		r.Warned(fmt.Sprintf("the run in %s has ended: nothing to do", dir))
		return run.Summary, nil
	}
	p, err := c.open(with...)
	if err != nil {
		return nil, err
	}
	if err := sameWorld(run, p, r); err != nil {
		return nil, err
	}
	run.Config = &c
	if c.DType == problem.Float64 {
		return resume[float64](ctx, dir, &c, p, run, r)
	}
	return resume[float32](ctx, dir, &c, p, run, r)
}

// Listing returns what the model of c compiles to, in readable form.
func Listing(c Config) (string, error) {
	p, err := c.open()
	if err != nil {
		return "", err
	}
	if err := p.Compile(true); err != nil {
		return "", err
	}
	return p.Program.String(), nil
}

// Check returns the request.Error that Run would, without compiling the model
// or making the folder, and the data set.
func Check(c Config, with ...problem.Option) (*data.Set, error) {
	p, err := c.open(with...)
	if err != nil {
		return nil, err
	}
	if _, err := data.NewSampler(data.Sampling(c.Sampling), p.Train.N, c.Batch, c.Seed); err != nil {
		return nil, request.Wrap(err)
	}
	if _, err := c.sizes(p.Train.N); err != nil {
		return nil, err
	}
	if _, err := c.injection(p); err != nil {
		return nil, err
	}
	if _, err := c.swa(p); err != nil {
		return nil, err
	}
	_, err = c.flatnessSubset(p.Train.N)
	return p.Set, err
}

// open checks c and opens its problem.
func (c *Config) open(with ...problem.Option) (*problem.Opened, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c.Problem.Open(with...)
}

// start begins a new run.
func start[T engine.Float](ctx context.Context, c *Config, p *problem.Opened, force bool, r Reporter) (summary *record.Summary, err error) {
	t, err := newTrainer[T](c, p, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := problem.SetWeights(p, t.session); err != nil {
		return nil, err
	}
	t.folder, err = record.Create(c.Out, force)
	if err != nil {
		return nil, request.Wrap(err)
	}
	t.run = &record.Run{
		Config: c, Seed: c.Seed, Versions: Versions(), Device: p.Device.String(), Data: p.Set.Hashes, Started: time.Now(),
	}
	t.averages.begin()
	if err := t.beginPath(); err != nil {
		return nil, err
	}
	// The checkpoint comes first: a folder with a run.json can be resumed.
	t.epochAt = time.Now()
	if err := t.save(); err != nil {
		return nil, err
	}
	if err := t.folder.WriteRun(t.run); err != nil {
		return nil, t.failed(err)
	}
	if err := t.loop(ctx); err != nil {
		return nil, err
	}
	return &t.progress.Summary, nil
}

// resume goes on with a run.
func resume[T engine.Float](ctx context.Context, dir string, c *Config, p *problem.Opened, run *record.Run, r Reporter) (summary *record.Summary, err error) {
	t, err := newTrainer[T](c, p, r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	checkpoint, damaged, err := record.LatestCheckpoint(dir)
	for _, d := range damaged {
		r.Warned(d.Error())
	}
	if err != nil {
		return nil, request.Wrap(err)
	}
	if err := t.restore(checkpoint); err != nil {
		return nil, err
	}
	t.folder, err = record.Resume(dir, checkpoint.Step)
	if err != nil {
		return nil, request.Wrap(err)
	}
	if err := t.resumePath(dir); err != nil {
		return nil, err
	}
	t.run = run
	if err := t.loop(ctx); err != nil {
		return nil, err
	}
	return &t.progress.Summary, nil
}

// sameWorld compares what a run was started with beside its configuration.
// Other data is an error; another version or processor is a warning, as the
// last digits may differ.
func sameWorld(run *record.Run, p *problem.Opened, r Reporter) error {
	for name, hash := range p.Set.Hashes {
		if run.Data[name] != hash {
			return request.Wrap(fmt.Errorf("train: resume: the data has changed since the run began: %s has another SHA-256", name))
		}
	}
	for name, version := range Versions() {
		if run.Versions[name] != version {
			r.Warned(fmt.Sprintf("the run began with %s %s, this is %s: results may differ in the last digits", name, run.Versions[name], version))
		}
	}
	if device := p.Device.String(); run.Device != device {
		r.Warned(fmt.Sprintf("the run began on %s, this is %s: results may differ in the last digits", run.Device, device))
	}
	return nil
}

// unused returns path, or path-2, path-3, …, whichever is not there: runs may
// start in the same second.
func unused(path string) string {
	free := path
	for n := 2; ; n++ {
		if _, err := os.Lstat(free); errors.Is(err, fs.ErrNotExist) {
			return free
		} else if err != nil {
			return path // making it will say what is wrong
		}
		free = fmt.Sprintf("%s-%d", path, n)
	}
}

// defaultOut names a run folder by the time, the model and the data.
func defaultOut(c *Config, now time.Time) string {
	plain := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '=', r == '.':
				return r
			}
			return '_'
		}, s)
	}
	model := plain(c.Model)
	if len(model) > 60 {
		model = model[:60]
	}
	return filepath.Join("runs", now.Format("20060102-150405")+"-"+model+"-"+plain(filepath.Base(c.Data)))
}
