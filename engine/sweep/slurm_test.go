package sweep

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The job script takes any path as it is: nothing in one is executed.
func TestSlurmScriptQuotesPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a'b $(touch pwned) "c" ;`)
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, urlFile), []byte("nats://secret@host:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	fake := filepath.Join(dir, "sgflow")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\necho \"$SGFLOW_NATS\"\nfor a; do echo \"$a\"; done\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	l := &Slurm{Tasks: 3, Threads: 2}
	script := l.script(fake, dir, []string{"--nats-creds=" + dir + "/x"})
	if !strings.Contains(script, "#SBATCH --array=0-2\n") || !strings.Contains(script, "#SBATCH --cpus-per-task=2\n") {
		t.Errorf("the script is\n%s", script)
	}
	c := exec.Command("sh", "-c", script)
	c.Env = append(os.Environ(), "SLURM_ARRAY_TASK_ID=1")
	c.Dir = t.TempDir()
	out, err := c.CombinedOutput()
	want := strings.Join([]string{"nats://secret@host:1", "worker", "--name", "slurm-1", "--dir", filepath.Join(dir, workDir),
		"--threads", "2", "--idle", "2m", "--nats-creds=" + dir + "/x", ""}, "\n")
	if err != nil || string(out) != want {
		t.Errorf("%v: the worker got\n%swant\n%s", err, out, want)
	}
	if strings.Contains(script, "secret") {
		t.Error("the script shows the token")
	}
}
