package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"sgflow/engine/problem"
	"sgflow/engine/request"
	"sgflow/engine/sweep/queue"
	"sgflow/engine/sweep/worker"
	"sgflow/engine/train"
)

// natsFlags say where the queue of sweeps is.
type natsFlags struct {
	NATS    string `name:"nats" env:"SGFLOW_NATS" placeholder:"URL" help:"NATS server or cluster: nats://host:port or tls://host:port, with token@ or user:password@ before the host; servers separated by commas."`
	Creds   string `name:"nats-creds" type:"path" placeholder:"FILE" help:"Credentials file for the server."`
	TLSCA   string `name:"nats-tls-ca" type:"path" placeholder:"FILE" help:"Certificate of the authority that signed the server's."`
	TLSCert string `name:"nats-tls-cert" type:"path" placeholder:"FILE" help:"Certificate to show to the server."`
	TLSKey  string `name:"nats-tls-key" type:"path" placeholder:"FILE" help:"Key of that certificate."`
}

// options returns the options of the queue.
func (n *natsFlags) options() (queue.Options, error) {
	build, err := queue.ThisBuild()
	if err != nil {
		return queue.Options{}, err
	}
	for flag, path := range map[string]string{"creds": n.Creds, "tls-ca": n.TLSCA, "tls-cert": n.TLSCert, "tls-key": n.TLSKey} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return queue.Options{}, &request.Error{Err: fmt.Errorf("--nats-%s: %w", flag, err)}
		}
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		return queue.Options{}, &request.Error{Err: fmt.Errorf("--nats-tls-cert and --nats-tls-key go together: give both")}
	}
	return queue.Options{URL: n.NATS, Creds: n.Creds, CA: n.TLSCA, Cert: n.TLSCert, Key: n.TLSKey, Build: build}, nil
}

// workerCommand is `sgflow worker`.
type workerCommand struct {
	natsFlags `embed:""`

	Device   []string      `help:"What to compute on, one run at a time on each: cpu, cuda:0, cuda:1; what the run asks for where not given."`
	Threads  int           `help:"CPU threads of a run; 0 is all cores."`
	Name     string        `help:"Name of the worker in results; host and process where not given."`
	Dir      string        `type:"path" placeholder:"DIR" help:"Folder for runs under way and data sets; in the user's cache where not given."`
	Idle     time.Duration `help:"End after so long without work; 0 is never."`
	Lifeline bool          `hidden:"" help:"End when standard input does."`
}

// Help returns the text below the summary in --help.
func (workerCommand) Help() string {
	return `Takes runs of sweeps from a queue, one at a time, and trains. It needs nothing
but the queue's address: configurations, and where the sweep ships them data
sets, come through the queue. A run whose worker dies is given to another.

Examples:

  sgflow worker --nats nats://secret@head-node:4222
  sgflow worker --nats tls://nats.example.org:4222 --nats-creds worker.creds --device cuda:0 --idle 10m`
}

// Run runs the command.
func (c *workerCommand) Run(a *app) error {
	if c.NATS == "" {
		return &request.Error{Err: fmt.Errorf("worker: --nats is missing: give the address of the sweep's queue")}
	}
	if c.Threads < 0 || c.Idle < 0 {
		return &request.Error{Err: fmt.Errorf("worker: --threads and --idle cannot be below 0")}
	}
	for _, device := range c.Device {
		settings := problem.Default()
		settings.Device = device
		if _, err := settings.Find(); err != nil {
			return err
		}
	}
	o := worker.Options{Name: c.Name, Dir: c.Dir, Devices: c.Device, Threads: c.Threads, Idle: c.Idle}
	var err error
	if o.Queue, err = c.options(); err != nil {
		return err
	}
	if o.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "worker"
		}
		o.Name = fmt.Sprintf("%s-%d", host, os.Getpid())
	}
	if o.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return &request.Error{Err: fmt.Errorf("worker: %w: give --dir", err)}
		}
		o.Dir = filepath.Join(cache, "sgflow", "worker")
	}
	o.Log = func(text string) { fmt.Fprintf(a.stderr, "%s\n", text) }
	ctx := a.ctx
	if c.Lifeline {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	err = worker.Run(ctx, o)
	if errors.Is(err, queue.ErrBuild) {
		return &request.Error{Err: err}
	}
	if err != nil {
		return err
	}
	if a.ctx.Err() != nil {
		return fmt.Errorf("worker: %w: its run is handed back", train.ErrInterrupted)
	}
	return nil
}
