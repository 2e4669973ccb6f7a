package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"sgflow/data"
	"sgflow/engine/sweep/queue"
)

// cache holds the data set of the last run, as the next one most often has the
// same.
type cache struct {
	key string
	set *data.Set
}

// open returns the function by which the run gets its data set: this machine's
// of that name, or what travelled with the sweep. A set with other hashes than
// the sweep's is an error.
func (c *cache) open(ctx context.Context, w *worker, job *queue.Job) (func(string) (*data.Set, error), error) {
	key, err := dataKey(job)
	if err != nil {
		return nil, err
	}
	if c.key == key {
		return c.get, nil
	}
	c.key, c.set = "", nil // before the next is in memory too
	path := job.Config.Data
	if len(job.Data) > 0 {
		path = filepath.Join(w.o.Dir, "data-"+key)
		for _, f := range job.Data {
			if err := w.fetch(ctx, f, filepath.Join(path, f.Name)); err != nil {
				return nil, err
			}
		}
	}
	set, err := data.Open(path)
	if err != nil && missing(path) {
		w.o.Log(fmt.Sprintf("fetching %s", path))
		if _, fetchErr := data.Fetch(ctx, path, data.FetchOptions{}); fetchErr == nil {
			set, err = data.Open(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w (with `sgflow sweep --ship-data` the data set travels to its workers)", err)
	}
	if !maps.Equal(set.Hashes, job.Hashes) {
		return nil, fmt.Errorf("worker: %s on this machine is not what the sweep was started with: its files have other SHA-256", job.Config.Data)
	}
	c.key, c.set = key, set
	return c.get, nil
}

// missing reports whether name is a data set that could be fetched and is not
// here.
func missing(name string) bool {
	for _, s := range data.List() {
		if s.Name == name {
			return s.Where == ""
		}
	}
	return false
}

func (c *cache) get(string) (*data.Set, error) { return c.set, nil }

// dataKey is a hash of what the data set of a job is.
func dataKey(job *queue.Job) (string, error) {
	text, err := json.Marshal([]any{job.Config.Data, job.Hashes, len(job.Data) > 0}) // maps are written in order
	if err != nil {
		return "", fmt.Errorf("worker: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// shared returns the path of a file that travelled, by its hash.
func (w *worker) shared(ctx context.Context, f queue.File) (string, error) {
	path := filepath.Join(w.o.Dir, "file-"+f.SHA256)
	return path, w.fetch(ctx, f, path)
}

// fetch gets a file that travels, unless it is there. It was checked when it
// came.
func (w *worker) fetch(ctx context.Context, f queue.File, path string) error {
	if info, err := os.Stat(path); err == nil && info.Size() == f.Size {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("worker: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return w.q.Get(ctx, f, path)
}
