package train

import (
	"os"
	"path/filepath"
	"testing"

	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// weightsOfSteps returns the weights after each step of a run of SGD with momentum,
// the initial ones first, from a loop written out.
func weightsOfSteps(t *testing.T, c *Config) [][]float64 {
	r := newReplayed(t, c)
	theta := append([]float64(nil), r.theta...)
	v := make([]float64, len(theta))
	list := [][]float64{append([]float64(nil), theta...)}
	for step := range c.Epochs * r.sampler.StepsPerEpoch() {
		for i, g := range r.gradient(theta, r.sampler.Batch(step, nil)) {
			v[i] = c.Momentum*v[i] + g
			theta[i] -= c.LR * v[i]
		}
		list = append(list, append([]float64(nil), theta...))
	}
	return list
}

// meanOf returns the mean of the weights after the given numbers of steps.
func meanOf(weights [][]float64, steps ...int) []float64 {
	mean := make([]float64, len(weights[0]))
	for _, s := range steps {
		for i, x := range weights[s] {
			mean[i] += x / float64(len(steps))
		}
	}
	return mean
}

func TestAveragesAreThoseOfTheWeightsAfterEachStep(t *testing.T) {
	c := smallConfig(t) // 10 steps an epoch
	c.DType, c.Epochs, c.EMA = problem.Float64, 4, 0.8
	weights := weightsOfSteps(t, &c)
	// With the past unrolled: d^K·θ₀ + (1−d) Σ d^(K−k)·θ_k.
	ema, share := make([]float64, len(weights[0])), 1.0
	for k := len(weights) - 1; k >= 0; k-- {
		w := share * (1 - c.EMA)
		if k == 0 {
			w = share
		}
		for i, x := range weights[k] {
			ema[i] += w * x
		}
		share *= c.EMA
	}
	for setting, steps := range map[string][]int{
		"2e":     {20, 30, 40},
		"1e:2e":  {10, 30},
		"25:6":   {25, 31, 37},
		"15":     {15, 20, 30, 40}, // and the ends of epochs from then on
		"3e:4":   {30, 34, 38},
		"40":     {40},
		"4e:100": {40},
	} {
		c.SWA, c.Out = setting, filepath.Join(t.TempDir(), "run")
		mustRun(t, c)
		wantNear(t, "EMA", finalWeights(t, record.AveragePath(c.Out, record.EMA), &c), ema, 1e-10)
		wantNear(t, "SWA "+setting, finalWeights(t, record.AveragePath(c.Out, record.SWA), &c), meanOf(weights, steps...), 1e-10)
	}
}

func TestAveragesAreEvaluatedBesideTheWeights(t *testing.T) {
	c := smallConfig(t)
	c.EMA, c.SWA = 0.9, "2e"
	s := mustRun(t, c)
	epochs, err := record.ReadEpochs(filepath.Join(c.Out, "epochs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if epochs[0].EMATestLoss.IsZero() || !epochs[0].SWATestLoss.IsZero() || epochs[1].SWATestAccuracy.IsZero() {
		t.Errorf("epochs %+v", epochs)
	}
	if epochs[1].Averaged != s.Averaged {
		t.Errorf("the last epoch has %+v, the summary %+v", epochs[1].Averaged, s.Averaged)
	}
	// A run that stands still at an average is as good as the average.
	for name, want := range map[string]record.Opt{record.EMA: s.EMATestLoss, record.SWA: s.SWATestLoss} {
		still := smallConfig(t)
		still.Data, still.Weights, still.LR, still.Steps = c.Data, record.AveragePath(c.Out, name), 0, 1
		if got := mustRun(t, still).TestLoss; got != want {
			t.Errorf("%s: test loss %v, of its weights %v", name, want, got)
		}
	}
	bare := smallConfig(t)
	mustRun(t, bare)
	a, errA := os.ReadFile(record.WeightsPath(bare.Out))
	b, errB := os.ReadFile(record.WeightsPath(c.Out))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("averages have changed the training (%v, %v)", errA, errB)
	}
}

func TestAForcedRunLeavesNoAverageOfAnother(t *testing.T) {
	c := smallConfig(t)
	c.EMA, c.SWA = 0.9, "1e"
	mustRun(t, c)
	c.EMA, c.SWA = 0, ""
	if _, err := Run(t.Context(), c, true, &watcher{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{record.EMA, record.SWA} {
		if _, err := os.Stat(record.AveragePath(c.Out, name)); err == nil {
			t.Errorf("%s is still there", record.AveragePath(c.Out, name))
		}
	}
}
