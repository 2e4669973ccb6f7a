package train

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sgflow/data"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/request"
)

func TestRunLearnsAndFillsTheRunFolder(t *testing.T) {
	c := smallConfig(t)
	c.Epochs = 5
	w := &watcher{}
	s, err := Run(context.Background(), c, false, w)
	if err != nil {
		t.Fatal(err)
	}
	accuracy, _ := s.TestAccuracy.Get()
	if accuracy < 0.9 { // the patterns are far apart; chance is 0.25
		t.Errorf("test accuracy %v after 5 epochs, want at least 0.9", accuracy)
	}
	if s.Steps != 50 || s.Epochs != 5 || s.Params != 36*8+8+8*4+4 || s.Out != c.Out || s.Device != "cpu" {
		t.Errorf("summary %+v", s)
	}
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil || len(steps) != 50 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	for i, line := range steps {
		_, noise := line.Noise.Get("grad_var_trace").Get()
		_, flat := line.Flatness.Get("lambda_max").Get()
		if line.Step != i || line.Epoch != i/10 || line.Samples != 32 || line.LR != 0.1 || !noise || !flat || len(line.Layers) != 4 {
			t.Fatalf("line %d is %+v", i, line)
		}
	}
	if _, ok := steps[1].Noise.Get("grad_cosine").Get(); !ok {
		t.Error("the second step has no cosine with the first")
	}
	epochs, err := record.ReadEpochs(filepath.Join(c.Out, "epochs.jsonl"))
	if err != nil || len(epochs) != 5 || len(w.epochs) != 5 {
		t.Fatalf("%d epochs, %d told, %v", len(epochs), len(w.epochs), err)
	}
	// The epoch's training loss is the mean over its samples.
	sum := 0.0
	for _, line := range steps[40:] {
		sum += line.Loss / 10
	}
	if got, _ := epochs[4].TrainLoss.Get(); math.Abs(got-sum) > 1e-12 { // sums of ten numbers near 1, in float64
		t.Errorf("training loss of the last epoch is %v, its steps have %v", got, sum)
	}
	run := readJSON(t, filepath.Join(c.Out, "run.json"))
	for _, key := range []string{"config", "seed", "versions", "device", "data", "started", "finished", "summary"} {
		if run[key] == nil {
			t.Errorf("run.json lacks %s", key)
		}
	}
	if got := run["config"].(map[string]any)["weight-decay"]; got != 0.0 {
		t.Errorf("run.json's configuration has weight-decay %v", got)
	}
	if w.info.Train != smallTrain || w.info.Test != smallTest || w.info.Steps != 50 || len(w.info.Layers) != 3 {
		t.Errorf("told at the start: %+v", w.info)
	}
}

