package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// smallProbe is a probe of the small data set.
func smallProbe(t *testing.T) ProbeConfig {
	t.Helper()
	c := DefaultProbe()
	c.Data, c.Model, c.DType = smallData(t), "mlp:36-4-4,act=tanh", problem.Float64
	return c
}

func TestProbeAgreesWithTheFirstStepOfTraining(t *testing.T) {
	c := smallConfig(t)
	c.DType, c.Sampling, c.Steps = problem.Float64, "full", 1
	mustRun(t, c)
	steps, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	p := DefaultProbe()
	p.Problem = c.Problem
	got, err := Probe(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := steps[0]
	same := func(name string, a, b record.Opt) {
		x, okX := a.Get()
		y, okY := b.Get()
		if okX != okY || math.Abs(x-y) > 1e-12*math.Abs(y) { // the same sums, at most in another order
			t.Errorf("%s: probe %v, training %v", name, a, b)
		}
	}
	same("loss", record.Some(got.Loss), record.Some(want.Loss))
	same("accuracy", got.Accuracy, want.Accuracy)
	same("grad_norm_sq", got.Noise.Get("grad_norm_sq"), want.Noise.Get("grad_norm_sq"))
	same("grad_var_trace", got.Noise.Get("grad_var_trace"), want.Noise.Get("grad_var_trace"))
	same("batch_sharpness", got.Flatness.Numbers.Get("batch_sharpness"), want.Flatness.Get("batch_sharpness"))
}

func TestProbeMeasuresTheGivenSamples(t *testing.T) {
	c := smallProbe(t)
	loss := map[string]float64{}
	for _, indices := range []string{"", "0:320", "0:160", "160:320"} {
		c.Indices = indices
		r, err := Probe(context.Background(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		loss[indices] = r.Loss
	}
	if loss[""] != loss["0:320"] {
		t.Errorf("all samples give %v, 0:320 %v", loss[""], loss["0:320"])
	}
	// The mean of the halves is the whole, but for rounding.
	if mean := (loss["0:160"] + loss["160:320"]) / 2; math.Abs(mean-loss[""]) > 1e-13 || loss["0:160"] == loss["160:320"] {
		t.Errorf("losses %v", loss)
	}
	c.Split, c.Indices = "test", ""
	r, err := Probe(context.Background(), c, nil)
	if err != nil || r.Samples != smallTest {
		t.Errorf("test split: %+v, %v", r, err)
	}
}

func TestExactTraceIsTheSumOfAllEigenvalues(t *testing.T) {
	c := smallProbe(t)
	c.Model, c.ExactTrace, c.Top, c.Indices = "mlp:36-1-4,act=tanh", true, 45, "0:40"
	r, err := Probe(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Params != 45 {
		t.Fatalf("%d parameters", r.Params)
	}
	sum := 0.0
	for _, x := range r.Flatness.TopEigenvalues {
		sum += x
	}
	if trace, _ := r.Flatness.Numbers.Get("trace").Get(); math.Abs(sum-trace) > 1e-6*math.Abs(trace) { // the eigenvalues' tolerance
		t.Errorf("%d eigenvalues sum to %v, the trace is %v", len(r.Flatness.TopEigenvalues), sum, trace)
	}
}

func TestWrongProbesAreNamed(t *testing.T) {
	for want, change := range map[string]func(*ProbeConfig){
		"mean train":        func(c *ProbeConfig) { c.Split = "trian" },
		"--indices \"5\"":   func(c *ProbeConfig) { c.Indices = "5" },
		"has 320 samples":   func(c *ProbeConfig) { c.Indices = "300:321" },
		"--indices 7:7":     func(c *ProbeConfig) { c.Indices = "7:7" },
		"--indices -1:7":    func(c *ProbeConfig) { c.Indices = "-1:7" },
		"--top 0":           func(c *ProbeConfig) { c.Top = 0 },
		"only 168 param":    func(c *ProbeConfig) { c.Top = 169 },
		"--probes 1":        func(c *ProbeConfig) { c.Probes = 1 },
		"--sam-rho 0":       func(c *ProbeConfig) { c.SAMRho = 0 },
		"--sam-adaptive-r":  func(c *ProbeConfig) { c.SAMAdaptiveRho = math.NaN() },
		"--keskar-epsilon":  func(c *ProbeConfig) { c.KeskarEpsilon = math.Inf(1) },
		"--keskar-subspac":  func(c *ProbeConfig) { c.KeskarSubspace = 0 },
		"nothing.safe":      func(c *ProbeConfig) { c.Weights = "nothing.safetensors" },
		"cross-entropy, ms": func(c *ProbeConfig) { c.Loss = "hinge" },
	} {
		c := smallProbe(t)
		change(&c)
		_, err := Probe(context.Background(), c, nil)
		wantRequestError(t, err)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestCancelledProbeEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Probe(ctx, smallProbe(t), func(string, int) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
