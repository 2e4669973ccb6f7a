package record

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// /dev/full is a disk that is always full.
func TestDevFullIsReportedWithFileAndStep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "steps.jsonl")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	held, err := take(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(dir, held)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Step(fullStep(), wall)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "step 7: "+path) {
		t.Errorf("%v", err)
	}
	err = WriteFileAtomic("/dev/full/x", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "record: write /dev/full/x: ") {
		t.Errorf("%v", err)
	}
}

const limitedEnv = "SGFLOW_RECORD_TEST_LIMITED_DIR"

// A process whose files may not grow past a limit gets a short write from the
// kernel in the middle of a line, as on a full disk.
func TestAShortWriteOfTheKernelIsCutBack(t *testing.T) {
	if dir := os.Getenv(limitedEnv); dir != "" {
		limited(dir)
		return
	}
	dir := t.TempDir()
	command := exec.Command(os.Args[0], "-test.run=^TestAShortWriteOfTheKernelIsCutBack$")
	command.Env = append(os.Environ(), limitedEnv+"="+dir)
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "steps.jsonl: file too large") {
		t.Errorf("%v: %s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "steps.jsonl"))
	if err != nil || string(text) != fullLine+fullLine {
		t.Errorf("the file is %q, %v", text, err)
	}
}

// limited logs under a limit of two and a half lines until it fails, and
// prints the error. The limit ends with it: the test binary writes files of
// its own when it exits.
func limited(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old)
	if err == nil {
		limit := uint64(2*len(fullLine) + len(fullLine)/2)
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: old.Max})
	}
	if err == nil {
		var log *logFile
		log, err = openLog(filepath.Join(dir, "steps.jsonl"))
		for err == nil {
			log.append([]byte(fullLine))
			err = log.flush()
		}
	}
	os.Stderr.WriteString(err.Error() + "\n")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
	}
}
