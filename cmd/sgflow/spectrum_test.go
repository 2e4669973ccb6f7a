package main

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sgflow/engine/train"
)

// smallSpectrum returns the arguments of a quick spectrum.
func smallSpectrum(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{"spectrum", "--data", smallData(t), "--model", "mlp:36-3-4", "--indices", "0:64", "--order", "12", "--probes", "3"}, more...)
}

func TestSpectrumPrintsAndWritesTheSameJSON(t *testing.T) {
	out := filepath.Join(t.TempDir(), "new", "folder")
	code, stdout, stderr := sgflow(smallSpectrum(t, "--points", "200", "--out", out, "--json")...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	file, err := os.ReadFile(filepath.Join(out, "spectrum.json"))
	if err != nil {
		t.Fatal(err)
	}
	if string(file) != stdout {
		t.Error("spectrum.json is not what --json prints")
	}
	got := parseObject(t, stdout)
	for _, key := range []string{
		"config", "loss", "samples", "params", "order", "probes", "hv", "lambda_max", "lambda_max_residual", "lambda_min", "lambda_min_residual",
		"trace", "trace_stderr", "frobenius_sq", "frobenius_sq_stderr", "sigma", "grid", "density", "density_stderr", "quadratures",
	} {
		if got[key] == nil {
			t.Errorf("%s is missing", key)
		}
	}
	if got["samples"] != 64.0 || got["params"] != float64(36*3+3+3*4+4) || got["hv"] != 36.0 || got["config"].(map[string]any)["indices"] != "0:64" {
		t.Errorf("samples %v, params %v, hv %v, config %v", got["samples"], got["params"], got["hv"], got["config"])
	}
	var r train.SpectrumResult
	if err := json.Unmarshal(file, &r); err != nil {
		t.Fatal(err)
	}
	mass := 0.0
	for _, v := range r.Values {
		mass += v * (r.Grid[1] - r.Grid[0])
	}
	if len(r.Grid) != 200 || len(r.Values) != 200 || len(r.Stderr) != 200 || math.Abs(mass-1) > 1e-6 {
		t.Errorf("%d, %d and %d points, mass %v", len(r.Grid), len(r.Values), len(r.Stderr), mass)
	}
	if len(r.Quadratures) != 3 || len(r.Quadratures[0].Nodes) != 12 || len(r.Quadratures[0].Weights) != 12 {
		t.Errorf("quadratures %v", r.Quadratures)
	}
}

func TestSpectrumDrawsPNGAndSVG(t *testing.T) {
	out := t.TempDir()
	code, stdout, stderr := sgflow(smallSpectrum(t, "--split", "test", "--indices", "0:20", "--out", out)...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, part := range []string{"lambda_max", "residual", "trace", "standard error", "frobenius_sq", out} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the table lacks %q:\n%s", part, stdout)
		}
	}
	image, err := os.ReadFile(filepath.Join(out, "spectrum.png"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.DecodeConfig(bytes.NewReader(image)); err != nil {
		t.Error(err)
	}
	svg, err := os.ReadFile(filepath.Join(out, "spectrum.svg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"mlp:36-3-4", "127 parameters", "test 0:20, 20 samples", "cross-entropy"} {
		if !strings.Contains(string(svg), part) {
			t.Errorf("the title lacks %q", part)
		}
	}
}

func TestSpectrumWithoutAFolderWritesNone(t *testing.T) {
	t.Chdir(t.TempDir())
	code, stdout, stderr := sgflow(smallSpectrum(t)...)
	if code != exitDone || !strings.Contains(stdout, "--out") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestWrongSpectraExitWith2(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, w := range []wrong{
		{"--order 0", "--order 0"},
		{"--probes 0", "--probes 0"},
		{"--sigma=-1", "--sigma -1"},
		{"--points 1", "--points 1"},
		{"--probe 3", "--probes"},
		{"--indices 0:9999", "320 samples"},
		{"--out " + filepath.Join(file, "below"), "--out"},
	} {
		code, stdout, stderr := sgflow(smallSpectrum(t, strings.Fields(w.args)...)...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, w.want) {
			t.Errorf("spectrum %s: exit %d, output %q, want 2 and an error with %q:\n%s", w.args, code, stdout, w.want, stderr)
		}
	}
}

func TestInterruptedSpectrumExitsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	out := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, smallSpectrum(t, "--out", out), &stdout, &stderr); code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("exit %d, output %q:\n%s", code, &stdout, &stderr)
	}
	if files, err := os.ReadDir(out); err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestEverySettingOfASpectrumIsAFlagWithItsDefault(t *testing.T) {
	var c cli
	parsed, err := kong.Must(&c, kong.PostBuild(setDefaults)).Parse([]string{"spectrum"})
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, flag := range parsed.Selected().Flags {
		flags[flag.Name] = flag.Help != ""
	}
	for _, name := range train.Names(train.DefaultSpectrum()) {
		if !flags[name] {
			t.Errorf("no flag --%s with a help text", name)
		}
	}
	if c.Spectrum.Config != train.DefaultSpectrum() {
		t.Errorf("without flags the settings are %+v", c.Spectrum.Config)
	}
	code, stdout, _ := sgflow("spectrum", "--help")
	if code != exitDone || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "sgflow spectrum") {
		t.Errorf("--help: exit %d:\n%s", code, stdout)
	}
}

func TestSpectrumTellsHowLongItTakes(t *testing.T) {
	got := strings.Join(spectrumStatus(200, 800, 10, 5*time.Second), "  ")
	if want := "probe 3/10  Hessian-vector product 201/800  15.0s left"; got != want {
		t.Errorf("status %q, want %q", got, want)
	}
	if got := spectrumStatus(0, 800, 10, 0); len(got) != 2 {
		t.Errorf("at the start the status is %q", got)
	}
}
