package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sgflow/engine/flow/study"
	"sgflow/engine/train"
)

// smallFlow returns the arguments of a quick study in a new folder, and the folder.
func smallFlow(t *testing.T, more ...string) (args []string, out string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "flow")
	return append([]string{"flow", "--data", smallData(t), "--model", "mlp:36-5-4", "--limit", "60", "--steps", "20", "--seeds", "2", "--batch", "4", "--out", out}, more...), out
}

func TestFlowPrintsJSONAndWritesAFolder(t *testing.T) {
	args, out := smallFlow(t, "--paths", "sgd;descent;gradient-flow;sde-full;svag:l=2", "--json")
	code, stdout, stderr := sgflow(args...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	got := parseObject(t, stdout)
	for _, key := range []string{"config", "params", "samples", "test_samples", "lambda_max", "paths", "distances", "seconds"} {
		if got[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	paths := got["paths"].([]any)
	first := paths[0].(map[string]any)
	points := first["points"].([]any)
	values := points[len(points)-1].(map[string]any)["values"].(map[string]any)
	for _, key := range []string{"train_loss", "train_accuracy", "test_loss", "test_accuracy", "noise_scale", "grad_var_trace", "lambda_max", "temperature", "langevin_temperature", "distance_from_start"} {
		if values[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	if loss := values["train_loss"].(map[string]any); len(paths) != 5 || first["seeds"] != 2.0 || loss["n"] != 2.0 || loss["stderr"] == nil || len(points) != 21 {
		t.Errorf("%d paths, the first %v, its loss %v at the last of %d times", len(paths), first["name"], loss, len(points))
	}
	for _, name := range []string{"flow.html", "flow.json", "flow.jsonl", "distance-weights.png", "train_loss.svg"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFlowPrintsTables(t *testing.T) {
	args, out := smallFlow(t, "--lr", "20", "--steps", "2")
	code, stdout, stderr := sgflow(args...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, part := range []string{"distributed most like those of sgd", "in weights", "in predictions", "gradient-flow", "sde-isotropic", "±", filepath.Join(out, "flow.html")} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the tables lack %q:\n%s", part, stdout)
		}
	}
	if !strings.Contains(stderr, "warning: sgd: steps of 20 are unstable") || !strings.Contains(stderr, "2/lambda_max") {
		t.Errorf("no warning of long steps: %s", stderr)
	}
}

func TestFlowsThatDivergeKeepTheirLog(t *testing.T) {
	args, out := smallFlow(t, "--loss", "mse", "--lr", "200", "--steps", "2000", "--measure-every", "10", "--paths", "descent")
	code, stdout, stderr := sgflow(args...)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "diverged") || !strings.Contains(stderr, "2/lambda_max") {
		t.Errorf("exit %d, output %q: %s", code, stdout, stderr)
	}
	if text, err := os.ReadFile(filepath.Join(out, "flow.jsonl")); err != nil || len(text) == 0 {
		t.Errorf("the log: %q, %v", text, err)
	}
}

func TestWrongFlowsExitWith2(t *testing.T) {
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "flow.jsonl"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, w := range []wrong{
		{"--paths svg", "did you mean svag"},
		{"--paths sgd:lr=0.3", "do not end at a time"},
		{"--lr 0", "--lr 0"},
		{"--seeds 0", "--seeds 0"},
		{"--batch 61", "training set of 60"},
		{"--limit 9999", "9999"},
		{"--measure-evry 3", "--measure-every"},
		{"--out " + used, "already"},
	} {
		args, out := smallFlow(t, strings.Fields(w.args)...)
		code, stdout, stderr := sgflow(args...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, w.want) {
			t.Errorf("flow %s: exit %d, output %q, want 2 and an error with %q:\n%s", w.args, code, stdout, w.want, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("flow %s: there is a folder", w.args)
		}
	}
}

// countdown is a context that is cancelled when it has been asked so many times.
type countdown struct {
	context.Context
	left int
}

// Err is context.Context's.
func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

func TestInterruptedFlowExitsWith130AndKeepsWhatIsWritten(t *testing.T) {
	args, out := smallFlow(t, "--steps", "1000", "--measure-every", "10", "--paths", "sgd;descent")
	ctx := &countdown{context.Background(), 100} // 33 from one time to the next
	var stdout, stderr bytes.Buffer
	if code := run(ctx, args, &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("exit %d, output %q:\n%s", code, &stdout, &stderr)
	}
	text, err := os.ReadFile(filepath.Join(out, "flow.jsonl"))
	if lines := bytes.Count(text, []byte("\n")); err != nil || lines < 10 || lines > 30 {
		t.Errorf("%d lines, %v", lines, err)
	}
	for _, name := range []string{"flow.json", "flow.html"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEverySettingOfAFlowIsAFlagWithItsDefault(t *testing.T) {
	var c cli
	parsed, err := kong.Must(&c, kong.PostBuild(setDefaults)).Parse([]string{"flow"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, flag := range parsed.Selected().Flags {
		flags[flag.Name] = flag.Help != ""
	}
	for _, name := range train.Names(study.Default()) {
		if !flags[name] {
			t.Errorf("no flag --%s with a help text", name)
		}
	}
	if !reflect.DeepEqual(c.Flow.Config, study.Default()) {
		t.Errorf("without flags the settings are %+v", c.Flow.Config)
	}
}

func TestFlowTellsHowLongItTakes(t *testing.T) {
	got := strings.Join(flowStatus(study.Progress{Path: "sgd", Seed: 2, Time: 2.5, End: 10, Share: 0.25}, 30*time.Second), "  ")
	if want := "t 2.5/10  25%  1:30 left  sgd, seed 2"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
}
