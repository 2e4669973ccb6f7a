package measure

import (
	"math"
	"reflect"
	"testing"

	"sgflow/engine"
	"sgflow/engine/record"
)

// What is measured of a step that was taken ahead is what Step measures, with
// nothing but the numbers that a device leaves: neither the gradient nor any other
// vector is looked at.
func TestTakenStepsAreMeasuredAsOthers(t *testing.T) {
	for _, what := range []string{"none", "noise", "grad_norm_sq", "temperature,grad_cosine", "sample_norms,norm_test"} {
		for name, d := range map[string]net{"mlp": nets["mlp"], "cnn": nets["cnn"]} {
			sel, err := ParseSelection(what)
			if err != nil {
				t.Fatal(err)
			}
			o, bare := objective[float64](t, d, pool), objective[float64](t, d, pool)
			for i := range bare.s.Grad() {
				bare.s.Grad()[i], bare.s.Params()[i] = math.NaN(), math.NaN()
			}
			one, ahead := NewMonitor(o, Config{Select: sel, Plain: true}), NewMonitor(bare, Config{Select: sel, Plain: true})
			if !ahead.Ahead() {
				t.Fatalf("%s cannot be taken ahead", what)
			}
			if err := ahead.Steps(&engine.Steps[float64]{}, 0); err != nil {
				t.Fatal(err)
			}
			for k, n := range []int{8, 8, 5} {
				want, got := record.Step{LR: 0.1}, record.Step{LR: 0.1}
				if err := one.Step(k, samples(n), &want); err != nil {
					t.Fatal(err)
				}
				r := Taken{Samples: n, Loss: o.s.Loss(), Correct: o.s.Correct()}
				params := len(o.norms)
				last := ahead.m.vectors[lastGradient] // as a device keeps it
				r.Dots, r.NormSqs = make([]float64, params), make([]float64, params)
				o.s.ExchangeParts(r.Dots, r.NormSqs, last, o.s.Grad())
				for q := range params {
					norms := make([]float64, n)
					copy(norms, o.SampleNorms(q))
					r.SampleNorms = append(r.SampleNorms, norms...)
				}
				if err := ahead.Take(&r, &got); err != nil {
					t.Fatalf("%s, %s: %v", what, name, err)
				}
				want.MS, got.MS, want.Bytes, got.Bytes = nil, nil, nil, nil
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, %s, step %d: %+v, want %+v", what, name, k, got, want)
				}
				if ahead.Noisy() && len(got.Noise) == 0 {
					t.Errorf("%s, %s: nothing measured", what, name)
				}
				for i := range o.s.Params() {
					o.s.Params()[i] -= 0.1 * o.s.Grad()[i]
				}
			}
		}
	}
}

func TestWhatNeedsVectorsIsNotTakenAhead(t *testing.T) {
	ahead := map[string]bool{}
	for _, q := range quantities {
		sel, err := ParseSelection(q.Name)
		if err != nil {
			t.Fatal(err)
		}
		ahead[q.Name] = NewMonitor(objective[float64](t, nets["mlp"], pool), Config{Select: sel}).Ahead()
	}
	for _, name := range []string{"trace_hutchpp", "noise_curvature", "ggn_trace", "distance", "update_size", "alpha", "noise_scale_interval", "param_variance"} {
		if ahead[name] {
			t.Errorf("%s is measured without the vectors that it needs", name)
		}
	}
	for _, name := range []string{"noise_scale", "grad_cosine", "cabs", "lambda_max", "trace", "batch_sharpness", "tic_trace", "frobenius"} {
		if !ahead[name] {
			t.Errorf("%s is not taken ahead", name)
		}
	}
	flat, err := ParseSelection("flatness")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]Config{
		"of every other step": {Every: 2}, "of some steps a decade": {PerDecade: 3}, "iterated": {Converge: true}, "of fixed samples": {Subset: samples(3)},
	} {
		c.Select = flat
		if NewMonitor(objective[float64](t, nets["mlp"], pool), c).Ahead() {
			t.Errorf("flatness %s is taken ahead", what)
		}
	}
	sel, err := ParseSelection("noise")
	if err != nil {
		t.Fatal(err)
	}
	if NewMonitor(objective[float64](t, nets["shared"], pool), Config{Select: sel}).Ahead() {
		t.Error("noise without a rule for every sample norm is taken ahead")
	}
}
