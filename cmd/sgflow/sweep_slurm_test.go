package main

import (
	"os"
	"strings"
	"testing"
)

// TestSweepOnSlurm needs a Slurm that takes jobs: see make test-slurm.
func TestSweepOnSlurm(t *testing.T) {
	if os.Getenv("SGFLOW_SLURM") == "" {
		t.Skip("SGFLOW_SLURM is not set: make test-slurm starts a Slurm for this test")
	}
	flags, _ := smallSweep(t)
	want, _ := mustSweep(t, flags, "--json")
	flags, _ = smallSweep(t)
	got, stderr := mustSweep(t, flags, "--json", "--slurm", "--workers", "2")
	wantRows, gotRows := lines(t, want), lines(t, got)
	for i := range wantRows {
		delete(wantRows[i], "data")
		delete(gotRows[i], "data")
		delete(wantRows[i], "run") // of another data folder
		delete(gotRows[i], "run")
		for key, x := range wantRows[i] {
			if gotRows[i][key] != x {
				t.Errorf("row %d: %s is %v, want %v", i, key, gotRows[i][key], x)
			}
		}
	}
	if !strings.Contains(stderr, "as Slurm job") {
		t.Errorf("standard error: %s", stderr)
	}
}

func TestSlurmThatIsNotThereIsARequestError(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	flags, out := smallSweep(t)
	code, _, stderr := sgflow(append(append([]string{"sweep"}, flags...), "--slurm")...)
	if code != exitRequest || !strings.Contains(stderr, "no sbatch") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a wrong request made the folder")
	}
}
