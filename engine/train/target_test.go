package train

import (
	"context"
	"path/filepath"
	"testing"

	"sgflow/engine/record"
)

func TestRunEndsOnceItsTargetIsMet(t *testing.T) {
	whole := smallConfig(t)
	whole.Epochs = 4
	mustRun(t, whole)
	epochs, err := record.ReadEpochs(filepath.Join(whole.Out, "epochs.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := record.ReadSteps(filepath.Join(whole.Out, "steps.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	value := func(o record.Opt) string { return o.String() }
	third := 0.0 // mean loss of steps 20 to 22, all batches being of one size
	for _, s := range steps[20:23] {
		third += s.Loss / 3
	}
	for _, test := range []struct {
		until string
		every int
		steps int
	}{
		{"test-loss:" + value(epochs[1].TestLoss), 0, 20},
		{"train-loss:" + value(epochs[2].TrainLoss), 0, 30},
		{"test-loss:" + value(epochs[1].TestLoss), 20, 20},
		{"train-accuracy:0.0001", 3, 3},
		{"train-loss:1e-9", 7, 40},
	} {
		c := whole
		c.Out = filepath.Join(t.TempDir(), "run")
		c.Until, c.UntilEvery = test.until, test.every
		s := mustRun(t, c)
		wantReached := test.steps < 40
		if s.Steps != test.steps || s.Reached == nil || *s.Reached != wantReached {
			t.Errorf("%s every %d: %d steps, want %d; reached %v", test.until, test.every, s.Steps, test.steps, s.Reached)
		}
		got, err := record.ReadSteps(filepath.Join(c.Out, "steps.jsonl"))
		if err != nil || len(got) != test.steps || got[test.steps-1].Loss != steps[test.steps-1].Loss {
			t.Errorf("%s: %d steps logged, %v, or they differ from those of the whole run", test.until, len(got), err)
		}
	}
}

func TestRunWithTargetResumesToTheSameBits(t *testing.T) {
	c := smallConfig(t)
	c.Epochs, c.Until, c.UntilEvery = 6, "train-loss:0.5", 3
	s := mustRun(t, c)
	if s.Reached == nil || !*s.Reached || s.Steps < 6 {
		t.Fatalf("the target was met %v after %d steps: the test needs another", s.Reached, s.Steps)
	}
	again := c
	again.Out = filepath.Join(t.TempDir(), "run")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := &watcher{onStep: func(step *record.Step) {
		if step.Step == s.Steps-3 { // between two looks
			cancel()
		}
	}}
	if _, err := Run(ctx, again, false, stop); err == nil {
		t.Fatal("the run was not interrupted")
	}
	if _, err := Resume(context.Background(), again.Out, again, &watcher{}); err != nil {
		t.Fatal(err)
	}
	wantSameOutcome(t, again.Out, c.Out)
}

func TestTargetsThatAreNone(t *testing.T) {
	for _, until := range []string{"loss:1", "test-loss", "test-loss:x", "test-loss:-1", "train-accuracy:2", "train-accuracy:NaN", ":1"} {
		c := smallConfig(t)
		c.Until = until
		wantRequestError(t, c.Validate())
	}
}
