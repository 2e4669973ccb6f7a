package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoRuns trains two small runs into a folder.
func twoRuns(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data := smallData(t)
	for _, batch := range []string{"16", "32"} {
		mustTrain(t, []string{"--data", data, "--model", "mlp:36-8-4", "--steps", "30", "--batch", batch, "--out", filepath.Join(dir, "b"+batch)})
	}
	return dir
}

func TestReportWritesPageSummaryAndFigures(t *testing.T) {
	dir := twoRuns(t)
	code, stdout, stderr := sgflow("report", dir)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if !strings.HasPrefix(stdout, "Use batch ") || !strings.Contains(stdout, filepath.Join(dir, "report", "report.html")) {
		t.Errorf("%q", stdout)
	}
	for _, name := range []string{"report.html", "report.md", "figures/s1-noise_scale-batch.png", "figures/s1-noise_scale-batch.svg"} {
		if info, err := os.Stat(filepath.Join(dir, "report", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The report lies in the folder that is looked through; it is none of its runs.
	code, stdout, stderr = sgflow("report", dir, "--out", filepath.Join(dir, "again"), "--target", "train-loss:0.9", "--json")
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	result := parseObject(t, stdout)
	problems := result["problems"].([]any)
	if len(problems) != 1 {
		t.Fatalf("%d problems", len(problems))
	}
	problem := problems[0].(map[string]any)
	if problem["runs"] != 2.0 || problem["target"] != "train-loss:0.9" || len(problem["settings"].([]any)) != 2 {
		t.Errorf("%v", problem)
	}
	best := problem["best"].(map[string]any)
	if _, ok := best["means"].(map[string]any)["noise_scale_end"]; !ok {
		t.Errorf("the best setting has no noise scale: %v", best)
	}
}

func TestReportRefusesWhatHoldsNoRuns(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "run.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"report"}, "expected"},
		{[]string{"report", empty}, "no runs"},
		{[]string{"report", filepath.Join(empty, "none")}, "no such file"},
		{[]string{"report", file}, "is no folder"},
		{[]string{"report", damaged}, "no runs could be read"},
		{[]string{"report", empty, "--target", "trainloss:1"}, "did you mean train-loss:X"},
	} {
		code, stdout, stderr := sgflow(c.args...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit %d, %q", c.args, code, stderr)
		}
	}
}
