package reproduce

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"sgflow/data"
	"sgflow/engine/request"
)

// DefaultSeeds is how many seeds an experiment averages over where nothing else is
// asked.
const DefaultSeeds = 3

// Lab is what experiments work with. Its methods may be called concurrently.
type Lab struct {
	Quick   bool     // seconds rather than minutes
	Seeds   []uint64 // at least two
	Threads int      // all that may be busy at once

	shared *shared
}

// shared is what labs of one process have in common.
type shared struct {
	mu       sync.Mutex
	sets     map[string]*data.Set
	progress func(line string)
}

// Config is a lab as a user asks for one.
type Config struct {
	Quick    bool
	Seed     uint64
	Seeds    int // how many; 0 is DefaultSeeds
	Threads  int // 0 is all cores
	Progress func(line string)
}

// NewLab returns a lab with the n seeds n·Seed … n·Seed+n−1, so that labs of
// different Seeds share none. Errors are request.Errors.
func NewLab(c Config) (*Lab, error) {
	n := c.Seeds
	switch {
	case n == 0:
		n = DefaultSeeds
	case n < 2:
		return nil, request.BadValue("seeds", n, "give 2 or more: a standard error takes two")
	}
	if c.Threads < 0 {
		return nil, request.BadValue("threads", c.Threads, "give 1 or more, or 0 for all cores")
	}
	l := &Lab{Quick: c.Quick, Threads: c.Threads, shared: &shared{sets: map[string]*data.Set{}, progress: c.Progress}}
	if l.Threads == 0 {
		l.Threads = runtime.GOMAXPROCS(0)
	}
	for i := range n {
		l.Seeds = append(l.Seeds, uint64(n)*c.Seed+uint64(i))
	}
	return l, nil
}

// Report tells the user what is being done.
func (l *Lab) Report(format string, args ...any) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if l.shared.progress != nil {
		l.shared.progress(fmt.Sprintf(format, args...))
	}
}

// Data returns a data set, which is opened once.
func (l *Lab) Data(name string) (*data.Set, error) {
	l.shared.mu.Lock()
	defer l.shared.mu.Unlock()
	if set := l.shared.sets[name]; set != nil {
		return set, nil
	}
	set, err := data.Open(name)
	if err == nil {
		l.shared.sets[name] = set
	}
	return set, err
}

// pick returns quick in a quick lab, else full.
func pick[E any](l *Lab, quick, full E) E {
	if l.Quick {
		return quick
	}
	return full
}

// Map calls f for 0 … n−1 and returns the results in that order. As many run at once
// as the lab has threads, each in a lab with its share of them. The first error ends
// the others by their context, and is returned.
func Map[R any](ctx context.Context, l *Lab, n int, f func(ctx context.Context, l *Lab, i int) (R, error)) ([]R, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	workers := max(min(n, l.Threads), 1)
	part := *l
	part.Threads = max(l.Threads/workers, 1)
	results := make([]R, n)
	next := make(chan int)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				r, err := f(ctx, &part, i)
				if err != nil {
					stop(err)
				}
				results[i] = r
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return results, nil
}

// EachSeed is Map over the lab's seeds.
func EachSeed[R any](ctx context.Context, l *Lab, f func(ctx context.Context, l *Lab, seed uint64) (R, error)) ([]R, error) {
	return Map(ctx, l, len(l.Seeds), func(ctx context.Context, l *Lab, i int) (R, error) { return f(ctx, l, l.Seeds[i]) })
}
