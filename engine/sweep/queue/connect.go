package queue

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options say where the queue is and who we are.
type Options struct {
	URL   string // nats://host:port or tls://host:port, a token or user:password before an @
	Creds string // credentials file, "" for none
	CA    string // file of the authority that signs the server's certificate, "" for the system's
	Cert  string // file of the client's certificate, "" for none
	Key   string // file of its key
	Build Build
	// Warn is told in a line of what is amiss but mends itself: a connection
	// that was lost and came back. Nil for nobody.
	Warn func(text string)
}

// Queue is a connection to the queue. It may be used concurrently. Where the
// server goes away, calls wait for it or fail, and work again when it is back.
type Queue struct {
	o     Options
	nc    *nats.Conn
	js    jetstream.JetStream
	files jetstream.ObjectStore
}

// ErrServer is the error of a server that cannot be reached or lacks what the
// queue needs.
var ErrServer = errors.New("no queue there")

// Names on the server.
const (
	runsStream     = "SGFLOW_RUNS"
	resultsStream  = "SGFLOW_RESULTS"
	filesBucket    = "SGFLOW_FILES"
	runsSubject    = "sgflow.runs."
	resultsSubject = "sgflow.results."
	progressPrefix = "sgflow.progress."
)

// keep is how long results stay that nobody collects.
const keep = 30 * 24 * time.Hour

// Connect connects to the queue, and makes its streams where they are missing.
// Close ends the connection.
func Connect(ctx context.Context, o Options) (*Queue, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	shown := Redacted(o.URL)
	with, err := o.nats(shown)
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(o.URL, with...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w: %v", shown, ErrServer, err)
	}
	q := &Queue{o: o, nc: nc}
	if err := q.prepare(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("queue: %s: %w: %v", shown, ErrServer, err)
	}
	return q, nil
}

// nats returns the options of the connection.
func (o *Options) nats(shown string) ([]nats.Option, error) {
	with := []nats.Option{
		nats.Name("sgflow"), nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.Timeout(10 * time.Second),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() && err != nil {
				o.Warn(fmt.Sprintf("lost the queue at %s (%v): waiting for it", shown, err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Warn("the queue is back") }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // the calls return theirs
	}
	for _, f := range []string{o.Creds, o.CA, o.Cert, o.Key} {
		if f == "" {
			continue
		}
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
	}
	if o.Creds != "" {
		with = append(with, nats.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		with = append(with, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		with = append(with, nats.ClientCert(o.Cert, o.Key))
	}
	return with, nil
}

// prepare makes the streams.
func (q *Queue) prepare(ctx context.Context) error {
	var err error
	if q.js, err = jetstream.New(q.nc, jetstream.WithPublishAsyncMaxPending(1000)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, c := range []jetstream.StreamConfig{
		{
			Name: runsStream, Subjects: []string{runsSubject + ">"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgSize: maxJob,
		},
		{
			Name: resultsStream, Subjects: []string{resultsSubject + ">"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
			MaxAge: keep, MaxMsgSize: maxOutcome,
		},
	} {
		if _, err := q.js.CreateStream(ctx, c); err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
	}
	if q.files, err = q.js.ObjectStore(ctx, filesBucket); errors.Is(err, jetstream.ErrBucketNotFound) {
		q.files, err = q.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: filesBucket, Description: "logs and weights of sgflow's runs, and data sets", TTL: keep, Storage: jetstream.FileStorage,
		})
		if errors.Is(err, jetstream.ErrBucketExists) { // another was first
			q.files, err = q.js.ObjectStore(ctx, filesBucket)
		}
	}
	return err
}

// Close ends the connection.
func (q *Queue) Close() { q.nc.Close() }

// Redacted returns the address of a server without what proves who we are.
func Redacted(address string) string {
	var all []string
	for part := range strings.SplitSeq(address, ",") {
		if u, err := url.Parse(part); err == nil && u.User != nil {
			u.User = nil
			part = u.String()
		}
		all = append(all, part)
	}
	return strings.Join(all, ",")
}
