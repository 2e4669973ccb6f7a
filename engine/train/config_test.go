package train

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDefaultsAreValid(t *testing.T) {
	c, p := Default(), DefaultProbe()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestWrongSettingsAreNamedBeforeAnyWork(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--batch 0":                         func(c *Config) { c.Batch = 0 },
		"batch of 321":                      func(c *Config) { c.Batch = smallTrain + 1 },
		"--epochs 0":                        func(c *Config) { c.Epochs = 0 },
		"--steps -1":                        func(c *Config) { c.Steps = -1 },
		"rate -1":                           func(c *Config) { c.LR = -1 },
		"rate NaN":                          func(c *Config) { c.LR = math.NaN() },
		"rate +Inf":                         func(c *Config) { c.LR = math.Inf(1) },
		"momentum 1":                        func(c *Config) { c.Momentum = 1 },
		"nesterov":                          func(c *Config) { c.Momentum, c.Nesterov = 0, true },
		"weight decay -1":                   func(c *Config) { c.WeightDecay = -1 },
		"mean \"sgd\"":                      func(c *Config) { c.Optimizer = "sdg" },
		"mean \"adam\"":                     func(c *Config) { c.Optimizer = "adm" },
		"adam has no momentum":              func(c *Config) { c.Optimizer = "adam" },
		"beta1 1 ":                          func(c *Config) { c.Optimizer, c.Momentum, c.Beta1 = "adam", 0, 1 },
		"epsilon -1 ":                       func(c *Config) { c.Optimizer, c.Momentum, c.Epsilon = "adamw", 0, -1 },
		"temperature 0 ":                    func(c *Config) { c.Optimizer, c.Momentum = "sgld", 0 },
		"sgld has no momentum":              func(c *Config) { c.Optimizer, c.SGLDTemperature = "sgld", 1 },
		"mean sigma":                        func(c *Config) { c.Noise = "sgima:4" },
		"--noise sigma:32: batches have 32": func(c *Config) { c.Noise = "sigma:32" },
		"--noise diagonal:1.5":              func(c *Config) { c.Noise = "diagonal:1.5" },
		"--noise gaussian:0:":               func(c *Config) { c.Noise = "gaussian:0" },
		"rho -1 ":                           func(c *Config) { c.Optimizer, c.Rho = "sam", -1 },
		"--ema 1: ":                         func(c *Config) { c.EMA = 1 },
		"--swa 0e: ":                        func(c *Config) { c.SWA = "0e" },
		"--swa 1e:x: ":                      func(c *Config) { c.SWA = "1e:x" },
		"the run has 2 epochs":              func(c *Config) { c.SWA = "3e" },
		"the run has 20 steps":              func(c *Config) { c.SWA = "21" },
		"mean \"step\"":                     func(c *Config) { c.BatchSchedule = "stp:1e:2" },
		"mean norm-test":                    func(c *Config) { c.AdaptiveBatch = "normtest:1" },
		"--adaptive-batch norm-test:0: ":    func(c *Config) { c.AdaptiveBatch = "norm-test:0" },
		"give one of the two":               func(c *Config) { c.AdaptiveBatch, c.BatchSchedule = "norm-test:1", "step:1e:2" },
		"batches have one size":             func(c *Config) { c.BatchMax = 64 },
		"--batch-max 321: ":                 func(c *Config) { c.BatchSchedule, c.BatchMax = "step:1e:2", 321 },
		"at least that":                     func(c *Config) { c.BatchSchedule, c.BatchMax = "step:1e:2", 16 },
		"at most that":                      func(c *Config) { c.AdaptiveBatch, c.BatchMin = "norm-test:1", 64 },
		"--batch-min 1: a single":           func(c *Config) { c.AdaptiveBatch, c.BatchMin = "norm-test:1", 1 },
		"--sampling full: every step":       func(c *Config) { c.BatchSchedule, c.Sampling = "step:1e:2", "full" },
		"mean \"cosine\"":                   func(c *Config) { c.Schedule = "cosin" },
		"own warm-up":                       func(c *Config) { c.Schedule, c.Warmup = "one-cycle", 5 },
		"mean mse":                          func(c *Config) { c.Loss = "mes" },
		"mean float64":                      func(c *Config) { c.DType = "flat64" },
		"mean cpu":                          func(c *Config) { c.Device = "cpus" },
		"use --device cpu":                  func(c *Config) { c.Device = "cuda:1" },
		"mean shuffle":                      func(c *Config) { c.Sampling = "shufle" },
		"mean lambda_max":                   func(c *Config) { c.Measure = "noise_scale,lamda_max" },
		"--measure-every 0":                 func(c *Config) { c.MeasureEvery = 0 },
		"--flatness-samples 321":            func(c *Config) { c.FlatnessSamples = smallTrain + 1 },
		"--flatness-tol 0":                  func(c *Config) { c.FlatnessTol = 0 },
		"--checkpoint-every 0":              func(c *Config) { c.CheckpointEvery = 0 },
		"--threads -2":                      func(c *Config) { c.Threads = -2 },
		"--limit -5":                        func(c *Config) { c.Limit = -5 },
		"limit of 321":                      func(c *Config) { c.Limit = smallTrain + 1 },
		"did you mean mlp":                  func(c *Config) { c.Model = "mpl" },
		"use mlp:36-4":                      func(c *Config) { c.Model = "mlp:784-4" },
		"9×9 window":                        func(c *Config) { c.Model = "cnn:conv4k9,fc4" },
		"did you mean mnist":                func(c *Config) { c.Data = "minst" },
		"no folder /does/not/exist":         func(c *Config) { c.Data = "/does/not/exist" },
		"nothing.safetensors":               func(c *Config) { c.Weights = "nothing.safetensors" },
		"create run folder":                 func(c *Config) { c.Out = filepath.Join(c.Data, "train-labels-idx1-ubyte", "run") },
		"65536 images, 320 labels":          func(c *Config) {},
		"training labels":                   func(c *Config) {},
		"train-images-idx3-ubyte.gz":        func(c *Config) {},
	} {
		c := smallConfig(t)
		change(&c)
		switch want { // these are wrong in the data
		case "65536 images, 320 labels":
			damage(t, filepath.Join(c.Data, "train-images-idx3-ubyte"), func(b []byte) []byte {
				b = append(b, make([]byte, (65536-smallTrain)*36)...)
				copy(b[4:], []byte{0, 1, 0, 0})
				return b
			})
		case "training labels":
			damage(t, filepath.Join(c.Data, "t10k-labels-idx1-ubyte"), func(b []byte) []byte { b[8] = 200; return b })
		case "train-images-idx3-ubyte.gz":
			path := filepath.Join(c.Data, "train-images-idx3-ubyte")
			damage(t, path, func(b []byte) []byte { return b[:len(b)/2] })
			if err := os.Rename(path, path+".gz"); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Run(context.Background(), c, false, &watcher{})
		wantRequestError(t, err)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
		if _, err := os.Stat(filepath.Join(c.Out, "run.json")); err == nil {
			t.Errorf("%s: a run folder was made", want)
		}
	}
}

// damage rewrites a file.
func damage(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreTheKeysOfTheJSONForm(t *testing.T) {
	for _, config := range []any{Default(), DefaultProbe()} {
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		var keys map[string]any
		if err := json.Unmarshal(text, &keys); err != nil {
			t.Fatal(err)
		}
		names, values := Names(config), Values(config)
		if len(names) != len(keys) || len(values) != len(keys) {
			t.Errorf("%d names and %d values for %d keys", len(names), len(values), len(keys))
		}
		for _, name := range names {
			if _, ok := keys[name]; !ok {
				t.Errorf("%q is no key", name)
			}
		}
	}
	if v := Values(Default()); v["lr"] != "0.1" || v["nesterov"] != "false" || v["weights"] != "" {
		t.Errorf("values %v", v)
	}
}

func TestListingShowsTheProgram(t *testing.T) {
	c := smallConfig(t)
	text, err := Listing(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"forward:", "gradient:", "product:", "fc1.weight", "tanh"} {
		if !strings.Contains(text, part) {
			t.Errorf("the listing lacks %q", part)
		}
	}
	if _, err := os.Stat(c.Out); err == nil {
		t.Error("a run folder was made")
	}
}
