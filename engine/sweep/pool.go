package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// URLVariable is the environment variable that a worker takes the queue's
// address from: a command line would show the token to every user.
const URLVariable = "SGFLOW_NATS"

// pool is the local workers: processes of their own, so that one that dies
// takes nothing with it.
type pool struct {
	s     *sweep
	log   *os.File
	group sync.WaitGroup
	ctx   context.Context
	end   context.CancelFunc
}

// startWorkers starts the local workers. Where they keep dying without a run
// being finished, cancel is called with the reason.
func (s *sweep) startWorkers(ctx context.Context, cancel context.CancelCauseFunc) (*pool, error) {
	p := &pool{s: s}
	var err error
	if p.log, err = os.OpenFile(filepath.Join(s.o.Dir, workersLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666); err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	p.ctx, p.end = context.WithCancel(context.WithoutCancel(ctx))
	n := min(s.o.Workers, s.left())
	for i := range n {
		p.group.Go(func() {
			if err := p.keep(fmt.Sprintf("local-%d", i+1), n); err != nil {
				cancel(err)
			}
		})
	}
	return p, nil
}

// stop ends the workers in good order and waits for them.
func (p *pool) stop() {
	p.end()
	p.group.Wait()
	_ = p.log.Close()
}

// deaths is how often in a row a worker may die without any run being finished.
const deaths = 5

// keep runs a worker, and another where it dies, until the pool is stopped.
func (p *pool) keep(name string, workers int) error {
	dead := 0
	for {
		before := p.s.finished()
		text, err := p.runOne(name, workers)
		if p.ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		if dead++; p.s.finished() > before {
			dead = 1
		}
		what := fmt.Sprintf("worker %s died (%v)", name, err)
		if text != "" {
			what += ": " + text
		}
		if dead == deaths {
			return fmt.Errorf("sweep: %s; that was %d times in a row, with no run finished in between. What is done is kept: when that is put right, the same command goes on", what, deaths)
		}
		p.s.warn(what + ": another takes its place")
		select {
		case <-time.After(time.Duration(dead*dead) * 100 * time.Millisecond):
		case <-p.ctx.Done():
			return nil
		}
	}
}

// finished returns how many runs are done or have failed.
func (s *sweep) finished() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.report.Done + s.report.Failed
}

// runOne runs a worker process to its end and returns the last line that it
// wrote.
func (p *pool) runOne(name string, workers int) (last string, err error) {
	o := p.s.o
	command := o.WorkerCommand
	if command == nil {
		path, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("sweep: %w", err)
		}
		command = []string{path}
	}
	threads := o.Threads
	if threads == 0 {
		threads = max(runtime.GOMAXPROCS(0)/workers, 1)
	}
	args := append(command[1:len(command):len(command)], "worker", "--lifeline", "--name", name,
		"--dir", filepath.Join(o.Dir, workDir), "--threads", fmt.Sprint(threads))
	args = append(args, o.credentials()...)
	c := exec.Command(command[0], args...)
	c.Env = append(os.Environ(), URLVariable+"="+o.Queue.URL)
	ownGroup(c)
	tail := &lastLine{to: p.log, prefix: name + ": "}
	c.Stderr = tail
	// The worker ends when its standard input does: with this process, however
	// it ends.
	lifeline, err := c.StdinPipe()
	if err != nil {
		return "", fmt.Errorf("sweep: %w", err)
	}
	if err := c.Start(); err != nil {
		return "", fmt.Errorf("sweep: %w", err)
	}
	defer context.AfterFunc(p.ctx, func() {
		_ = lifeline.Close()
		time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() }) // it has saved its state by then, or never will
	})()
	err = c.Wait()
	return tail.line(), err
}

// credentials returns the flags of a worker that say who it is.
func (o *Options) credentials() (flags []string) {
	for _, f := range [][2]string{{"creds", o.Queue.Creds}, {"tls-ca", o.Queue.CA}, {"tls-cert", o.Queue.Cert}, {"tls-key", o.Queue.Key}} {
		if f[1] != "" {
			flags = append(flags, "--nats-"+f[0]+"="+f[1])
		}
	}
	return flags
}

// lastLine writes lines to a file with a prefix, and keeps the last.
type lastLine struct {
	to     io.Writer
	prefix string
	rest   string
	last   string
}

func (l *lastLine) Write(text []byte) (int, error) {
	l.rest += string(text)
	for {
		line, rest, ok := strings.Cut(l.rest, "\n")
		if !ok {
			return len(text), nil
		}
		l.last, l.rest = line, rest
		if _, err := io.WriteString(l.to, l.prefix+line+"\n"); err != nil {
			continue // the log is for people: the sweep does without it
		}
	}
}

func (l *lastLine) line() string { return strings.TrimPrefix(l.last, "sgflow: ") }