// The file of an epoch's end holds the variances of its last step: their sum
// over a layer is the trace in the log.
func TestVarianceIsWrittenForEveryParameter(t *testing.T) {
	c := smallConfig(t)
	c.Measure, c.DType = "noise,variance", problem.Float64
	mustRun(t, c)
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	last := steps[len(steps)-1]
	file, err := os.ReadFile(filepath.Join(c.Out, "checkpoints", "variance.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors, _, err := record.ReadSafetensors(bytes.NewReader(file), int64(len(file)))
	if err != nil || len(tensors) != 3*len(last.Layers) {
		t.Fatalf("%d tensors for %d parameters, %v", len(tensors), len(last.Layers), err)
	}
	for i, layer := range last.Layers {
		variance := tensors[3*i+1]
		if variance.Name != layer.Name+".variance" {
			t.Fatalf("tensor %d is %s", 3*i+1, variance.Name)
		}
		sum := 0.0
		for _, v := range record.Values[float64](variance) {
			sum += v
		}
		if want, _ := layer.Numbers.Get("grad_var_trace").Get(); math.Abs(sum-want) > 1e-10*want {
			t.Errorf("%s: variances sum to %g, the log says %g", layer.Name, sum, want)
		}
	}
}

func TestCostsAreInTheRunFolder(t *testing.T) {
	c := smallConfig(t)
	c.Measure, c.MeasureEvery = "noise,trace", 4
	mustRun(t, c)
	run, err := record.ReadRun(c.Out, nil)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, cost := range run.Costs {
		times[cost.Name] = cost.Times
	}
	if times["grad_norm_sq"] != 20 || times["trace"] != 5 || len(times) != len(run.Costs) {
		t.Errorf("costs %+v", run.Costs)
	}
}

func TestLogarithmicStepsOfFlatness(t *testing.T) {
	c := smallConfig(t)
	c.Measure, c.MeasureLog, c.Epochs = "trace", 2, 4
	mustRun(t, c)
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var measured []int
	for _, s := range steps {
		if len(s.Flatness) > 0 {
			measured = append(measured, s.Step)
		}
	}
	if want := []int{0, 1, 4, 10, 32}; !slices.Equal(measured, want) { // from 10^(k/2) on
		t.Errorf("flatness at steps %v, want %v", measured, want)
	}
}

func TestSettingsChangeTheRun(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"float64":          func(c *Config) { c.DType = problem.Float64 },
		"mse":              func(c *Config) { c.Loss = problem.MSE },
		"normalized":       func(c *Config) { c.Normalize = true },
		"seed":             func(c *Config) { c.Seed = 8 },
		"schedule":         func(c *Config) { c.Schedule, c.Warmup = "cosine", 3 },
		"decoupled decay":  func(c *Config) { c.Optimizer, c.WeightDecay = "sgdw", 0.1 },
		"adam":             func(c *Config) { c.Optimizer, c.Momentum = "adam", 0 },
		"sgld":             func(c *Config) { c.Optimizer, c.Momentum, c.SGLDTemperature = "sgld", 0, 1e-3 },
		"sam":              func(c *Config) { c.Optimizer = "sam" },
		"asam":             func(c *Config) { c.Optimizer = "asam" },
		"noise":            func(c *Config) { c.Noise = "sigma:4" },
		"nesterov":         func(c *Config) { c.Nesterov = true },
		"replacement":      func(c *Config) { c.Sampling = string(data.Replacement) },
		"whole set":        func(c *Config) { c.Sampling = string(data.Full) },
		"ragged batches":   func(c *Config) { c.Batch = 50 },
		"flatness at 3":    func(c *Config) { c.MeasureEvery = 3 },
		"flatness subset":  func(c *Config) { c.FlatnessSamples = 300 },
		"convolutions":     func(c *Config) { c.Model = "cnn:conv3k3,gelu,maxpool2,fc4" },
		"limited training": func(c *Config) { c.Limit = 64 },
	} {
		t.Run(name, func(t *testing.T) {
			plain, c := smallConfig(t), smallConfig(t)
			change(&c)
			mustRun(t, plain)
			mustRun(t, c)
			if slices.Equal(outcome(t, plain.Out), outcome(t, c.Out)) {
				t.Error("the run is the same as without the setting")
			}
		})
	}
}

func TestStepsWinOverEpochs(t *testing.T) {
	c := smallConfig(t)
	c.Steps = 13
	if s := mustRun(t, c); s.Steps != 13 || s.Epochs != 2 {
		t.Errorf("%d steps in %d epochs, want 13 in 2", s.Steps, s.Epochs)
	}
	epochs, err := record.ReadEpochs(filepath.Join(c.Out, "epochs.jsonl"))
	if err != nil || len(epochs) != 2 || epochs[1].Step != 12 {
		t.Errorf("epochs %+v, %v: the part of an epoch at the end has a line too", epochs, err)
	}
}

func TestUnmeasuredNumbersAreAbsent(t *testing.T) {
	c := smallConfig(t)
	c.Measure = "none"
	mustRun(t, c)
	text, err := os.ReadFile(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"noise", "flatness", "layers", "null", "NaN"} {
		if strings.Contains(string(text), word) {
			t.Errorf("steps.jsonl has %q with --measure none", word)
		}
	}
}

func TestMeasuringDoesNotChangeTheTraining(t *testing.T) {
	bare, full := smallConfig(t), smallConfig(t)
	bare.Measure = "none"
	full.FlatnessSamples = 64
	mustRun(t, bare)
	mustRun(t, full)
	a, errA := os.ReadFile(record.WeightsPath(bare.Out))
	b, errB := os.ReadFile(record.WeightsPath(full.Out))
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		t.Errorf("weights differ with and without measurements (%v, %v)", errA, errB)
	}
}

func TestResultsDoNotDependOnTheNumberOfThreads(t *testing.T) {
	changes := maps.Clone(optimized)
	for _, model := range []string{"mlp:36-40-4", "cnn:conv6k3p1,relu,maxpool2,conv8k3,tanh,fc4"} {
		changes[model] = func(c *Config) { c.Model = model }
	}
	for name, change := range changes {
		one, two := smallConfig(t), smallConfig(t)
		one.Model, two.Model = "mlp:36-40-4", "mlp:36-40-4"
		one.Threads, two.Threads = 1, 2
		change(&one)
		change(&two)
		mustRun(t, one)
		mustRun(t, two)
		t.Run(name, func(t *testing.T) { wantSameOutcome(t, two.Out, one.Out) })
	}
}

