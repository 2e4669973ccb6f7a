package queue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a NATS server within the process. It listens on the loopback
// address alone, on a port that the system chooses, and lets in who has its
// token.
type Server struct {
	s     *server.Server
	token string
}

// Serve starts a server that keeps its streams in the folder dir, as far as
// they were kept there before.
func Serve(dir string) (*Server, error) { return serve(dir, server.RANDOM_PORT, rand.Text()) }

// serve starts a server on a port, for who has the token.
func serve(dir string, port int, token string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "sgflow", Host: "127.0.0.1", Port: port, Authorization: token,
		JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true, DisableJetStreamBanner: true,
	})
	if err != nil {
		return nil, fmt.Errorf("queue: server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		s.Shutdown()
		return nil, errors.New("queue: the server did not start within 30 seconds")
	}
	if !s.JetStreamEnabled() {
		s.Shutdown()
		return nil, fmt.Errorf("queue: the server cannot keep its streams in %s", dir)
	}
	return &Server{s, token}, nil
}

// URL returns where the server is, with the token: whoever has it can take
// runs and hand in results.
func (s *Server) URL() string { return "nats://" + s.token + "@" + s.s.Addr().String() }

// Failed reports whether the server can no longer keep its streams, as on a
// full disk.
func (s *Server) Failed() bool { return !s.s.JetStreamEnabled() }

// Close stops the server. What it holds stays in its folder.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}
