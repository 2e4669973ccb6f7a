package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"sgflow/data"
	"sgflow/engine/problem"
	"sgflow/engine/sweep/store"
	"sgflow/engine/train"
)

// longSweep returns the flags of a sweep of six runs, each of half a second or
// so, without a folder.
func longSweep(t testing.TB) []string {
	t.Helper()
	return []string{"sweep", "--data", smallData(t), "--model", "mlp:36-8-4", "--batch", "16,32,64", "--lr", "0.05", "--seeds", "2",
		"--steps", "6000", "--measure", "noise", "--workers", "2", "--lease", "1s", "--json"}
}

// undisturbed returns the table of the sweep as it should be.
func undisturbed(t *testing.T, flags []string) string {
	t.Helper()
	c := program(append(flags, "--out", filepath.Join(t.TempDir(), "whole"))...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	if code, stderr := start(t, c).end(); code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return stdout.String()
}

// wantTable runs the sweep to its end, and fails the test unless it prints
// that table.
func wantTable(t *testing.T, flags []string, want string) {
	t.Helper()
	c := program(flags...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	code, stderr := start(t, c).end()
	if code != exitDone || stdout.String() != want {
		t.Errorf("exit %d, the table is\n%swant\n%s%s", code, &stdout, want, stderr)
	}
}

// children returns the processes that the process started.
func children(t testing.TB, pid int) (list []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			list = append(list, id)
		}
	}
	return list
}

