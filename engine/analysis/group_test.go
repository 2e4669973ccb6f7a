package analysis

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sgflow/engine/record"
)

// ended is a run with a test accuracy.
func ended(name, model string, batch int, lr float64, seed uint64, accuracy float64) *Run {
	return &Run{
		Name: name, Fixed: []Field{{"model", model}}, Setting: Setting{Batch: batch, LR: lr}, Seed: seed,
		Ended: true, Final: Final{TestAccuracy: record.Some(accuracy)},
	}
}

func TestRunsOfDifferentProblemsAreNeverAveraged(t *testing.T) {
	problems, notes := GroupRuns([]*Run{
		ended("a", "mlp", 64, 0.1, 1, 0.9), ended("b", "cnn", 64, 0.1, 1, 0.99), ended("c", "mlp", 32, 0.1, 1, 0.8), ended("d", "mlp", 64, 0.1, 2, 0.92),
	})
	if len(problems) != 2 || len(notes) != 0 {
		t.Fatalf("%d problems, notes %q", len(problems), notes)
	}
	mlp := problems[0]
	if len(mlp.Groups) != 2 || mlp.Groups[0].Setting.Batch != 32 || len(mlp.Groups[1].Runs) != 2 {
		t.Errorf("%+v", mlp.Groups)
	}
	if e, _ := mlp.Groups[1].Mean(Goals[0].Of); math.Abs(e.Mean-0.91) > 1e-12 {
		t.Errorf("mean %g", e.Mean)
	}
}

func TestARepeatedRunCountsOnce(t *testing.T) {
	died := ended("died", "mlp", 64, 0.1, 1, 0)
	died.Ended = false
	problems, notes := GroupRuns([]*Run{died, ended("a", "mlp", 64, 0.1, 1, 0.9), ended("again", "mlp", 64, 0.1, 1, 0.9)})
	g := problems[0].Groups[0]
	if len(g.Runs) != 1 || g.Runs[0].Name != "a" || len(g.Unfinished) != 0 {
		t.Errorf("%+v", g)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "again repeats the setting and the seed of a") {
		t.Errorf("notes %q", notes)
	}
}

// Student's t of the differences 0.01, 0.02, 0.03 is 3.4641, of two degrees of
// freedom: p = 0.07418; Welch's of the same numbers unpaired: t = 2.4495, four
// degrees of freedom: p = 0.07048.
func TestSettingsAreComparedByPairedTests(t *testing.T) {
	var runs []*Run
	for i, a := range []float64{0.91, 0.92, 0.93} {
		runs = append(runs, ended("a", "mlp", 64, 0.1, uint64(i), a), ended("b", "mlp", 32, 0.1, uint64(i), 0.90), ended("c", "mlp", 16, 0.1, uint64(i+9), 0.89+0.01*float64(i)))
	}
	problems, _ := GroupRuns(runs)
	list, goal := problems[0].Rank(Goals...)
	if goal.Name != "test accuracy" || list[0].Group.Setting.Batch != 64 {
		t.Fatalf("best by %s is %+v", goal.Name, list[0])
	}
	for _, r := range list[1:] {
		p, _ := r.P.Get()
		near(t, fmt.Sprintf("p of batch %d", r.Group.Setting.Batch), p, map[int]float64{32: 0.0741799, 16: 0.0704840}[r.Group.Setting.Batch], 1e-5)
	}
}

func TestSettingsWithUnfinishedRunsRankLast(t *testing.T) {
	survivor := ended("s", "mlp", 8, 1, 1, 0.99)
	diverged := ended("d", "mlp", 8, 1, 2, 0)
	diverged.Ended = false
	problems, _ := GroupRuns([]*Run{survivor, diverged, ended("a", "mlp", 64, 0.1, 1, 0.9)})
	list, _ := problems[0].Rank(Goals...)
	if len(list) != 2 || list[0].Group.Setting.Batch != 64 {
		t.Errorf("the best is %+v", list[0].Group)
	}
}

func TestRankFallsBackToLosses(t *testing.T) {
	var runs []*Run
	for i, loss := range []float64{0.5, 0.2, 0.3} {
		r := ended("r", "mlp", 8<<i, 0.1, 1, 0)
		r.Final = Final{TrainLoss: record.Some(loss)}
		runs = append(runs, r)
	}
	problems, _ := GroupRuns(runs)
	list, goal := problems[0].Rank(Goals...)
	if goal.Name != "training loss" || list[0].Estimate.Mean != 0.2 || list[2].Estimate.Mean != 0.5 {
		t.Errorf("by %s: %+v", goal.Name, list)
	}
}
