package bench

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sgflow/data"
)

// Options say how long to time. Zero values are the defaults.
type Options struct {
	Time   time.Duration // for each case, in all rounds together; default 1 s
	WarmUp time.Duration // for each case; default a fifth of Time
	Rounds int           // turns that a case's time is spread over; default 5
}

func (o *Options) setDefaults() {
	if o.Time <= 0 {
		o.Time = time.Second
	}
	if o.WarmUp <= 0 {
		o.WarmUp = o.Time / 5
	}
	if o.Rounds < 1 {
		o.Rounds = 5
	}
}

// least is the number of steps that are timed of a case, however slow.
const least = 5

// Run times the cases on the training half of set and calls report for each, in
// their order. Neighbours that differ in device, threads or quantities only are timed
// in turns. A case that cannot be run is a request.Error, before anything is timed; Run
// stops at the first error of ctx and of report, and at measure.ErrDiverged.
func Run(ctx context.Context, set *data.Set, cases []Case, o Options, report func(Row) error) error {
	o.setDefaults()
	cases = slices.Clone(cases)
	for i := range cases {
		var err error
		if cases[i], _, err = cases[i].open(set); err != nil {
			return err
		}
	}
	peaks := map[string]float64{}
	for len(cases) > 0 {
		n := 1
		for n < len(cases) && cases[n].comparable(&cases[0]) {
			n++
		}
		rows, err := runGroup(ctx, set, cases[:n], o)
		if err != nil {
			return err
		}
		for _, r := range rows {
			key := fmt.Sprint(r.Threads, r.DType)
			if peaks[key] == 0 && r.Device == cpu {
				if peaks[key], err = Peak(r.Threads, r.DType); err != nil {
					return err
				}
			}
			if r.Device == cpu {
				r.PeakShare = r.GFLOPS / peaks[key]
			}
			if err := report(r); err != nil {
				return err
			}
		}
		cases = cases[n:]
	}
	return nil
}

// timing is a case while it is timed.
type timing struct {
	trainer Trainer
	ms      []float64 // of every call of Step, a step
	warm    int       // steps of the warm-up
}

// steps takes steps for the given time, at least min, and appends their times.
func (t *timing) steps(ctx context.Context, d time.Duration, min int) error {
	if t.trainer.Stride() > 1 { // it went on during the turns of others
		if _, err := t.trainer.Step(); err != nil {
			return err
		}
	}
	for start := time.Now(); min > 0 || time.Since(start) < d; min-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		from := time.Now()
		if _, err := t.trainer.Step(); err != nil {
			return err
		}
		t.ms = append(t.ms, float64(time.Since(from))/1e6/float64(t.trainer.Stride()))
	}
	return nil
}

// runGroup times cases in turns.
func runGroup(ctx context.Context, set *data.Set, cases []Case, o Options) ([]Row, error) {
	timings := make([]timing, len(cases))
	defer func() {
		for _, t := range timings {
			if t.trainer != nil {
				t.trainer.Close()
			}
		}
	}()
	for i, c := range cases {
		var err error
		if timings[i].trainer, err = NewTrainer(set, c); err != nil {
			return nil, err
		}
	}
	for i := range timings {
		if err := timings[i].steps(ctx, o.WarmUp, 2); err != nil {
			return nil, err
		}
		timings[i].warm, timings[i].ms = len(timings[i].ms)*timings[i].trainer.Stride(), timings[i].ms[:0]
	}
	for range o.Rounds {
		for i := range timings {
			if err := timings[i].steps(ctx, o.Time/time.Duration(o.Rounds), (least+o.Rounds-1)/o.Rounds); err != nil {
				return nil, err
			}
		}
	}
	rows := make([]Row, len(cases))
	for i, c := range cases {
		rows[i] = timings[i].row(c)
	}
	return rows, nil
}

// row sums the timing of c up.
func (t *timing) row(c Case) Row {
	q1, median, q3 := quartiles(t.ms)
	return Row{
		System: "sgflow", Device: c.Device,
		Model: c.Model, Batch: c.Batch, Threads: c.Threads, Measure: c.Measure, DType: c.DType,
		MSPerStep: median, SamplesPerSecond: float64(c.Batch) / median * 1e3,
		Steps: len(t.ms) * t.trainer.Stride(), Warm: t.warm, Spread: (q3 - q1) / 2 / median, GFLOPS: 2e-6 * float64(t.trainer.Work()) / median,
	}
}

// quartiles returns the three quartiles of x, interpolated, and sorts x.
func quartiles(x []float64) (q1, median, q3 float64) {
	slices.Sort(x)
	at := func(share float64) float64 {
		p := share * float64(len(x)-1)
		i := int(p)
		if i+1 == len(x) {
			return x[i]
		}
		return x[i] + (p-float64(i))*(x[i+1]-x[i])
	}
	return at(0.25), at(0.5), at(0.75)
}
