package bench

import (
	"context"
	"errors"
	"math"
	"runtime"
	"testing"
	"time"

	"sgflow/data"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// small is a quick case.
var small = Case{Model: "mlp:784-16-10", Batch: 8, Threads: 1}

// quick is as little timing as there is.
var quick = Options{Time: time.Millisecond, WarmUp: time.Microsecond, Rounds: 2}

func losses(t *testing.T, set *data.Set, c Case, n int) []float64 {
	t.Helper()
	trainer, err := NewTrainer(set, c)
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	list := make([]float64, n)
	for i := range list {
		if list[i], err = trainer.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func TestMeasuringAndThreadsDoNotChangeTheTraining(t *testing.T) {
	set := mnist(t)
	want := losses(t, set, small, 10)
	for _, c := range []Case{
		{Model: small.Model, Batch: small.Batch, Threads: 2, Measure: "none"},
		{Model: small.Model, Batch: small.Batch, Threads: 1, Measure: "noise"},
		{Model: small.Model, Batch: small.Batch, Threads: 2, Measure: "all"},
	} {
		for i, got := range losses(t, set, c, 10) {
			if got != want[i] {
				t.Errorf("%+v: loss %d is %v, want %v", c, i, got, want[i])
			}
		}
	}
}

// The comparison on a GPU looks at the losses of the hundredth step, where training in float32 has
// not left that in float64; some hundred steps later it has.
func TestTheHundredthStep(t *testing.T) {
	set, c := mnist(t), Case{Model: "mlp", Batch: 64}
	single := losses(t, set, c, 500)
	c.DType = problem.Float64
	for i, want := range losses(t, set, c, len(single)) {
		off := math.Abs(single[i]-want) / want
		if i%100 == 99 {
			t.Logf("step %d: loss %.6f, off by %.1e", i+1, want, off)
		}
		if i < 100 && off > 1e-5 {
			t.Errorf("step %d: loss %v in float32, %v in float64", i+1, single[i], want)
		}
	}
}

func TestTrainingLowersTheLoss(t *testing.T) {
	c := small
	c.Batch = 64
	list := losses(t, mnist(t), c, 200)
	mean := func(x []float64) (m float64) {
		for _, v := range x {
			m += v / float64(len(x))
		}
		return m
	}
	if first, last := mean(list[:20]), mean(list[180:]); last > 0.9*first {
		t.Errorf("mean loss went from %v to %v", first, last)
	}
}

func TestRunReportsEveryCaseInOrder(t *testing.T) {
	cases := []Case{
		small,
		{Model: small.Model, Batch: 8, Threads: 2, Measure: "all"},
		{Model: small.Model, Batch: 3, DType: problem.Float64},
		{Model: "cnn:conv2k5,relu,maxpool4,fc10", Batch: 3, Threads: 1, Measure: "noise"},
	}
	var rows []Row
	err := Run(context.Background(), mnist(t), cases, quick, func(r Row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(cases) {
		t.Fatalf("%d rows for %d cases", len(rows), len(cases))
	}
	for i, r := range rows {
		c := cases[i]
		c.setDefaults()
		if r.Model != c.Model || r.Batch != c.Batch || r.Threads != c.Threads || r.Measure != c.Measure || r.DType != c.DType {
			t.Errorf("row %d is of another case: %+v", i, r)
		}
		if r.System != "sgflow" || r.Device != "cpu" || r.Steps < least || !(r.MSPerStep > 0) || !(r.GFLOPS > 0) || !(r.PeakShare > 0) {
			t.Errorf("row %d: %+v", i, r)
		}
		// Both follow from the median by one division.
		if want := float64(r.Batch) * 1e3 / r.MSPerStep; math.Abs(r.SamplesPerSecond-want) > 1e-9*want {
			t.Errorf("row %d: %v samples a second, want %v", i, r.SamplesPerSecond, want)
		}
	}
	if rows[2].Threads != runtime.GOMAXPROCS(0) {
		t.Errorf("0 threads became %d", rows[2].Threads)
	}
}

func TestRunRefusesCasesBeforeTimingAny(t *testing.T) {
	set := mnist(t)
	for name, wrong := range map[string]Case{
		"batch of none":             {Model: "mlp", Batch: 0},
		"batch larger than the set": {Model: "mlp", Batch: set.Train.N + 1},
		"negative threads":          {Model: "mlp", Batch: 1, Threads: -1},
		"unknown quantity":          {Model: "mlp", Batch: 1, Measure: "sharpnes"},
		"unknown type":              {Model: "mlp", Batch: 1, DType: "float16"},
		"unknown model":             {Model: "mpl", Batch: 1},
		"unknown device":            {Model: "mlp", Batch: 1, Device: "gpu"},
		"model that does not fit":   {Model: "mlp:783-10", Batch: 1},
	} {
		err := Run(context.Background(), set, []Case{small, wrong}, quick, func(r Row) error {
			t.Errorf("%s: reported %+v", name, r)
			return nil
		})
		var wrong *request.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestRunStopsWhenTold(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := Run(ctx, mnist(t), []Case{small}, quick, func(Row) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
	full := errors.New("full")
	if err := Run(context.Background(), mnist(t), []Case{small}, quick, func(Row) error { return full }); !errors.Is(err, full) {
		t.Errorf("report failed: error %v", err)
	}
}

func TestQuartilesInterpolate(t *testing.T) {
	for _, c := range []struct {
		x              []float64
		q1, median, q3 float64
	}{
		{[]float64{3}, 3, 3, 3},
		{[]float64{2, 1}, 1.25, 1.5, 1.75},
		{[]float64{5, 1, 4, 2, 3}, 2, 3, 4},
		{[]float64{4, 3, 2, 1}, 1.75, 2.5, 3.25},
	} {
		if q1, median, q3 := quartiles(c.x); q1 != c.q1 || median != c.median || q3 != c.q3 {
			t.Errorf("quartiles of %v: %v %v %v, want %v %v %v", c.x, q1, median, q3, c.q1, c.median, c.q3)
		}
	}
}
