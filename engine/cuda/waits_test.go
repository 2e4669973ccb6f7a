//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sgflow/engine/cuda/driver"
	"sgflow/engine/flow/study"
	"sgflow/engine/landscape"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
	"sgflow/engine/train"
)

// TestWaitsOfAStep holds how often a step that measures all waits for the device, and what
// it asks it for: where the top eigenvector lasts, all steps being of one batch, and where
// each batch has its own. The numbers are to be changed only downwards.
func TestWaitsOfAStep(t *testing.T) {
	needsManaged(t)
	const batch, steps = 6, 8
	w := networks[1]
	for name, c := range map[string]struct {
		what string
		one  bool
		most driver.Counts
	}{
		"all, one batch":    {"all", true, driver.Counts{Waits: 1, Launches: 8, Graphs: 4}},
		"all, many batches": {"all", false, driver.Counts{Waits: 1, Launches: 8, Graphs: 4}},
		"noise":             {"noise", false, driver.Counts{Waits: 1, Launches: 2, Graphs: 1}},
	} {
		s := session[float32](t, w, w.program(t), batch, gpu(t))
		if !s.SetData(bytesOf(w, 2*steps*batch)) {
			t.Fatal("the data does not fit")
		}
		m := measure.NewMonitor(measure.NewObjective(s, func(indices []int32) { s.Gather(0, indices) }), measure.Config{Select: selected(t, c.what), Plain: true})
		var before driver.Counts
		for k := range 2 * steps {
			if k == steps {
				before = s.Counts()
			}
			indices := make([]int32, batch)
			for i := range indices {
				indices[i] = int32(i)
				if !c.one {
					indices[i] += int32(k * batch)
				}
			}
			out := record.Step{LR: 1e-3}
			if err := m.Step(k, indices, &out); err != nil {
				t.Fatal(err)
			}
			s.Update(nil, optim.Update{LR: out.LR})
			if err := m.Updated(&out); err != nil {
				t.Fatal(err)
			}
		}
		got := s.Counts()
		got = driver.Counts{
			Waits: got.Waits - before.Waits, Launches: got.Launches - before.Launches,
			Copies: got.Copies - before.Copies, Graphs: got.Graphs - before.Graphs,
		}
		if want := c.most; got != (driver.Counts{Waits: steps * want.Waits, Launches: steps * want.Launches, Copies: steps * want.Copies, Graphs: steps * want.Graphs}) {
			t.Errorf("%s: %d steps ask for %+v, one for %+v before", name, steps, got, want)
		}
	}
}

// Laps tell what the device takes for what lies between them, whoever waits meanwhile.
func TestLaps(t *testing.T) {
	w := networks[1]
	s := session[float32](t, w, w.program(t), 6, gpu(t))
	x := s.NewVector(1 << 20)
	y := s.NewVector(1 << 20)
	work := func() { s.Axpy(1, x, y) }
	const unset = -1
	some, none, over, after := time.Duration(unset), time.Duration(unset), time.Duration(unset), time.Duration(unset)
	begin := time.Now()
	s.Lap(nil)
	work()
	s.Lap(&some)
	s.Lap(&none)
	work()
	s.Wait() // in the middle of what over tells
	work()
	s.Lap(&over)
	s.Wait()
	all := time.Since(begin)
	if some <= 0 || none != 0 || over <= 0 || some+over > all {
		t.Errorf("%v, then nothing in %v, then %v with a wait between; all took %v", some, none, over, all)
	}
	time.Sleep(20 * time.Millisecond)
	begin = time.Now()
	s.Lap(nil)
	work()
	s.Lap(&after)
	s.Wait()
	if all := time.Since(begin); after <= 0 || after > all {
		t.Errorf("work that took %v of %v with the host's part", after, all)
	}
}

