package sweep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sgflow/data"
	"sgflow/engine/problem"
	"sgflow/engine/request"
	"sgflow/engine/sweep/grid"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// Plan is a list of runs that training can do.
type Plan struct {
	Runs []store.Run
	// Hashes are the SHA-256 of the files of each data set, by its name.
	Hashes map[string]map[string]string
	// samples are the sizes of the training sets, by name.
	samples map[string]int
}

// NewPlan checks the configurations and makes runs of them. Paths in them are
// made absolute. An error is a request.Error that names the first run that could
// not be done.
func NewPlan(ctx context.Context, configs []train.Config) (*Plan, error) {
	p := &Plan{Hashes: map[string]map[string]string{}, samples: map[string]int{}}
	if len(configs) == 0 {
		return nil, &request.Error{Err: errors.New("the grid is empty: give at least one run")}
	}
	var name string // of the set that is in memory
	var set *data.Set
	open := func(n string) (*data.Set, error) {
		if n == name && set != nil {
			return set, nil
		}
		s, err := data.Open(n)
		if err != nil {
			return nil, err
		}
		name, set = n, s
		return s, nil
	}
	paths := map[string]string{}       // absolute, by what is given
	checked := map[train.Config]bool{} // without seeds: any is good
	for i, c := range configs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c = grid.Canonical(c)
		if err := absolute(&c, paths); err != nil {
			return nil, err
		}
		seedless := c
		seedless.Seed = 0
		if !checked[seedless] {
			s, err := train.Check(c, problem.WithData(open))
			if err != nil {
				return nil, &request.Error{Err: fmt.Errorf("%w (in run %d of %d: %s)", err, i+1, len(configs), Title(&c))}
			}
			p.Hashes[c.Data], p.samples[c.Data] = s.Hashes, s.Train.N
			checked[seedless] = true
		}
		p.Runs = append(p.Runs, store.Run{ID: grid.ID(c), Order: i, Config: c, Status: store.Queued})
	}
	return p, nil
}

// absolute makes paths in c absolute, so that they mean the same to workers,
// and remembers them in done.
func absolute(c *train.Config, done map[string]string) error {
	for _, path := range []*string{&c.Weights, &c.Data} {
		if _, ok := done[*path]; !ok {
			abs, err := filepath.Abs(*path)
			if err != nil {
				return &request.Error{Err: err}
			}
			if *path == "" || path == &c.Data && !isFolder(*path) {
				abs = *path
			}
			done[*path] = abs
		}
		*path = done[*path]
	}
	return nil
}

// isFolder reports whether data is a path, and not the name of a set.
func isFolder(name string) bool {
	if slices.ContainsFunc(data.List(), func(s data.SetInfo) bool { return s.Name == name }) {
		return false
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// Title describes a run in a few words.
func Title(c *train.Config) string {
	return fmt.Sprintf("%s, batch %d, rate %.4g, seed %d", c.Model, c.Batch, c.LR, c.Seed)
}

// Cost estimates how long a run of the plan takes, in the time of a sample's
// gradient: a step costs as much as its samples and a few dozen more.
func (p *Plan) Cost(c *train.Config) float64 {
	const overhead = 32
	n := p.samples[c.Data]
	if c.Limit > 0 {
		n = min(n, c.Limit)
	}
	batch := max(min(c.Batch, n), 1)
	if c.Sampling == string(data.Full) {
		batch = n
	}
	steps := c.Steps
	if steps == 0 {
		steps = c.Epochs * ((n + batch - 1) / batch)
	}
	return float64(steps) * float64(batch+overhead)
}

// jobs makes jobs of runs, the longest first, so that the last ones to end are
// short.
func (s *sweep) jobs(runs []store.Run) ([]queue.Job, error) {
	runs = slices.Clone(runs)
	slices.SortStableFunc(runs, func(a, b store.Run) int {
		x, y := s.plan.Cost(&a.Config), s.plan.Cost(&b.Config)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	var jobs []queue.Job
	for _, r := range runs {
		j := queue.Job{
			Sweep: s.id, Run: r.ID, Attempt: r.Attempts, Config: r.Config, Hashes: s.plan.Hashes[r.Config.Data],
			Data: s.shipped[r.Config.Data], KeepWeights: s.o.KeepWeights, MostDeliveries: s.o.MostDeliveries,
		}
		if r.Config.Weights != "" {
			f, ok := s.weights[r.Config.Weights]
			if !ok {
				return nil, fmt.Errorf("sweep: the weights %s were not stored", r.Config.Weights)
			}
			j.Weights = &f
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// ship puts weights that runs start from, and where asked their data, into the
// object store.
func (s *sweep) ship(ctx context.Context) error {
	s.shipped, s.weights = map[string][]queue.File{}, map[string]queue.File{}
	for i := range s.plan.Runs {
		path := s.plan.Runs[i].Config.Weights
		if _, ok := s.weights[path]; ok || path == "" {
			continue
		}
		f, err := s.q.Share(ctx, path)
		if err != nil {
			return err
		}
		f.Name = "weights.safetensors"
		s.weights[path] = f
	}
	if !s.o.ShipData {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.plan.Hashes)) {
		paths, err := dataFiles(name, s.plan.Hashes[name])
		if err != nil {
			return err
		}
		for _, path := range paths {
			f, err := s.q.Share(ctx, path)
			if err != nil {
				return err
			}
			s.shipped[name] = append(s.shipped[name], f)
		}
	}
	return nil
}

// dataFiles returns the paths of the files of a data set; none for one that is
// part of the program.
func dataFiles(name string, hashes map[string]string) ([]string, error) {
	dir := name
	for _, s := range data.List() {
		if s.Name == name {
			dir = s.Where
		}
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	var paths []string
	found := map[string]bool{}
	for _, e := range entries {
		plain := strings.TrimSuffix(e.Name(), ".gz")
		if _, ok := hashes[plain]; ok && !found[plain] {
			paths, found[plain] = append(paths, filepath.Join(dir, e.Name())), true
		}
	}
	if len(found) != len(hashes) {
		return nil, fmt.Errorf("sweep: %s cannot travel: %d of its %d files are in an archive in %s", name, len(hashes)-len(found), len(hashes), dir)
	}
	return paths, nil
}

// Name names a sweep after its runs: equal plans have equal names.
func (p *Plan) Name() string {
	h := sha256.New()
	for i := range p.Runs {
		_, _ = io.WriteString(h, p.Runs[i].ID) // a hash takes every write
	}
	return "sweep-" + hex.EncodeToString(h.Sum(nil)[:4])
}
