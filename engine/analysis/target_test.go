package analysis

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"sgflow/engine/record"
)

// decaying is a run whose loss is 0.1 after so many steps.
func decaying(batch int, seed uint64, steps float64) *Run {
	r := &Run{Fixed: []Field{{"model", "m"}}, Setting: Setting{Batch: batch, LR: 0.1}, Seed: seed, Ended: true}
	for i := range int(1.5 * steps) {
		loss := 2 * math.Exp(-math.Log(20)*float64(i)/steps)
		r.Loss = append(r.Loss, loss)
		r.Accuracy = append(r.Accuracy, 1-loss/3)
	}
	return r
}

// The mean over ±10 % of a step is above the value there, by the curve's bend: for
// this one 1.5 %, which is 0.5 % in steps; whole steps add some at small counts.
func TestStepsToTheTargetAreThoseOfTheCurve(t *testing.T) {
	for _, steps := range []float64{30, 333, 5000} {
		r := decaying(64, 1, steps)
		for _, target := range []Target{{Value: 0.1}, {Accuracy: true, Value: 1 - 0.1/3}} {
			got, ok := target.Steps(r)
			if !ok {
				t.Fatalf("%s not reached", target)
			}
			near(t, target.String(), got, steps, 0.01)
		}
	}
}

// Curves that differ in their speed alone are smoothed alike.
func TestStepsScaleWithTheCurve(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.Float64Range(200, 3000).Draw(r, "steps")
		k := rapid.Float64Range(1, 4).Draw(r, "k")
		a, okA := Target{Value: 0.1}.Steps(decaying(64, 1, steps))
		b, okB := Target{Value: 0.1}.Steps(decaying(64, 1, k*steps))
		if !okA || !okB || math.Abs(b/(k*a)-1) > 2e-3 { // windows are of whole steps
			r.Fatalf("%g and %g steps for curves %g times as long", a, b, k)
		}
	})
}

func TestATargetThatIsNotReachedSaysSo(t *testing.T) {
	r := decaying(64, 1, 100)
	for _, target := range []Target{{Value: 1e-3}, {Value: 5}, {Test: true, Value: 0.1}} { // never, at once, not measured
		if n, ok := target.Steps(r); ok {
			t.Errorf("%s after %g steps", target, n)
		}
	}
	if _, ok := (Target{Accuracy: true, Value: 0.5}).Steps(&Run{Setting: Setting{Batch: 1}}); ok {
		t.Error("a run without a log reached a target")
	}
}

func TestTestTargetsAreInterpolatedBetweenEvaluations(t *testing.T) {
	r := &Run{Evaluations: []Evaluation{
		{100, record.Some(0.5), record.Some(0.8)}, {200, record.Some(0.3), record.Some(0.9)}, {300, record.Some(0.2), record.Some(0.95)},
	}}
	for _, c := range []struct {
		target Target
		want   float64
	}{{Target{Test: true, Value: 0.4}, 150}, {Target{Test: true, Accuracy: true, Value: 0.94}, 280}} {
		got, ok := c.target.Steps(r)
		if !ok || math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s after %g steps, want %g", c.target, got, c.want)
		}
	}
}

func TestARunThatStoppedAtTheTargetSaysSoItself(t *testing.T) {
	r := &Run{Until: "test-accuracy:0.97", Reached: true, Steps: 420}
	target, err := ParseTarget("test-accuracy:0.97")
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := target.Steps(r); !ok || n != 420 {
		t.Errorf("%g, %v", n, ok)
	}
	r.Reached = false
	if _, ok := target.Steps(r); ok {
		t.Error("reached though the run says it did not")
	}
}

func TestTargetsAreReadAsTheyAreWritten(t *testing.T) {
	for _, text := range []string{"train-loss:0.1", "train-accuracy:0.97", "test-loss:0.35", "test-accuracy:0.5"} {
		target, err := ParseTarget(text)
		if err != nil || target.String() != text {
			t.Errorf("%s is read as %s, %v", text, target, err)
		}
	}
	for _, text := range []string{"", "loss:1", "train-loss", "train-loss:x", "train-loss:0", "train-loss:NaN", "test-accuracy:1.5", "test-accuracy:1", "train-loss:+Inf"} {
		if target, err := ParseTarget(text); err == nil {
			t.Errorf("%q is read as %s", text, target)
		}
	}
}

// Batch sizes end at losses of 0.02, 0.05, 0.2 and 0.9 or so: three quarters reach
// what the third does.
func TestTheChosenTargetIsReachedByThreeQuarters(t *testing.T) {
	var runs []*Run
	for i, steps := range []float64{500, 400, 300, 200} {
		for seed := range uint64(2) {
			r := decaying(8<<i, seed, steps)
			keep := int([]float64{1.4, 1.2, 0.8, 0.3}[i] * steps)
			r.Loss, r.Accuracy = r.Loss[:keep], r.Accuracy[:keep]
			runs = append(runs, r)
		}
	}
	problems, _ := GroupRuns(runs)
	target, ok := problems[0].ChooseTarget()
	if !ok {
		t.Fatal("no target")
	}
	rows, reached := problems[0].ToTarget(target)
	for i, row := range rows {
		if got, want := row.Group != nil, i < 3; got != want {
			t.Errorf("%s: batch %d reached: %v", target, row.Batch, got)
		}
	}
	if len(reached) != 6 {
		t.Errorf("%d runs reached %s", len(reached), target)
	}
	if row := rows[1]; math.Abs(row.Samples.Mean-16*row.Steps.Mean) > 1e-9*row.Samples.Mean {
		t.Errorf("%g samples in %g steps", row.Samples.Mean, row.Steps.Mean)
	}
}

func TestEachBatchSizeIsCountedAtItsFastestSetting(t *testing.T) {
	slow, fast, lame := decaying(64, 1, 400), decaying(64, 1, 200), decaying(64, 2, 200)
	fast.Setting.LR, lame.Setting.LR = 0.5, 0.9
	other := decaying(64, 1, 100) // faster, but its other seed never arrives
	other.Setting.LR = 0.9
	lame.Loss = lame.Loss[:20]
	problems, _ := GroupRuns([]*Run{slow, fast, other, lame})
	rows, _ := problems[0].ToTarget(Target{Value: 0.1})
	if rows[0].Group.Setting.LR != 0.5 || rows[0].Settings != 3 {
		t.Errorf("counted at rate %g of %d settings", rows[0].Group.Setting.LR, rows[0].Settings)
	}
}

// tr Σ is 50 and |G|² is the loss: where the loss is 0.1 the noise scale is 500, but
// for the bend of the curve, 1.5 % of it.
func TestNoiseIsTakenWhereTheTargetIsReached(t *testing.T) {
	var runs []*Run
	for seed := range uint64(3) {
		r := decaying(64, seed, 400)
		for i, loss := range r.Loss {
			if i%3 == 0 { // not measured at every step
				r.Noise = append(r.Noise, NoiseAt{})
				continue
			}
			r.Noise = append(r.Noise, NoiseAt{record.Some(50), record.Some(loss)})
		}
		runs = append(runs, r)
	}
	problems, _ := GroupRuns(runs)
	target := Target{Value: 0.1}
	rows, _ := problems[0].ToTarget(target)
	e, ok := rows[0].NoiseScale(target)
	if !ok {
		t.Fatal("no noise scale")
	}
	near(t, "the noise scale", e.Mean, 500, 0.02)
	if v, g := (Target{Value: 1e-9}).NoiseOnReaching(runs[0]); !v.IsZero() || !g.IsZero() {
		t.Error("noise where a target that was never reached was reached")
	}
}