// The loss of many samples, here of the second set of the data, is that of its chunks, and
// is waited for once.
func TestEvaluationWaitsOnce(t *testing.T) {
	const capacity, samples = 3, 40
	w := networks[1]
	d := bytesOf(w, samples)
	s := session[float32](t, w, w.program(t), capacity, gpu(t))
	if !s.SetData(d) {
		t.Fatal("the data does not fit")
	}
	first := len(d.Sets[0].Labels)
	indices := problem.Sequence(0, len(d.Sets[1].Labels))
	wantLoss, wantCorrect := 0.0, 0
	for chunk := range slices.Chunk(problem.Sequence(first, samples), capacity) {
		load(s, w, d, chunk)
		s.Forward(len(chunk))
		wantLoss += s.Loss() * float64(len(chunk)) / float64(len(indices))
		wantCorrect += s.Correct()
	}
	o := measure.NewObjective(s, func(indices []int32) { s.Gather(first, indices) })
	before := s.Counts().Waits
	loss, correct := o.Forward(indices)
	if math.Abs(loss-wantLoss) > 1e-12*wantLoss || correct != wantCorrect {
		t.Errorf("loss %v and %d right, chunk by chunk %v and %d", loss, correct, wantLoss, wantCorrect)
	}
	if waits := s.Counts().Waits - before; waits != 1 {
		t.Errorf("it waits %d times", waits)
	}
}

func selected(t *testing.T, text string) measure.Selection {
	t.Helper()
	s, err := measure.ParseSelection(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The host touches no vector while work that may be about it is queued: on an emulator
// that closes managed memory until it is waited for, what does ends the process.
func TestTheHostWaitsForVectors(t *testing.T) {
	t.Setenv("SGFLOW_EMULATOR_GUARD", "1")
	for _, change := range []func(*train.Config){
		func(c *train.Config) { c.Measure, c.Trajectory = "everything", "1" },
		func(c *train.Config) { c.Measure, c.MeasureEvery, c.FlatnessSamples = "everything", 2, 30 },
		func(c *train.Config) { c.Measure, c.Model, c.Steps = "everything", "cnn:conv2k3,relu,maxpool2,fc4", 1 },
		func(c *train.Config) { c.Measure, c.Optimizer, c.EMA, c.SWA = "all", optim.ASAM, 0.9, "2" },
		func(c *train.Config) { c.Measure, c.Optimizer, c.Noise = "all", optim.SAM, "diagonal:4" },
		func(c *train.Config) { c.Measure, c.Optimizer, c.Noise, c.Momentum = "none", optim.AdamW, "sigma:4", 0 },
		func(c *train.Config) {
			c.Measure, c.Optimizer, c.SGLDTemperature, c.Momentum = "economy", optim.SGLD, 1e-4, 0
		},
		func(c *train.Config) { c.Measure, c.Until, c.UntilEvery = "business", "train-loss:0.01", 2 },
	} {
		c := config(t, "cuda")
		c.Steps, c.CheckpointEvery = 3, 1e-9
		change(&c)
		mustTrain(t, c)
	}
	probe := train.DefaultProbe()
	probe.Problem = config(t, "cuda").Problem
	probe.Measure, probe.Probes = "everything", 3
	if _, err := train.Probe(context.Background(), probe, func(string, int) {}); err != nil {
		t.Error(err)
	}
	flows := study.Default()
	flows.Problem = probe.Problem
	flows.Limit = 20
	flows.Paths, flows.LR, flows.Batch, flows.Steps, flows.MeasureEvery, flows.Seeds = "sgd;descent;gradient-flow;sde-full:order=2;sde-diagonal;sde-isotropic;svag:l=2;langevin:temperature=1e-4", 0.05, 4, 4, 2, 2
	if _, err := study.Run(context.Background(), flows, nobody{}); err != nil {
		t.Error(err)
	}
	for _, directions := range []string{landscape.PCA, landscape.Random, landscape.Eigen} {
		c := landscape.Default()
		c.Problem, c.Directions, c.Grid, c.Steps, c.Points, c.Frames = flows.Problem, directions, 3, 6, 3, 0
		if _, err := landscape.Run(context.Background(), c, nil, filepath.Join(t.TempDir(), "slice"), func(string, int, int) {}); err != nil {
			t.Error(err)
		}
	}
}

// nobody is a study.Watcher.
type nobody struct{}

func (nobody) Warn(string)             {}
func (nobody) Log(any) error           { return nil }
func (nobody) Progress(study.Progress) {}
