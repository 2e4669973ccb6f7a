package record

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fullStep has every number that a line can hold.
func fullStep() *Step {
	return &Step{
		Step: 7, Epoch: 1, Samples: 64, LR: 0.1, Loss: 2.31, Accuracy: Some(0.109375),
		Noise: Numbers{
			{"grad_norm_sq", 1.5}, {"grad_var_trace", 20}, {"grad_norm_sq_unbiased", 1.1875}, {"noise_scale", 16.842105263157894},
			{"noise_scale_ema", 17}, {"fisher_trace", 21}, {"grad_cosine", -0.25},
		},
		Flatness: Numbers{
			{"lambda_max", 12}, {"lambda_max_residual", 1e-9}, {"trace", 90}, {"trace_stderr", 3}, {"batch_sharpness", 11.5}, {"hv", 3},
		},
		Layers: Layers{
			{"fc2.weight", Numbers{{"grad_norm_sq", 1}, {"grad_var_trace", 2}}},
			{"fc1.bias", Numbers{{"grad_norm_sq", 0}}},
		},
		MS: Numbers{{"step", 0.5}, {"noise", 0.125}, {"flatness", 1e21}},
	}
}

const fullLine = `{"step":7,"epoch":1,"samples":64,"lr":0.1,"loss":2.31,"accuracy":0.109375,` +
	`"noise":{"grad_norm_sq":1.5,"grad_var_trace":20,"grad_norm_sq_unbiased":1.1875,"noise_scale":16.842105263157894,"noise_scale_ema":17,"fisher_trace":21,"grad_cosine":-0.25},` +
	`"flatness":{"lambda_max":12,"lambda_max_residual":1e-9,"trace":90,"trace_stderr":3,"batch_sharpness":11.5,"hv":3},` +
	`"layers":{"fc2.weight":{"grad_norm_sq":1,"grad_var_trace":2},"fc1.bias":{"grad_norm_sq":0}},` +
	`"ms":{"step":0.5,"noise":0.125,"flatness":1e+21}}` + "\n"

func TestStepLineHasTheContractsKeysInOrder(t *testing.T) {
	var e lineEncoder
	line, err := e.step(fullStep())
	if err != nil || string(line) != fullLine {
		t.Errorf("%v\n got %s\nwant %s", err, line, fullLine)
	}
}

func TestWhatWasNotMeasuredIsAbsent(t *testing.T) {
	var e lineEncoder
	for _, test := range []struct {
		s    Step
		want string
	}{
		{Step{Samples: 1, LR: 1, Loss: 2}, `{"step":0,"epoch":0,"samples":1,"lr":1,"loss":2}`},
		{Step{Noise: Numbers{{"grad_norm_sq", 0}}}, `{"step":0,"epoch":0,"samples":0,"lr":0,"loss":0,"noise":{"grad_norm_sq":0}}`},
		{Step{Flatness: Numbers{{"hv", 2}}}, `{"step":0,"epoch":0,"samples":0,"lr":0,"loss":0,"flatness":{"hv":2}}`},
		{Step{Layers: Layers{{Name: "a"}, {"b", Numbers{{"grad_var_trace", 1}}}, {Name: "c"}}}, `{"step":0,"epoch":0,"samples":0,"lr":0,"loss":0,"layers":{"b":{"grad_var_trace":1}}}`},
		{Step{Noise: Numbers{}, Layers: Layers{{Name: "a"}}}, `{"step":0,"epoch":0,"samples":0,"lr":0,"loss":0}`},
	} {
		line, err := e.step(&test.s)
		if err != nil || string(line) != test.want+"\n" {
			t.Errorf("%v\n got %s\nwant %s", err, line, test.want)
		}
	}
	line, err := e.epoch(&Epoch{Epoch: 2, Step: 299, TrainLoss: Some(0.5), TestAccuracy: Some(0.98), Seconds: 1.25})
	if want := `{"epoch":2,"step":299,"train_loss":0.5,"test_accuracy":0.98,"seconds":1.25}` + "\n"; err != nil || string(line) != want {
		t.Errorf("%v\n got %s\nwant %s", err, line, want)
	}
}

func TestNumbersThatAreNotFiniteAreRefusedByName(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for want, s := range map[string]Step{
		"step 3: loss is NaN":                        {Step: 3, Loss: nan},
		"step 0: lr is +Inf":                         {LR: inf},
		"step 0: noise/noise_scale is NaN":           {Noise: Numbers{{"noise_scale", nan}}},
		"step 0: flatness/trace is -Inf":             {Flatness: Numbers{{"trace", -inf}}},
		"step 0: ms/step is +Inf":                    {MS: Numbers{{"step", inf}}},
		"step 0: fc1.weight/grad_var_trace is +Inf":  {Layers: Layers{{"fc1.weight", Numbers{{"grad_var_trace", inf}}}}},
		"step 0: loss is NaN: only finite numbers a": {Loss: nan, Layers: Layers{{"later", Numbers{{"grad_norm_sq", inf}}}}},
	} {
		var e lineEncoder
		if _, err := e.step(&s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if line, err := e.step(fullStep()); err != nil || string(line) != fullLine {
			t.Errorf("the line after a refused one: %s, %v", line, err)
		}
	}
	var e lineEncoder
	if _, err := e.epoch(&Epoch{TestLoss: Some(nan)}); err == nil || !strings.Contains(err.Error(), "epoch/test_loss is NaN") {
		t.Error(err)
	}
}

// encoding/json is the independent writer of numbers and strings.
func TestNumbersAndNamesAreWrittenAsEncodingJSONDoes(t *testing.T) {
	same := func(t interface{ Fatalf(string, ...any) }, got []byte, v any) {
		var want strings.Builder
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil || string(got)+"\n" != want.String() {
			t.Fatalf("%v: %s, encoding/json writes %s, %v", v, got, want.String(), err)
		}
	}
	for _, x := range []float64{0, math.Copysign(0, -1), 1e-6, 9.9e-7, 1e-9, 1e-10, 1e20, 1e21, 1e100, 5e-324, math.MaxFloat64, 0.1, float64(float32(0.1))} {
		same(t, appendFloat(nil, x), x)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		if finite(x) {
			same(t, appendFloat(nil, x), x)
		}
		s := rapid.String().Draw(t, "name")
		same(t, appendString(nil, s), s)
	})
}

