//go:build gpu && cgo && linux && amd64

package cuda_test

import (
	"reflect"
	"slices"
	"testing"

	"sgflow/engine"
	"sgflow/engine/cuda/driver"
	"sgflow/engine/measure"
	"sgflow/engine/optim"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// What steps that stay on the device measure, whatever the network and the batch, has the bits of
// what is measured step by step; the emulator sees to it that branches don't race.
func TestMeasuredStepsAreThoseTakenOneByOne(t *testing.T) {
	needsManaged(t)
	const samples, rate = 40, 0.05
	tried := 0
	for _, w := range slices.Concat(networks, presets) {
		runs := []struct{ batch, steps int }{{7, 9}, {5, 4}, {7, 1}} // a graph of several, and single ones; the second of one batch again and again
		if w.input.H == 28 {
			runs = runs[1:2]
		}
		p, d := w.program(t), bytesOf(w, samples)
		ahead, single := session[float32](t, w, p, 7, gpu(t)), session[float32](t, w, p, 7, gpu(t))
		if !ahead.SetData(d) || !single.SetData(d) { // more classes than inputs
			continue
		}
		tried++
		monitor := func(s *engine.Session[float32]) *measure.Monitor[float32] {
			return measure.NewMonitor(measure.NewObjective(s, func(indices []int32) { s.Gather(0, indices) }), measure.Config{Select: selected(t, "all,frobenius"), Momentum: 0.9, Window: 4})
		}
		a, b := monitor(ahead), monitor(single)
		update := optim.Update{LR: rate, Momentum: 0.9}
		va, vb := ahead.NewVector(len(ahead.Params())), single.NewVector(len(single.Params()))
		var want, got []record.Step
		line := func(list *[]record.Step, measure func(out *record.Step) error) {
			out := record.Step{LR: rate}
			if err := measure(&out); err != nil {
				t.Fatalf("%s: %v", w.spec, err)
			}
			out.MS = nil
			*list = append(*list, out)
		}
		var results engine.Results
		finish := func() {
			ahead.Finish(&results)
			for k := range results.Steps {
				var taken measure.Taken
				taken.Of(&results, k)
				line(&got, func(out *record.Step) error { return a.Take(&taken, out) })
			}
		}
		at, queued := 0, 0
		for k, r := range runs {
			if k > 1 {
				finish()
			}
			c := engine.Steps[float32]{Batch: r.batch, Optimizer: optim.Optimizer[float32]{Update: update, Velocity: va}}
			for range r.steps {
				var indices []int32
				for i := range r.batch {
					if k != 1 {
						i = at * 11 % samples
						at++
					}
					indices = append(indices, int32(i))
				}
				c.Indices, c.Rates = append(c.Indices, indices...), append(c.Rates, rate)
				line(&want, func(out *record.Step) error { return b.Step(len(want), indices, out) })
				single.Update(vb, update)
			}
			if err := a.Steps(&c, queued-len(got)); err != nil {
				t.Fatal(err)
			}
			ahead.Start(c)
			queued += r.steps
		}
		for len(got) < queued {
			finish()
		}
		if !reflect.DeepEqual(got, want) {
			for k := range want {
				if !reflect.DeepEqual(got[k], want[k]) {
					t.Errorf("%s, step %d: %+v, one by one %+v", w.spec, k, got[k], want[k])
					break
				}
			}
		}
		ahead.Wait()
		single.Wait()
		if !slices.Equal(ahead.Params(), single.Params()) {
			t.Errorf("%s: other parameters than one by one", w.spec)
		}
	}
	if tried < 9 {
		t.Errorf("%d networks take their data", tried)
	}
}

// Steps that measure all are in graphs, several in one, and need no wait but for their results,
// which tell what flatness takes.
func TestStepsThatMeasureAllStayOnTheDevice(t *testing.T) {
	needsManaged(t)
	const batch, count = 6, 16
	w := networks[1]
	s := session[float32](t, w, w.program(t), batch, gpu(t))
	if !s.SetData(bytesOf(w, count*batch)) {
		t.Fatal("the data does not fit")
	}
	var results engine.Results
	var taken measure.Taken
	for what, flat := range map[string][]string{
		"all": {"lambda_max", "trace", "flatness"}, "sample_norms,lambda_max": {"lambda_max", "flatness"}, "tic_trace,batch_sharpness": {"batch_sharpness", "tic_trace"},
	} {
		m := measure.NewMonitor(measure.NewObjective(s, func(indices []int32) { s.Gather(0, indices) }), measure.Config{Select: selected(t, what), Plain: true})
		if !m.Ahead() {
			t.Fatalf("steps that measure %s are not taken ahead", what)
		}
		c := engine.Steps[float32]{Batch: batch, Indices: problem.Sequence(0, count*batch), Rates: make([]float64, count)}
		if err := m.Steps(&c, 0); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first makes the graphs
			before := s.Counts()
			s.Start(c)
			got := s.Counts()
			got = driver.Counts{Waits: got.Waits - before.Waits, Launches: got.Launches - before.Launches, Copies: got.Copies - before.Copies, Graphs: got.Graphs - before.Graphs}
			if want := (driver.Counts{Copies: 4, Graphs: 2}); got != want {
				t.Errorf("%s: %d steps ask for %+v, want %+v", what, count, got, want)
			}
			s.Finish(&results)
			for k := range results.Steps {
				out := record.Step{LR: 1e-3}
				taken.Of(&results, k)
				if err := m.Take(&taken, &out); err != nil {
					t.Fatal(err)
				}
				for _, name := range flat {
					// A product alone is more than this on the emulator, and on a GPU.
					if ms, ok := out.MS.Get(name).Get(); !ok || ms < 0.005 {
						t.Errorf("%s, step %d: %s takes %v ms", what, k, name, ms)
					}
				}
			}
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("what has to be waited for can be recorded")
		}
	}()
	s.Record(func() { s.Dot(s.Params(), s.Grad()) })
}
