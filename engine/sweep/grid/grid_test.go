package grid

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"sgflow/engine/train"
)

func TestNumbersOfRanges(t *testing.T) {
	for _, test := range []struct {
		list  string
		whole bool
		want  string
	}{
		{"8,16", true, "8 16"},
		{"8..64*2", true, "8 16 32 64"},
		{"8..100*2", true, "8 16 32 64"},
		{"1..9+2", true, "1 3 5 7 9"},
		{"0..4", true, "0 1 2 3 4"},
		{"1,8..32*2,100", true, "1 8 16 32 100"},
		{"1..4*1.5", true, "1 2 3"}, // 1, 1.5, 2.25, 3.375 rounded
		{"0.1..0.5+0.1", false, "0.1 0.2 0.3 0.4 0.5"},
		{"0.01..1:log5", false, "0.01 0.03162 0.1 0.3162 1"},
		{"1e-3..1e-1:log3", false, "0.001 0.01 0.1"},
		{"0..1:5", false, "0 0.25 0.5 0.75 1"},
		{"-1..1:3", false, "-1 0 1"},
		{"3..3", true, "3"},
	} {
		got, err := Numbers(test.list, test.whole)
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, %v; want %s", test.list, got, err, test.want)
		}
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for _, list := range []string{
		"", "1,,2", "8..", "..8", "64..8*2", "8..64*1", "0..8*2", "1..9+0", "1..9+-1", "0..1:log5", "0..1:1", "0..1:x", "1..1e300+1", "1..2..3", "8-64",
		"1..9:1000000000", "1e999..2",
	} {
		if values, err := Numbers(list, false); err == nil && list != "8-64" {
			t.Errorf("%q gave %d values", list, len(values))
		}
	}
	r := Request{Axes: map[string][]string{"batch": {"8-64"}}}
	if _, err := r.Plan(); err == nil {
		t.Error("8-64 is a batch size")
	}
}

// plan returns batch, rate and seed of each run.
func plan(t *testing.T, r Request) (list [][3]float64) {
	t.Helper()
	configs, err := r.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs {
		list = append(list, [3]float64{float64(c.Batch), c.LR, float64(c.Seed)})
	}
	return list
}

func TestGridVariesTheSeedFastest(t *testing.T) {
	got := plan(t, Request{Axes: map[string][]string{"lr": {"0.1", "0.2"}, "batch": {"8", "16"}, "momentum": {"0.9"}}, Seeds: 2})
	want := [][3]float64{{8, 0.1, 0}, {8, 0.1, 1}, {8, 0.2, 0}, {8, 0.2, 1}, {16, 0.1, 0}, {16, 0.1, 1}, {16, 0.2, 0}, {16, 0.2, 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEqualRunsComeOnce(t *testing.T) {
	if got := plan(t, Request{Axes: map[string][]string{"batch": {"8", "16", "8"}, "lr": {"0.1", "1e-1"}}}); len(got) != 2 {
		t.Errorf("%d runs, want 2: %v", len(got), got)
	}
}

func TestRateScalesWithTheBatch(t *testing.T) {
	for rule, want := range map[string][2]float64{Linear: {0.05, 0.2}, Sqrt: {0.1 * math.Sqrt(0.5), 0.1 * math.Sqrt2}} {
		got := plan(t, Request{Axes: map[string][]string{"batch": {"32", "128"}, "lr": {"0.1"}}, ScaleLR: rule, ScaleBatch: 64})
		if math.Abs(got[0][1]-want[0]) > 1e-16 || math.Abs(got[1][1]-want[1]) > 1e-16 {
			t.Errorf("%s: %v, want rates %v", rule, got, want)
		}
	}
}

func TestListOfRuns(t *testing.T) {
	got := plan(t, Request{
		Axes: map[string][]string{"seed": {"7"}}, Runs: []map[string]string{{"batch": "8", "lr": "0.5"}, {"batch": "16"}}, Seeds: 2,
	})
	want := [][3]float64{{8, 0.5, 7}, {8, 0.5, 8}, {16, 0.1, 7}, {16, 0.1, 8}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	many := make([]string, 1000)
	for i := range many {
		many[i] = "8"
	}
	for want, r := range map[string]Request{
		"did you mean batch":   {Axes: map[string][]string{"bach": {"8"}}},
		"no training flag":     {Axes: map[string][]string{"out": {"x"}}},
		"whole number":         {Axes: map[string][]string{"batch": {"8.5"}}},
		"a grid without them":  {Axes: map[string][]string{"batch": {}}},
		"more than 100000":     {Axes: map[string][]string{"batch": many, "lr": many}},
		"--scale-lr cube":      {ScaleLR: "cube", ScaleBatch: 64},
		"beside a list":        {Axes: map[string][]string{"batch": {"8", "9"}}, Runs: []map[string]string{{"lr": "1"}}},
		"counts up from one":   {Axes: map[string][]string{"seed": {"8", "9"}}, Seeds: 2},
		"did you mean nester":  {Runs: []map[string]string{{"nestrov": "true"}}},
		"--seeds -1":           {Seeds: -1},
		"no room for":          {Axes: map[string][]string{"seed": {"18446744073709551615"}}, Seeds: 2},
		"is no number":         {Axes: map[string][]string{"lr": {"fast"}}},
		"is no true or false":  {Axes: map[string][]string{"nesterov": {"maybe"}}},
		"whole number from 0 ": {Axes: map[string][]string{"seed": {"-1"}}},
	} {
		if _, err := r.Plan(); err == nil || !strings.Contains(err.Error()+" ", want) {
			t.Errorf("%v: want an error with %q", err, want)
		}
	}
}

func TestValuesOfTexts(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"model", "mlp,mlp:784-10,act=tanh,cnn:conv8k3,relu,fc10", []string{"mlp", "mlp:784-10,act=tanh", "cnn:conv8k3,relu,fc10"}},
		{"measure", "noise,lambda_max", []string{"noise,lambda_max"}},
		{"optimizer", "sgd,sgdw", []string{"sgd", "sgdw"}},
		{"batch", "8..32*2", []string{"8", "16", "32"}},
		{"nesterov", "true,false", []string{"true", "false"}},
	} {
		if got, err := Values(test.name, test.text); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, %v", test.text, got, err)
		}
	}
	if _, err := Values("batch", " "); err == nil {
		t.Error("no values")
	}
}

func TestIDIsOfWhatResultsDependOn(t *testing.T) {
	c := train.Default()
	id := ID(c)
	if len(id) != 16 {
		t.Fatalf("id %q", id)
	}
	same := c
	same.Out, same.Threads, same.CheckpointEvery = "elsewhere", 7, 1
	if ID(same) != id {
		t.Error("the id depends on where the run is")
	}
	for _, name := range Settings() {
		other := c
		text := map[string]string{
			"normalize": "true", "nesterov": "true", "seed": "5", "lr": "0.7", "momentum": "0.7", "weight-decay": "0.7", "flatness-tol": "0.7", "checkpoint-every": "",
		}[name]
		if name == "checkpoint-every" {
			continue
		}
		if text == "" {
			text = "77"
		}
		if err := Set(&other, name, text); err != nil {
			t.Fatal(name, err)
		}
		if ID(other) == id {
			t.Errorf("the id does not depend on %s", name)
		}
	}
}
