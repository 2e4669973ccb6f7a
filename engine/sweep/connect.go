package sweep

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/store"
)

// newID returns a random id for a sweep.
func newID() (string, error) {
	var b [8]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}

// connect connects to the queue, of a server that it starts if there is none.
// A server of its own that cannot read what it kept begins anew: what was in it
// is done again.
func (s *sweep) connect(ctx context.Context) error {
	own := s.o.Queue.URL == ""
	err := s.tryConnect(ctx)
	if err == nil || !own || ctx.Err() != nil {
		return err
	}
	s.warn(fmt.Sprintf("%v: the queue is made anew", err))
	if err := os.RemoveAll(filepath.Join(s.o.Dir, queueDir)); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	s.o.Queue.URL = ""
	return s.tryConnect(ctx)
}

func (s *sweep) tryConnect(ctx context.Context) error {
	with := s.o.Queue
	if with.URL == "" {
		var err error
		if s.server, err = queue.Serve(filepath.Join(s.o.Dir, queueDir)); err != nil {
			return err
		}
		with.URL = s.server.URL()
	}
	with.Warn = s.warn
	s.o.Queue = with
	var err error
	if s.q, err = queue.Connect(ctx, with); err == nil {
		err = s.q.Open(ctx, s.id, s.o.Lease)
	}
	if err == nil && s.server != nil {
		// Nobody has runs of a server that has just been started.
		err = s.q.Clear(ctx, s.id)
	}
	if err != nil {
		s.disconnect()
		s.q, s.server = nil, nil
	}
	return err
}

// disconnect ends what connect began.
func (s *sweep) disconnect() {
	if s.q != nil {
		s.q.Close()
	}
	if s.server != nil {
		s.server.Close()
	}
}

func (s *sweep) warn(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.w.Warned(text)
}

// submit puts the runs into the queue that are open and do not wait for a next
// try. Those that are there already stay as they are.
func (s *sweep) submit(ctx context.Context) error {
	s.mu.Lock()
	var runs []store.Run
	for _, r := range s.open {
		if !s.waiting[r.ID] {
			runs = append(runs, r)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(runs, func(a, b store.Run) int { return a.Order - b.Order })
	jobs, err := s.jobs(runs)
	if err != nil {
		return err
	}
	return s.q.Submit(ctx, jobs)
}

// quiet is how long there must have been no outcome before runs are submitted
// again, in case the server has lost them.
const quiet = 2 * time.Minute

// watchQueue ends the sweep where its server has failed, and submits runs again
// that may have been lost, until ctx ends.
func (s *sweep) watchQueue(ctx context.Context, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.server != nil && s.server.Failed() {
			cancel(fmt.Errorf("sweep: the queue's server can no longer write to %s: is the disk full? What is done is kept: the same command goes on",
				filepath.Join(s.o.Dir, queueDir)))
			return
		}
		s.mu.Lock()
		due := time.Since(s.last) > quiet
		if due {
			s.last = time.Now()
		}
		s.mu.Unlock()
		if due {
			if err := s.submit(ctx); err != nil && !errors.Is(err, context.Canceled) {
				s.warn(err.Error())
			}
		}
	}
}
