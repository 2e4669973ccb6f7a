//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sgflow/engine/record"
)

// process is a run of the program in a process of its own.
type process struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Scanner // of its standard error
	text  strings.Builder
	timer *time.Timer
}

// start starts the command, and kills it after a minute.
func start(t *testing.T, c *exec.Cmd) *process {
	t.Helper()
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{Cmd: c, t: t, lines: bufio.NewScanner(pipe), timer: time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() })}
}

// await reads standard error up to a line that contains word, and returns it.
func (p *process) await(word string) string {
	p.t.Helper()
	for p.lines.Scan() {
		fmt.Fprintln(&p.text, p.lines.Text())
		if strings.Contains(p.lines.Text(), word) {
			return p.lines.Text()
		}
	}
	p.t.Fatalf("the process ended without %q:\n%s", word, p.text.String())
	return ""
}

// signal sends a signal.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for the process and returns its exit code, −1 where a signal ended
// it, and its standard error.
func (p *process) end() (code int, stderr string) {
	p.t.Helper()
	for p.lines.Scan() {
		fmt.Fprintln(&p.text, p.lines.Text())
	}
	err := p.Wait()
	p.timer.Stop()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), p.text.String()
}

func TestKilledProcessResumesToTheSameBits(t *testing.T) {
	flags, whole := smallRun(t, "4000")
	mustTrain(t, flags)
	for _, moment := range []string{"folder", "epoch 1/400", "epoch 40/400"} {
		out := filepath.Join(t.TempDir(), "killed")
		p := start(t, program(append([]string{"train", "--checkpoint-every", "0.05"}, append(remove(flags, "--out"), "--out", out)...)...))
		p.await(moment)
		p.signal(os.Kill)
		if code, stderr := p.end(); code != -1 {
			t.Fatalf("the process ended with %d before it was killed:\n%s", code, stderr)
		}
		mustTrain(t, nil, "--resume", out)
		wantSameOutcome(t, out, whole)
	}
}

func TestInterruptSavesAndExitsWith130(t *testing.T) {
	flags, whole := smallRun(t, "4000")
	mustTrain(t, flags)
	for _, sent := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		out := filepath.Join(t.TempDir(), "interrupted")
		p := start(t, program(append([]string{"train"}, append(remove(flags, "--out"), "--out", out)...)...))
		p.await("epoch 10/400")
		p.signal(sent)
		if code, stderr := p.end(); code != exitInterrupted || !strings.Contains(stderr, "sgflow train --resume "+out) {
			t.Fatalf("%v: exit %d:\n%s", sent, code, stderr)
		}
		checkpoint, damaged, err := record.LatestCheckpoint(out)
		if err != nil || damaged != nil {
			t.Fatal(err, damaged)
		}
		steps, err := record.ReadSteps(filepath.Join(out, "steps.jsonl"))
		if err != nil || len(steps) != checkpoint.Step {
			t.Errorf("%d steps logged, %d saved, %v", len(steps), checkpoint.Step, err)
		}
		mustTrain(t, nil, "--resume", out)
		wantSameOutcome(t, out, whole)
	}
}

// A limit on the size of files stands for a full disk: a write fails in the
// middle of a line.
func TestFullDiskIsAnErrorThatKeepsTheLog(t *testing.T) {
	flags, out := smallRun(t, "4000")
	whole := filepath.Join(t.TempDir(), "whole")
	mustTrain(t, append(remove(flags, "--out"), "--out", whole))
	c := program(append([]string{"train"}, flags...)...)
	limited := exec.Command("sh", append([]string{"-c", `ulimit -f 200 && exec "$@"`, "sh"}, c.Args...)...)
	limited.Env = c.Env
	code, stderr := start(t, limited).end()
	if code != exitFailed {
		t.Errorf("exit %d, want 1", code)
	}
	for _, part := range []string{"steps.jsonl: file too large", "--resume " + out} {
		if !strings.Contains(stderr, part) {
			t.Errorf("the error lacks %q:\n%s", part, stderr)
		}
	}
	if strings.Contains(stderr, "goroutine") {
		t.Errorf("a stack trace:\n%s", stderr)
	}
	steps, err := record.ReadSteps(filepath.Join(out, "steps.jsonl"))
	if err != nil || len(steps) < 50 {
		t.Errorf("%d steps can be read, %v", len(steps), err)
	}
	mustTrain(t, nil, "--resume", out)
	wantSameOutcome(t, out, whole)
}

// Plain progress comes line by line while the run goes on, and standard output
// stays empty until the end.
func TestProgressComesAsLinesWhereThereIsNoTerminal(t *testing.T) {
	flags, _ := smallRun(t, "1000000")
	c := program(append([]string{"train", "--json"}, flags...)...)
	var stdout bytes.Buffer
	c.Stdout = &stdout
	p := start(t, c)
	found := p.await("samples/s")
	p.signal(os.Interrupt)
	if code, _ := p.end(); code != exitInterrupted || stdout.Len() != 0 {
		t.Errorf("exit %d, standard output %q", code, &stdout)
	}
	for _, part := range []string{"epoch ", "step ", "loss ", "accuracy ", "noise scale ", "lambda_max ", " left"} {
		if !strings.Contains(found, part) {
			t.Errorf("the progress line %q lacks %q", found, part)
		}
	}
	if strings.ContainsAny(found, "\r\x1b") {
		t.Errorf("the progress line %q has control characters", found)
	}
}
