package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestModelListsAreCutWhereAModelStarts(t *testing.T) {
	for list, want := range map[string][]string{
		"mlp,cnn":                              {"mlp", "cnn"},
		"mlp:784-10,act=tanh":                  {"mlp:784-10,act=tanh"},
		"cnn:conv2k3,relu,fc10,lenet5":         {"cnn:conv2k3,relu,fc10", "lenet5"},
		"mlp,cnn:conv2k3,gap,mlp:4-2,act=relu": {"mlp", "cnn:conv2k3,gap", "mlp:4-2,act=relu"},
	} {
		if got := splitModels([]string{list}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", list, got, want)
		}
	}
	if got := splitModels([]string{"mlp", "cnn,mlp"}); !slices.Equal(got, []string{"mlp", "cnn", "mlp"}) {
		t.Errorf("two flags: %q", got)
	}
}

func TestBenchJSONIsARowACaseWithTheFieldsOfTheContract(t *testing.T) {
	out := filepath.Join(t.TempDir(), "rows")
	code, stdout, stderr := sgflow("bench", "--json", "--model", "mlp", "--batch", "4,8", "--threads", "1",
		"--measure", "none,all", "--seconds", "0.001", "--out", out)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit %d, standard error %q", code, stderr)
	}
	lines := slices.Collect(strings.Lines(stdout))
	if len(lines) != 4 {
		t.Fatalf("%d rows, want 4:\n%s", len(lines), stdout)
	}
	for _, line := range lines {
		row := parseObject(t, line)
		for _, field := range []string{"system", "device", "model", "batch", "threads", "measure", "ms_per_step", "samples_per_second"} {
			if _, ok := row[field]; !ok {
				t.Errorf("no %s in %s", field, line)
			}
		}
	}
	if written, err := os.ReadFile(filepath.Join(out, "bench.jsonl")); err != nil || string(written) != stdout {
		t.Errorf("bench.jsonl: %v, %d bytes, want the %d of standard output", err, len(written), len(stdout))
	}
}

func TestBenchRefusesWhatCannotBeTimed(t *testing.T) {
	for _, flags := range [][]string{
		{"--model", "mlx"},
		{"--model", "mlp:783-10"},
		{"--batch", "8,70000"},
		{"--batch", "0"},
		{"--measure", "noisy"},
		{"--dtype", "float16"},
		{"--seconds", "0"},
		{"--data", filepath.Join(t.TempDir(), "none")},
	} {
		code, stdout, stderr := sgflow(append([]string{"bench"}, flags...)...)
		if code != exitRequest || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, standard output %q, standard error %q", flags, code, stdout, stderr)
		}
	}
}
