package data

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sgflow/engine/lock"
	"sgflow/engine/nearest"
)

// FetchOptions change how Fetch works; the zero value is right for most.
type FetchOptions struct {
	// Mirror is the address of a folder (http or https) to download from
	// instead of the published ones.
	Mirror string
	// Dir is used instead of CacheDir.
	Dir string
	// Progress, where set, is called on the calling goroutine as bytes of a
	// file come in; total is -1 where the server doesn't say.
	Progress func(file string, done, total int64)
	// Client makes the requests; http.DefaultClient where nil.
	Client *http.Client
	// IdleTimeout is how long a server may send nothing; 15 s where 0.
	IdleTimeout time.Duration
	// Retries is how often a file is tried again from one mirror after a
	// stall, a break or a busy server; 4 where 0, never where negative.
	Retries int
	// Backoff is the wait before the first retry, doubled before each
	// further one; 1 s where 0.
	Backoff time.Duration
}

// errFetching is the error of a second fetch of a set while one is running.
var errFetching = errors.New("another fetch of it is running; wait for it to end")

// Fetch downloads the files of a known data set into its folder in the cache
// and returns that folder. Files that are there and have the published hash are
// kept. A download that broke off, also in an earlier call, goes on where it
// ended. Every file is compared with its published hash before it gets its
// name, in one atomic step: what has the name is complete and right.
//
// The error says which file, which address and what was wrong; the part that
// came is kept for the next call. A cancelled context is returned as its cause.
// One fetch of a set runs at a time, on the whole machine; a second is an error.
func Fetch(ctx context.Context, name string, opt FetchOptions) (dir string, err error) {
	k := lookup(name)
	if k == nil {
		return "", fmt.Errorf("data: fetch: no published data set is called %q: did you mean %s? There are %s",
			name, nearest.Name(name, knownNames()), strings.Join(knownNames(), ", "))
	}
	return k.fetch(ctx, opt)
}

// fetch is Fetch for an entry.
func (k *knownSet) fetch(ctx context.Context, opt FetchOptions) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("data: fetch %s: %w", k.name, err) }
	mirrors := k.mirrors
	if opt.Mirror != "" {
		u, err := url.Parse(opt.Mirror)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return fail(fmt.Errorf("mirror %q: give an address that begins with http:// or https://", opt.Mirror))
		}
		mirrors = []string{strings.TrimSuffix(opt.Mirror, "/") + "/"}
	}
	root := opt.Dir
	if root == "" {
		var err error
		if root, err = CacheDir(); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(root, k.name)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fail(err)
	}
	held, err := lock.Try(filepath.Join(dir, ".lock"))
	if errors.Is(err, lock.ErrHeld) {
		return fail(errFetching)
	}
	if err != nil {
		return fail(err)
	}
	defer held.Close()

	d := downloader{
		client:  cmp.Or(opt.Client, http.DefaultClient),
		idle:    cmp.Or(opt.IdleTimeout, 15*time.Second),
		retries: max(cmp.Or(opt.Retries, 4), 0),
		backoff: cmp.Or(opt.Backoff, time.Second),
	}
	for i := range k.files {
		file := &k.files[i]
		d.progress = func(done, total int64) {
			if opt.Progress != nil {
				opt.Progress(file.name, done, total)
			}
		}
		if err := d.fetchFile(ctx, mirrors, dir, file); err != nil {
			return fail(fmt.Errorf("%s: %w", file.name, err))
		}
	}
	return dir, nil
}

// fetchFile makes sure that dir holds the file as published, from the first of
// the mirrors that has it.
func (d *downloader) fetchFile(ctx context.Context, mirrors []string, dir string, file *knownFile) error {
	final := filepath.Join(dir, file.name)
	if info, err := os.Stat(final); err == nil && checkPublished(final, file) == nil {
		d.progress(info.Size(), info.Size())
		return nil
	}
	var tried []string
	for _, mirror := range mirrors {
		err := d.download(ctx, mirror+file.name, final, func(part string) error { return checkPublished(part, file) })
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if local := (*os.PathError)(nil); errors.As(err, &local) {
			return err // another mirror won't help
		}
		tried = append(tried, fmt.Sprintf("%s%s: %v", mirror, file.name, err))
	}
	return errors.New(strings.Join(tried, "; "))
}

// checkPublished compares the file at path with the published hash.
func checkPublished(path string, file *knownFile) error {
	algorithm, want := file.published(true)
	if algorithm == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := hashOf(f, algorithm)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("corrupt or another file: its %s is %s, published is %s", algorithm, got, want)
	}
	return nil
}
