package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sgflow/engine/landscape"
	"sgflow/engine/train"
)

// smallLandscape returns the arguments of a quick landscape of small data into out.
func smallLandscape(t *testing.T, out string, more ...string) []string {
	t.Helper()
	return append([]string{"landscape", "--data", smallData(t), "--limit", "0", "--model", "mlp:36-4-4", "--steps", "30", "--points", "10", "--grid", "5", "--out", out}, more...)
}

func TestLandscapeDrawsTheTwoPathsItTrains(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "folder")
	code, stdout, stderr := sgflow(smallLandscape(t, out, "--frames", "4", "--json")...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	got := parseObject(t, stdout)
	for _, key := range []string{"config", "params", "samples", "about", "center", "lowest", "gaps", "directions", "cosine", "share", "paths", "apart", "answer", "seconds", "out"} {
		if got[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	if got["samples"] != 320.0 || got["params"] != float64(36*4+4+4*4+4) || len(got["paths"].([]any)) != 2 {
		t.Errorf("samples %v, params %v, paths %v", got["samples"], got["params"], got["paths"])
	}
	for _, name := range []string{"index.html", "landscape.json", "loss.png", "loss.svg", "accuracy.png", "accuracy.svg", "sgd/trajectory.bin", "descent/trajectory.json"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	f, err := os.Open(filepath.Join(out, "paths.gif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if g, err := gif.DecodeAll(f); err != nil || len(g.Image) != 4 {
		t.Errorf("the animation: %v", err)
	}
}

func TestLandscapeTellsPeopleWhatItFound(t *testing.T) {
	out := t.TempDir()
	code, stdout, stderr := sgflow(smallLandscape(t, out, "--directions", "eigen", "--dims", "1", "--samples", "64")...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, part := range []string{"The loss is", "the initial weights", "eigenvalue", "residual", filepath.Join(out, "index.html")} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the output lacks %q:\n%s", part, stdout)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "loss.png")); err != nil {
		t.Error(err)
	}
}

func TestLandscapeOfRunsTakesTheirProblem(t *testing.T) {
	flags, run := smallRun(t, "20")
	mustTrain(t, flags, "--trajectory", "4", "--measure", "none")
	out := t.TempDir()
	code, stdout, stderr := sgflow("landscape", run, "--grid", "4", "--frames", "0", "--out", out, "--json")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(filepath.Join(out, "landscape.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r landscape.Result
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Config.Model != "mlp:36-8-4" || r.Samples != 320 || r.Config.Seed != 3 || len(r.Paths) != 1 || len(r.Paths[0].Points) != 6 || len(r.Loss) != 4 {
		t.Errorf("%s, %d samples, seed %d, %d rows, paths %+v\n%s", r.Config.Model, r.Samples, r.Config.Seed, len(r.Loss), r.Paths, stdout)
	}
	if code, _, stderr := sgflow("landscape", run, filepath.Join(run, "nowhere")); code != exitRequest || !strings.Contains(stderr, "holds no run") {
		t.Errorf("a folder that is not there: exit %d: %s", code, stderr)
	}
	for _, w := range []wrong{
		{"--model mlp:36-9-4", "different surfaces"},
		{"--batch 5", "--batch 5"},
		{"--frames 0 --directions line --dims 1 --to x", "no run folders"},
	} {
		code, stdout, stderr := sgflow(append([]string{"landscape", run, "--out", t.TempDir()}, strings.Fields(w.args)...)...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, w.want) {
			t.Errorf("landscape %s: exit %d, output %q, want 2 and an error with %q:\n%s", w.args, code, stdout, w.want, stderr)
		}
	}
}

func TestWrongLandscapesExitWith2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, w := range []wrong{
		{"--directions up", "pca"},
		{"--dims 0", "--dims 0"},
		{"--grid 1", "--grid 1"},
		{"--frames -1", "--frames -1"},
		{"--frame 3", "--frames"},
		{"--samples 9999", "320 samples"},
		{"--directions line --dims 1 --to " + file, file},
		{"--weights " + file, file},
		{"--out " + filepath.Join(file, "below"), "--out"},
	} {
		code, stdout, stderr := sgflow(smallLandscape(t, t.TempDir(), strings.Fields(w.args)...)...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, w.want) {
			t.Errorf("landscape %s: exit %d, output %q, want 2 and an error with %q:\n%s", w.args, code, stdout, w.want, stderr)
		}
	}
}

func TestInterruptedLandscapeExitsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, smallLandscape(t, t.TempDir()), &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("exit %d, output %q:\n%s", code, &stdout, &stderr)
	}
}

func TestEverySettingOfALandscapeIsAFlagWithItsDefault(t *testing.T) {
	var c cli
	parsed, err := kong.Must(&c, kong.PostBuild(setDefaults)).Parse([]string{"landscape"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, flag := range parsed.Selected().Flags {
		flags[flag.Name] = flag.Help != ""
	}
	for _, name := range train.Names(landscape.Default()) {
		if !flags[name] {
			t.Errorf("no flag --%s with a help text", name)
		}
	}
	if c.Landscape.Config != landscape.Default() {
		t.Errorf("without flags the settings are %+v", c.Landscape.Config)
	}
	code, stdout, _ := sgflow("landscape", "--help")
	if code != exitDone || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "sgflow landscape") {
		t.Errorf("--help: exit %d:\n%s", code, stdout)
	}
}

func TestStagesTellHowLongTheyTake(t *testing.T) {
	got := strings.Join(stageStatus("loss on the slice", 200, 1000, 5*time.Second), gap)
	if want := "loss on the slice  200/1,000  20.0s left"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	if got := stageStatus("loss on the slice", 0, 1000, 0); len(got) != 2 {
		t.Errorf("at the start the status is %q", got)
	}
}