func TestKilledWorkersLoseNothing(t *testing.T) {
	flags := longSweep(t)
	want := undisturbed(t, flags)
	out := filepath.Join(t.TempDir(), "sweep")
	c := program(append(flags, "--out", out)...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	p := start(t, c)
	for _, moment := range []string{"1/6 done", "3/6 done"} {
		p.await(moment)
		workers := children(t, c.Process.Pid)
		if len(workers) == 0 {
			t.Fatal("there are no workers")
		}
		if err := syscall.Kill(workers[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	code, stderr := p.end()
	if code != exitDone || stdout.String() != want || strings.Count(stderr, "died") != 2 {
		t.Errorf("exit %d, the table is\n%swant\n%s%s", code, &stdout, want, stderr)
	}
}

func TestKilledSweepGoesOnToTheSameTable(t *testing.T) {
	flags := longSweep(t)
	want := undisturbed(t, flags)
	out := filepath.Join(t.TempDir(), "sweep")
	flags = append(flags, "--out", out)
	for _, moment := range []string{"runs in", "2/6 done", "4/6 done"} {
		c := program(flags...)
		p := start(t, c)
		p.await(moment)
		workers := children(t, c.Process.Pid)
		p.signal(os.Kill)
		if code, stderr := p.end(); code != -1 {
			t.Fatalf("the process ended with %d before it was killed:\n%s", code, stderr)
		}
		// Its workers end with it.
		for _, pid := range workers {
			for deadline := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("worker %d is still there", pid)
				}
			}
		}
	}
	wantTable(t, flags, want)
}

// alive reports whether a process is there and no zombie.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func TestInterruptedSweepGoesOnToTheSameTable(t *testing.T) {
	flags := longSweep(t)
	want := undisturbed(t, flags)
	flags = append(flags, "--out", filepath.Join(t.TempDir(), "sweep"))
	p := start(t, program(flags...))
	p.await("2/6 done")
	p.signal(os.Interrupt)
	if code, stderr := p.end(); code != exitInterrupted || !strings.Contains(stderr, "the same command goes on") {
		t.Fatalf("exit %d:\n%s", code, stderr)
	}
	wantTable(t, flags, want)
}

// The queue's server is stopped while runs are under way, and started again where
// it was, as when its machine is.
func TestServerThatIsRestartedLosesNoRun(t *testing.T) {
	dir, port := t.TempDir(), natsserver.RANDOM_PORT
	serve := func() *natsserver.Server {
		s, err := natsserver.NewServer(&natsserver.Options{
			Host: "127.0.0.1", Port: port, Authorization: "let-me-in", JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("the server does not start")
		}
		port = s.Addr().(*net.TCPAddr).Port
		return s
	}
	s := serve()
	flags := longSweep(t)
	want := undisturbed(t, flags)
	flags = append(flags, "--nats", fmt.Sprintf("nats://let-me-in@127.0.0.1:%d", port), "--out", filepath.Join(t.TempDir(), "sweep"))
	c := program(flags...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	p := start(t, c)
	for _, moment := range []string{"1/6 done", "3/6 done"} {
		p.await(moment)
		s.Shutdown()
		s.WaitForShutdown()
		time.Sleep(300 * time.Millisecond) // runs end meanwhile
		s = serve()
	}
	code, stderr := p.end()
	s.Shutdown()
	if code != exitDone || stdout.String() != want {
		t.Errorf("exit %d, the table is\n%swant\n%s%s", code, &stdout, want, stderr)
	}
}

// A disk that is full ends the sweep with a word, and when there is room again
// the same command ends as if nothing had been.
func TestFullDiskLosesNoRun(t *testing.T) {
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=24m"); err != nil {
		t.Skipf("a small file system needs more rights: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	flags := longSweep(t)
	want := undisturbed(t, flags)
	flags = append(flags, "--out", filepath.Join(disk, "sweep"))
	// Room for about two of the six runs.
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 14<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	c := program(flags...)
	code, stderr := start(t, c).end()
	if code != exitFailed || !strings.Contains(stderr, "the same command") || strings.Contains(stderr, "goroutine") {
		t.Fatalf("exit %d:\n%s", code, stderr)
	}
	t.Log(stderr)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=400m"); err != nil {
		t.Fatal(err)
	}
	wantTable(t, flags, want)
}

// TestSweepSpeed measures what a sweep costs: see make bench-sweep.
func TestSweepSpeed(t *testing.T) {
	if os.Getenv("SGFLOW_BENCH") == "" {
		t.Skip("SGFLOW_BENCH is not set: this measures times of a calm machine")
	}
	out := filepath.Join(t.TempDir(), "sweep")
	c := program("sweep", "--batch", "32..256*2", "--seeds", "10", "--limit", "20000", "--epochs", "1", "--measure", "noise", "--workers", "2", "--out", out)
	began := time.Now()
	p := start(t, c)
	p.timer.Reset(30 * time.Minute)
	if code, stderr := p.end(); code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	wall := time.Since(began).Seconds()
	s, err := store.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	runs, err := s.Runs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ideal := twoAtATime(t, runs)
	memory := float64(p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	overhead := 2 * (wall - ideal) / float64(len(runs))
	t.Logf("%d runs, 2 workers: %.1f s; the same runs two at a time in one process, data in memory: %.1f s; %.3f × that; %.3f s more a run; the sweep's process took at most %.0f MiB",
		len(runs), wall, ideal, wall/ideal, overhead, memory)
	if wall > 1.15*ideal || overhead > 0.5 || memory > 300 {
		t.Error("more than 1.15 × ideal, 0.5 s a run or 300 MiB")
	}
}

// twoAtATime returns how many seconds the runs take without a sweep: training
// alone, on one thread each, two at a time.
func twoAtATime(t *testing.T, runs []store.Run) float64 {
	t.Helper()
	set, err := data.Open("mnist")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	next := make(chan store.Run, len(runs))
	for _, r := range runs {
		next <- r
	}
	close(next)
	began := time.Now()
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for r := range next {
				r.Config.Threads, r.Config.Out = 1, filepath.Join(dir, r.ID)
				if _, err := train.Run(context.Background(), r.Config, false, &report{console: newConsole(io.Discard), now: time.Now},
					problem.WithData(func(string) (*data.Set, error) { return set, nil })); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	return time.Since(began).Seconds()
}

func TestSweepOfTenThousand(t *testing.T) {
	if os.Getenv("SGFLOW_BENCH") == "" {
		t.Skip("SGFLOW_BENCH is not set: this measures times of a calm machine")
	}
	out := filepath.Join(t.TempDir(), "sweep")
	c := program("sweep", "--batch", "16", "--seeds", "10000", "--data", smallData(t), "--model", "mlp:36-8-4", "--steps", "2", "--measure", "none", "--workers", "1", "--out", out)
	began := time.Now()
	p := start(t, c)
	p.timer.Reset(30 * time.Minute)
	p.await("1/10000 done")
	enqueued := time.Since(began)
	p.await("50/10000 done")
	list := program("sweep", "ls", out)
	var stdout bytes.Buffer
	list.Stdout = &stdout
	began = time.Now()
	if code, stderr := start(t, list).end(); code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	listed := time.Since(began)
	p.signal(os.Interrupt)
	_, _ = p.end()
	memory := float64(p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
	t.Logf("10,000 runs: planned, stored, queued and the first done in %v; listed in %v (%d lines); at most %.0f MiB",
		enqueued, listed, bytes.Count(stdout.Bytes(), []byte{'\n'}), memory)
	if enqueued > 5*time.Second || listed > time.Second || memory > 300 {
		t.Error("more than 5 s, 1 s or 300 MiB")
	}
}
