package train

import (
	"math"
	"path/filepath"
	"testing"

	"sgflow/engine/record"
)

// loggedSteps returns the steps of the run in dir.
func loggedSteps(t *testing.T, dir string) []record.Step {
	t.Helper()
	steps, err := record.ReadSteps(filepath.Join(dir, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// wantWholeEpochs fails the test unless the samples of the steps of every epoch but
// an unfinished last one are as many as there are, and epochs follow each other.
func wantWholeEpochs(t *testing.T, what string, steps []record.Step, epochs int) {
	t.Helper()
	seen := make([]int, epochs)
	for i, s := range steps {
		if s.Epoch >= epochs || i > 0 && s.Epoch != steps[i-1].Epoch && s.Epoch != steps[i-1].Epoch+1 {
			t.Fatalf("%s: step %d is of epoch %d", what, i, s.Epoch)
		}
		seen[s.Epoch] += s.Samples
	}
	for e, n := range seen {
		if n != smallTrain {
			t.Errorf("%s: epoch %d has %d samples, want %d", what, e, n, smallTrain)
		}
	}
}

func TestScheduledBatchesGrowAndEpochsStayWhole(t *testing.T) {
	for setting, want := range map[string][]int{
		"step:1e:2": {32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 64, 64, 64, 64, 64, 128, 128, 64},
		// 4·32 + 2·96 fill the first epoch; 2·96 and 128 of 288 the second.
		"step:4:3":          {32, 32, 32, 32, 96, 96, 96, 96, 128, 288, 32},
		"at:1e:300:2e:1000": {32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 300, 20, 320},
	} {
		c := smallConfig(t)
		c.Epochs, c.BatchSchedule, c.Schedule = 3, setting, "linear"
		w := &watcher{}
		s, err := Run(t.Context(), c, false, w)
		if err != nil {
			t.Fatal(err)
		}
		steps := loggedSteps(t, c.Out)
		wantWholeEpochs(t, setting, steps, 3)
		var got []int
		for _, p := range steps {
			got = append(got, p.Samples)
		}
		same := len(got) == len(want)
		for i := range min(len(got), len(want)) {
			same = same && got[i] == want[i]
		}
		if !same {
			t.Errorf("%s: batches %v, want %v", setting, got, want)
		}
		if s.Steps != len(want) || s.Epochs != 3 || w.info.Steps != len(want) || w.info.Epochs != 3 || len(w.epochs) != 3 {
			t.Errorf("%s: %d steps in %d epochs, announced %d in %d", setting, s.Steps, s.Epochs, w.info.Steps, w.info.Epochs)
		}
		// The rate falls with the samples seen: one thirtieth of it for each 32.
		seen := 0
		for i, p := range steps {
			if rate := c.LR * (1 - float64(seen/32)/30); math.Abs(p.LR-rate) > 1e-15 {
				t.Errorf("%s: the rate of step %d, after %d samples, is %v, want %v", setting, i, seen, p.LR, rate)
			}
			seen += p.Samples
		}
	}
}

func TestStepsWinOverEpochsWhereBatchesGrow(t *testing.T) {
	c := smallConfig(t)
	c.Steps, c.BatchSchedule, c.Schedule = 14, "step:1e:2", "step:1e:0.5"
	if s := mustRun(t, c); s.Steps != 14 || s.Epochs != 2 {
		t.Errorf("%d steps in %d epochs", s.Steps, s.Epochs)
	}
	for i, p := range loggedSteps(t, c.Out) {
		if want := c.LR / float64(int(1)<<p.Epoch); p.LR != want {
			t.Errorf("the rate of step %d, in epoch %d, is %v, want %v", i, p.Epoch, p.LR, want)
		}
	}
}

// The sizes follow from the logged noise: the quantities norm_test and
// noise_scale_ema are computed by package measure for themselves.
func TestAdaptiveBatchesFollowTheLoggedNoise(t *testing.T) {
	for setting, next := range map[string]func(size int, s *record.Step) float64{
		"norm-test:0.5": func(size int, s *record.Step) float64 {
			x, ok := s.Noise.Get("norm_test").Get()
			if !ok || x <= 0.5 {
				return float64(size)
			}
			return max(float64(size), math.Ceil(x*x*float64(s.Samples)/0.25*(1-1e-12)))
		},
		"noise-scale:2": func(size int, s *record.Step) float64 {
			x, ok := s.Noise.Get("noise_scale_ema").Get()
			if !ok {
				return float64(size)
			}
			return math.Round(2 * x)
		},
	} {
		c := smallConfig(t)
		c.AdaptiveBatch, c.BatchMax, c.Batch, c.Epochs, c.Measure = setting, 200, 8, 6, "noise"
		s := mustRun(t, c)
		steps := loggedSteps(t, c.Out)
		wantWholeEpochs(t, setting, steps, 6)
		if s.Epochs != 6 || s.Steps != len(steps) {
			t.Errorf("%s: %d steps in %d epochs", setting, s.Steps, s.Epochs)
		}
		size, changed, seen := 8, 0, 0
		for i := range steps {
			p := &steps[i]
			if want := min(size, smallTrain-seen%smallTrain); p.Samples != want {
				t.Fatalf("%s: step %d has %d samples, want %d", setting, i, p.Samples, want)
			}
			seen += p.Samples
			if p.Samples > 1 {
				want := max(float64(size)/2, min(next(size, p), 2*float64(size)))
				if n := int(max(2, min(math.Ceil(want), 200))); n != size {
					size = n
					changed++
				}
			}
		}
		if changed < 3 {
			t.Errorf("%s: sizes changed %d times: the test says little", setting, changed)
		}
	}
}

func TestAdaptiveBatchesNeedNoMeasuring(t *testing.T) {
	var sizes [2][]int
	for k, measure := range []string{"none", "all"} {
		c := smallConfig(t)
		c.AdaptiveBatch, c.Batch, c.Measure = "noise-scale:1", 8, measure
		mustRun(t, c)
		for _, p := range loggedSteps(t, c.Out) {
			sizes[k] = append(sizes[k], p.Samples)
			if measure == "none" && len(p.Noise)+len(p.Layers) > 0 {
				t.Fatal("noise is logged with --measure none")
			}
		}
	}
	if len(sizes[0]) != len(sizes[1]) {
		t.Errorf("%d steps without measuring, %d with", len(sizes[0]), len(sizes[1]))
	}
}