func TestRunStartsFromGivenWeights(t *testing.T) {
	first := smallConfig(t)
	mustRun(t, first)
	next := smallConfig(t)
	next.Weights, next.LR, next.Steps = record.WeightsPath(first.Out), 0, 1
	mustRun(t, next)
	a, errA := os.ReadFile(record.WeightsPath(first.Out))
	b, errB := os.ReadFile(record.WeightsPath(next.Out))
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		t.Errorf("a step at rate 0 from given weights changed them (%v, %v)", errA, errB)
	}
	next.Model, next.Out = "mlp:36-9-4", filepath.Join(t.TempDir(), "run")
	_, err := Run(context.Background(), next, false, &watcher{})
	wantRequestError(t, err)
	if !strings.Contains(err.Error(), "fc1.weight") {
		t.Errorf("error %q does not name the misshapen tensor", err)
	}
}

func TestRunFolderIsNotOverwrittenWithoutForce(t *testing.T) {
	c := smallConfig(t)
	mustRun(t, c)
	before := outcome(t, c.Out)
	again := c
	again.Seed = 99
	_, err := Run(context.Background(), again, false, &watcher{})
	wantRequestError(t, err)
	if !slices.Equal(outcome(t, c.Out), before) {
		t.Error("a refused run changed the folder")
	}
	if _, err := Run(context.Background(), again, true, &watcher{}); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(outcome(t, c.Out), before) {
		t.Error("a forced run left the folder as it was")
	}
}

func TestDivergenceEndsTheRunAndKeepsItsLog(t *testing.T) {
	c := smallConfig(t)
	c.Loss, c.LR, c.Epochs = problem.MSE, 50, 50
	_, err := Run(context.Background(), c, false, &watcher{})
	var request *request.Error
	if err == nil || errors.As(err, &request) || errors.Is(err, ErrInterrupted) {
		t.Fatalf("error %v, want one of the running", err)
	}
	for _, part := range []string{"diverged", "learning rate 50", "--lr", c.Out} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil || len(steps) == 0 {
		t.Errorf("%d steps can be read, %v", len(steps), err)
	}
	if _, _, err := record.LatestCheckpoint(c.Out); err != nil {
		t.Error(err)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	configs := map[string]Config{}
	for _, what := range []string{"none", "noise", "all"} {
		c := smallConfig(t)
		c.Measure = what
		configs["of "+what] = c
	}
	for name, change := range optimized {
		c := smallConfig(t)
		change(&c)
		configs["with "+name] = c
	}
	for name, c := range configs {
		tr := newTestTrainer(t, &c)
		step := func() {
			if err := tr.advance(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for range smallTrain / c.Batch * 2 { // buffers grow, the probes' window fills
			step()
		}
		if n := testing.AllocsPerRun(20, step); n != 0 {
			t.Errorf("a step %s allocates %v times", name, n)
		}
	}
}

// newTestTrainer returns a run that stands before its first step.
func newTestTrainer(t *testing.T, c *Config) *trainer[float32] {
	t.Helper()
	p, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := newTrainer[float32](c, p, &watcher{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.close() })
	if err := problem.SetWeights(p, tr.session); err != nil {
		t.Fatal(err)
	}
	if tr.folder, err = record.Create(c.Out, false); err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestDefaultRunFolderIsNamedByTimeModelAndData(t *testing.T) {
	c := Default()
	c.Model, c.Data = "mlp:784-10,act=tanh", "/some/where/my digits"
	got := defaultOut(&c, time.Date(2026, 11, 23, 14, 5, 6, 0, time.UTC))
	if want := filepath.Join("runs", "20261123-140506-mlp_784-10_act=tanh-my_digits"); got != want {
		t.Errorf("folder %s, want %s", got, want)
	}
	t.Chdir(t.TempDir())
	if first := unused(got); first != got {
		t.Errorf("folder %s, want %s", first, got)
	}
	c.Out, c.Data, c.Model, c.Steps = got, smallData(t), "mlp:36-4", 1
	mustRun(t, c)
	if second := unused(got); second != got+"-2" {
		t.Errorf("a second run goes to %s", second)
	}
}
