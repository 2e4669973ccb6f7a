package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sgflow/engine/record"
	"sgflow/engine/train"
)

func TestTrainJSONIsTheSummaryAndNothingElse(t *testing.T) {
	flags, out := smallRun(t, "15")
	stdout, stderr := mustTrain(t, flags, "--json")
	got := parseObject(t, stdout)
	want := []string{"device", "epochs", "out", "params", "seconds", "steps", "test_accuracy", "test_loss", "train_accuracy", "train_loss"}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	if got["steps"] != 15.0 || got["epochs"] != 2.0 || got["device"] != "cpu" || got["out"] != out {
		t.Errorf("summary %v", got)
	}
	for _, part := range []string{"model ", "332 parameters", "data ", "320 training and 50 test", "device ", "auto: ", "measure ", "folder ", "epoch 2/2"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error lacks %q:\n%s", part, stderr)
		}
	}
}

func TestTrainPrintsATableAtTheEnd(t *testing.T) {
	flags, out := smallRun(t, "15")
	stdout, _ := mustTrain(t, flags)
	for _, part := range []string{"train ", "test ", "accuracy", "lambda_max", "Hessian trace", "steps ", "folder", out} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the table lacks %q:\n%s", part, stdout)
		}
	}
}

func TestProbeJSONHasTheFieldsOfTheContract(t *testing.T) {
	code, stdout, stderr := sgflow("probe", "--data", smallData(t), "--model", "mlp:36-3-4", "--indices", "0:64", "--top", "2", "--json")
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	r := parseObject(t, stdout)
	for path, keys := range map[string][]string{
		"":         {"loss", "accuracy", "samples", "params", "noise", "flatness", "layers"},
		"noise":    {"grad_norm_sq", "grad_var_trace", "grad_norm_sq_unbiased", "fisher_trace"},
		"flatness": {"lambda_max", "lambda_max_residual", "trace", "trace_stderr", "batch_sharpness", "hv", "top_eigenvalues", "lambda_min"},
		"layers":   {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"},
	} {
		group := r
		if path != "" {
			group, _ = r[path].(map[string]any)
		}
		for _, key := range keys {
			if group[key] == nil {
				t.Errorf("%s.%s is missing", path, key)
			}
		}
	}
	if r["samples"] != 64.0 || r["params"] != float64(36*3+3+3*4+4) {
		t.Errorf("samples %v, params %v", r["samples"], r["params"])
	}
	if top := r["flatness"].(map[string]any)["top_eigenvalues"].([]any); len(top) != 2 {
		t.Errorf("top eigenvalues %v", top)
	}
}

func TestProbeReadsTheWeightsOfARun(t *testing.T) {
	flags, out := smallRun(t, "60")
	mustTrain(t, flags)
	code, stdout, stderr := sgflow(append([]string{"probe", "--split", "test", "--json", "--weights", record.WeightsPath(out)}, flags[:4]...)...)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	epochs, err := record.ReadEpochs(filepath.Join(out, "epochs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := epochs[len(epochs)-1].TestAccuracy.Get()
	if got := parseObject(t, stdout)["accuracy"]; got != want {
		t.Errorf("probe finds test accuracy %v, training %v", got, want)
	}
}

// wrong is a request and what the error must name.
type wrong struct {
	args string
	want string
}

func TestWrongRequestsExitWith2AndNameTheRemedy(t *testing.T) {
	dir := t.TempDir()
	yaml := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	notWeights := yaml("weights.safetensors", "not tensors")
	flags, out := smallRun(t, "1")
	mustTrain(t, flags)
	small := strings.Join(flags[:4], " ")
	for _, w := range []wrong{
		{"", "train"},
		{"trian", `"train"`},
		{"train extra", "unexpected argument extra"},
		{"train --epoch 3", "--epochs"},
		{"train --learning-rate 3", "did you mean"},
		{"data fetch", "<name>"},
		{"data fetch mnits", "mnist"},
		{"data fetch kmnist --mirror ftp://host/", "https://"},
		{"data info nosuch", "did you mean"},
		{"data verify nosuch", "did you mean"},
		{"train --batch 0", "--batch 0"},
		{"train --batch x", "--batch"},
		{"train --batch 321 " + small, "320"},
		{"train --lr=-1", "rate -1"},
		{"train --lr NaN", "NaN"},
		{"train --device cuda", "use --device cpu"},
		{"train --device cuba", "cuda"},
		{"train --model mlp:10-x", "character"},
		{"train --model mlp:100-10", "mlp:784-10"},
		{"train --data " + dir, dir},
		{"train --data minst", "mnist"},
		{"train --weights " + notWeights + " " + small, notWeights},
		{"train --weights none.safetensors " + small, "none.safetensors"},
		{"train --out " + out + " " + small, "--force"},
		{"train --out " + notWeights + "/run " + small, notWeights},
		{"train --resume " + dir, "run.json"},
		{"train --resume " + out + " --lr 3", "--lr 3"},
		{"train --resume " + out + " --config " + yaml("good.yaml", "lr: 0.05\n"), "can't be used together"},
		{"train --config none.yaml", "none.yaml"},
		{"train --config " + yaml("key.yaml", "lr: 0.1\nbach: 3\n"), "key.yaml:2:1: unknown key \"bach\": did you mean batch?"},
		{"train --config " + yaml("type.yaml", "lr: fast\n"), "type.yaml:1:5"},
		{"train --config " + yaml("cut.yaml", "batch: 6.5\n"), "6.5"},
		{"train --config " + yaml("nan.yaml", "lr: .nan\n"), "NaN"},
		{"train --config " + yaml("null.yaml", "lr:\n"), "lr has no value"},
		{"train --config " + yaml("list.yaml", "- lr\n"), "list.yaml:1:1"},
		{"train --config " + yaml("twice.yaml", "lr: 1\nlr: 2\n"), "twice.yaml:2:1"},
		{"probe --indices 5 " + small, "A:B"},
		{"probe --split tset " + small, "test"},
		{"probe --batch 3 " + small, "did you mean"},
	} {
		code, stdout, stderr := sgflow(strings.Fields(w.args)...)
		if code != exitRequest || stdout != "" || !strings.Contains(stderr, w.want) {
			t.Errorf("sgflow %s: exit %d, output %q, want 2 and an error with %q:\n%s", w.args, code, stdout, w.want, stderr)
		}
		if strings.Contains(stderr, "goroutine") {
			t.Errorf("sgflow %s: a stack trace:\n%s", w.args, stderr)
		}
	}
}

func TestDivergenceExitsWith1(t *testing.T) {
	flags, out := smallRun(t, "500")
	code, stdout, stderr := sgflow(append([]string{"train", "--lr", "100", "--loss", "mse", "--json"}, remove(flags, "--lr")...)...)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "diverged at learning rate 100") {
		t.Errorf("exit %d, output %q:\n%s", code, stdout, stderr)
	}
	if steps, err := record.ReadSteps(filepath.Join(out, "steps.jsonl")); err != nil || len(steps) == 0 {
		t.Errorf("%d steps in the log, %v", len(steps), err)
	}
}

// remove returns flags without one and its value.
func remove(flags []string, name string) []string {
	at := slices.Index(flags, name)
	return slices.Delete(slices.Clone(flags), at, at+2)
}

func TestFlagsWinOverTheConfigFile(t *testing.T) {
	flags, out := smallRun(t, "2")
	path := filepath.Join(t.TempDir(), "run.yaml")
	if err := os.WriteFile(path, []byte("steps: 9\nlr: 0.25\nnesterov: true\nmeasure: noise\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	mustTrain(t, remove(flags, "--lr"), "--config", path)
	c, err := train.ReadConfig(out)
	if err != nil {
		t.Fatal(err)
	}
	if c.Steps != 2 || c.LR != 0.25 || !c.Nesterov || c.Measure != "noise" || c.Schedule != "constant" {
		t.Errorf("configuration %+v", c)
	}
}

// A configuration field whose flag had another name could be set by neither.
func TestEverySettingIsAFlagWithItsDefault(t *testing.T) {
	var c cli
	parser := kong.Must(&c, kong.PostBuild(setDefaults))
	for command, config := range map[string]any{"train": train.Default(), "probe": train.DefaultProbe()} {
		if _, err := parser.Parse([]string{command}); err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, node := range parser.Model.Children {
			if node.Name == command {
				for _, flag := range node.Flags {
					names[flag.Name] = flag.Help != ""
				}
			}
		}
		for _, name := range train.Names(config) {
			if !names[name] {
				t.Errorf("%s has no flag --%s with a help text", command, name)
			}
		}
	}
	if c.Train.Config != train.Default() || c.Probe.Config != train.DefaultProbe() {
		t.Errorf("without flags the settings are %+v and %+v", c.Train.Config, c.Probe.Config)
	}
}

func TestHelpShowsAnExampleForEveryCommand(t *testing.T) {
	for _, command := range []string{"train", "probe", "data list", "data fetch", "data verify", "data info", "devices", "version"} {
		code, stdout, _ := sgflow(append(strings.Fields(command), "--help")...)
		if code != exitDone || !strings.Contains(stdout, "Example") || !strings.Contains(stdout, "sgflow "+command) {
			t.Errorf("%s --help: exit %d:\n%s", command, code, stdout)
		}
	}
}

func TestDumpProgramPrintsTheListingOnly(t *testing.T) {
	flags, out := smallRun(t, "1")
	stdout, _ := mustTrain(t, flags, "--dump-program")
	if !strings.HasPrefix(stdout, "program: 332 parameters") || !strings.Contains(stdout, "fc2.bias") {
		t.Errorf("listing:\n%s", stdout)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a run folder was made")
	}
}

func TestVersion(t *testing.T) {
	_, stdout, _ := sgflow("version", "--json")
	if v := parseObject(t, stdout); v["sgflow"] == nil || v["go"] == nil || v["platform"] == nil {
		t.Errorf("version: %v", v)
	}
	if _, stdout, _ = sgflow("version"); !strings.HasPrefix(stdout, "sgflow ") {
		t.Errorf("version: %s", stdout)
	}
}

func TestNegativeNumbersAreValues(t *testing.T) {
	got := joinNegative([]string{"train", "--lr", "-1", "--json", "-h", "--seed=3", "-2", "--warmup", "-.5"})
	want := []string{"train", "--lr=-1", "--json", "-h", "--seed=3", "-2", "--warmup=-.5"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