func drawOpt(t *rapid.T, name string) Opt {
	if rapid.Bool().Draw(t, name+" measured") {
		return Some(rapid.Float64().Filter(finite).Draw(t, name))
	}
	return Opt{}
}

// drawNumbers returns a group that a line can hold; an empty one is nil.
func drawNumbers(t *rapid.T) (v Numbers) {
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-z_]{4,9}"), 0, 4, rapid.ID).Draw(t, "names") {
		v = append(v, Number{name, rapid.Float64().Filter(finite).Draw(t, name)})
	}
	return v
}

func drawStep(t *rapid.T) Step {
	var s Step
	s.Step, s.Epoch, s.Samples = rapid.IntRange(0, 1e9).Draw(t, "step"), rapid.Int().Draw(t, "epoch"), rapid.Int().Draw(t, "samples")
	s.LR, s.Loss = rapid.Float64().Filter(finite).Draw(t, "lr"), rapid.Float64().Filter(finite).Draw(t, "loss")
	s.Accuracy = drawOpt(t, "accuracy")
	for _, group := range []*Numbers{&s.Noise, &s.Flatness, &s.MS, &s.Bytes} {
		*group = drawNumbers(t)
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.String(), 0, 4, rapid.ID).Draw(t, "layers") {
		s.Layers = append(s.Layers, Layer{strings.ToValidUTF8(name, "?"), append(drawNumbers(t), Number{"one", 1})})
	}
	return s
}

func TestReadStepsReadsWhatWasLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steps.jsonl")
	rapid.Check(t, func(t *rapid.T) {
		want := []Step{drawStep(t), drawStep(t)}
		var e lineEncoder
		var text []byte
		for i := range want {
			line, err := e.step(&want[i])
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, line...)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSteps(path)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	})
}

func TestReadStepsDropsALastLineThatWasCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steps.jsonl")
	if err := os.WriteFile(path, []byte(fullLine+fullLine), 0o666); err != nil {
		t.Fatal(err)
	}
	for cut := len(fullLine) - 1; cut >= 0; cut-- {
		if err := os.Truncate(path, int64(len(fullLine)+cut)); err != nil {
			t.Fatal(err)
		}
		want := 1
		if cut == len(fullLine)-1 { // only the newline is missing
			want = 2
		}
		if steps, err := ReadSteps(path); err != nil || len(steps) != want {
			t.Fatalf("cut after %d bytes: %d steps, %v", cut, len(steps), err)
		}
	}
}

func TestReadStepsNamesTheBadLine(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cut":    fullLine + fullLine[:20] + "\n" + fullLine,
		"null":   fullLine + `{"step":null,"loss":{}}` + "\n",
		"layers": fullLine + `{"layers":[1]}` + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSteps(path); err == nil || !strings.Contains(err.Error(), path+": line 2: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadEpochs(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Error(err)
	}
}

func TestOptIsANumberOrAbsent(t *testing.T) {
	if x, ok := (Opt{}).Get(); ok || x != 0 || !(Opt{}).IsZero() || (Opt{}).String() != "absent" {
		t.Error("the zero Opt is not absent")
	}
	if x, ok := Some(-2.5).Get(); !ok || x != -2.5 || Some(0).IsZero() || Some(-2.5).String() != "-2.5" {
		t.Error("Some(x) is not x")
	}
	for _, o := range []Opt{{}, Some(math.NaN()), Some(math.Inf(-1))} {
		if text, err := json.Marshal(o); err == nil {
			t.Errorf("%v is marshalled as %s", o, text)
		}
	}
	var o Opt
	if err := json.Unmarshal([]byte(`"1"`), &o); err == nil {
		t.Error("a string is read as a number")
	}
}

func TestNumbersAreFoundAndReplacedByName(t *testing.T) {
	var v Numbers
	v.Set("a", 1)
	v.Set("b", 2)
	v.Set("a", 3)
	if x, ok := v.Get("a").Get(); !ok || x != 3 || len(v) != 2 {
		t.Errorf("%v", v)
	}
	if !v.Get("c").IsZero() {
		t.Error("an unknown name is there")
	}
	if text, err := json.Marshal(Numbers{{"x", math.NaN()}}); err == nil {
		t.Errorf("NaN is marshalled as %s", text)
	}
}
