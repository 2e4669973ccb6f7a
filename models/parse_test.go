package models_test

import (
	"slices"
	"strings"
	"testing"

	"sgflow/engine/op"
	"sgflow/models"
)

func parse(t testing.TB, spec string) models.Spec {
	t.Helper()
	s, err := models.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseEqualsTheGoAPI(t *testing.T) {
	for text, want := range map[string]models.Spec{
		"mlp":                       models.MLP(op.ReLU, 784, 512, 256, 10),
		"mlp:784-10":                models.MLP(op.ReLU, 784, 10),
		"mlp:4-5-3,act=tanh":        models.MLP(op.Tanh, 4, 5, 3),
		"mlp:4-5-3,act=relu":        models.MLP(op.ReLU, 4, 5, 3),
		"cnn:fc10":                  models.Sequential(models.Dense(10)),
		"cnn:conv4k3s2p1,gelu,gap":  models.Sequential(models.Conv(4, 3, models.Stride(2), models.Pad(1)), models.GELU(), models.GlobalAvgPool()),
		"cnn:conv4k3p1s2":           models.Sequential(models.Conv(4, 3, models.Stride(2), models.Pad(1))),
		"cnn:maxpool3s2,avgpool2":   models.Sequential(models.MaxPool(3, models.Stride(2)), models.AvgPool(2)),
		"cnn:tanh,sigmoid,avgpool2": models.Sequential(models.Tanh(), models.Sigmoid(), models.AvgPool(2, models.Stride(2))),
		"cnn": models.Sequential(models.Conv(16, 5), models.ReLU(), models.MaxPool(2),
			models.Conv(32, 5), models.ReLU(), models.MaxPool(2), models.Dense(10)),
		"lenet5": models.Sequential(models.Conv(6, 5, models.Pad(2)), models.ReLU(), models.MaxPool(2),
			models.Conv(16, 5), models.ReLU(), models.MaxPool(2),
			models.Dense(120), models.ReLU(), models.Dense(84), models.ReLU(), models.Dense(10)),
	} {
		got := parse(t, text)
		if !slices.Equal(got.Layers(), want.Layers()) || got.String() != want.String() {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if again := parse(t, got.String()); again.String() != got.String() || !slices.Equal(again.Layers(), got.Layers()) {
			t.Errorf("%s prints as %s, which reads as %v", text, got, again)
		}
	}
}

func TestPresetsParse(t *testing.T) {
	if names := models.Presets(); !slices.Equal(names, []string{"cnn", "lenet5", "mlp"}) {
		t.Errorf("presets %v", names)
	}
	for _, name := range models.Presets() {
		parse(t, name)
	}
}

// The error shows the wrong token, where it starts, and what to write instead.
func TestParseErrorsSayWhatWhereAndWhatToDo(t *testing.T) {
	for _, c := range []struct {
		spec string
		says []string
	}{
		{"", []string{`""`, "character 1", "mlp", "cnn", "lenet5"}},
		{"lenet", []string{`"lenet"`, "did you mean lenet5"}},
		{"mpl", []string{"did you mean mlp"}},
		{"CNN", []string{"did you mean cnn"}},
		{"rnn:10", []string{`"rnn" at character 1`, "did you mean cnn:"}},
		{"mlp:", []string{`"" at character 5`, "number"}},
		{"mlp:784", []string{`"784"`, "classes"}},
		{"mlp:784-x-10", []string{`"x" at character 9`, "number"}},
		{"mlp:784-0-10", []string{`"0" at character 9`}},
		{"mlp:784--10", []string{`"" at character 9`}},
		{"mlp:784-9999999999999999999-10", []string{"character 9", "1048576"}},
		{"mlp:784-10,act=rellu", []string{`"rellu" at character 16`, "did you mean relu", "tanh"}},
		{"mlp:784-10,activation=relu", []string{`"activation=relu" at character 12`, "act="}},
		{"mlp:784-10,act=relu,act=tanh", []string{`"act=tanh" at character 21`, "twice"}},
		{"mlp:784-10,", []string{`"" at character 12`, "act="}},
		{"cnn:", []string{`"" at character 5`, "conv<out>k<k>"}},
		{"cnn:conv16k5,rellu", []string{`"rellu" at character 14`, "did you mean relu"}},
		{"cnn:convolution16k5", []string{"did you mean conv<out>k<k>"}},
		{"cnn:ReLU", []string{"did you mean relu"}},
		{"cnn: relu", []string{`" relu" at character 5`}},
		{"cnn:conv16", []string{"needs its kernel", "conv<out>k<k>[s<stride>][p<pad>]"}},
		{"cnn:convk5", []string{"did you mean conv<out>k<k>"}},
		{"cnn:conv0k5", []string{"number of channels is 0"}},
		{"cnn:conv16k0", []string{"kernel is 0"}},
		{"cnn:conv16k5s0", []string{"stride is 0"}},
		{"cnn:conv16x5", []string{`'x' is not an option of conv`}},
		{"cnn:conv16k5k3", []string{`'k' is given twice`}},
		{"cnn:conv16k5p", []string{`"p" is not an option and a number`}},
		{"cnn:conv16k5p-1", []string{`"p-1"`}},
		{"cnn:maxpool", []string{"maxpool needs a number", "maxpool<k>[s<stride>]"}},
		{"cnn:maxpool2p1", []string{`'p' is not an option of maxpool`}},
		{"cnn:avgpool2s0", []string{"stride is 0"}},
		{"cnn:fc10s2", []string{`'s' is not an option of fc`, "fc<out>"}},
		{"cnn:gap2", []string{`"2" after gap`}},
		{"cnn:relu6", []string{`"6" after relu`}},
		{"cnn:" + strings.Repeat("relu,", 1000) + "gap", []string{`"gap" at character 5005`, "1001 layers"}},
		{"mlp:" + strings.Repeat("1-", 1000) + "1", []string{"at most 1000"}},
	} {
		s, err := models.Parse(c.spec)
		if err == nil {
			t.Errorf("%.40q parsed as %v", c.spec, s)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: error %q does not say %q", c.spec, err, want)
			}
		}
		if strings.Contains(err.Error(), "\n") || len(err.Error()) > 600 {
			t.Errorf("%.40q: the error is not one readable line: %q", c.spec, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mlp", "cnn", "lenet5", "mlp:784-512-256-10,act=gelu", "mlp:1-,act=",
		"cnn:conv16k5s2p1,relu,maxpool3s2,avgpool2,gap,fc10", "cnn:conv1k1s1p0", "cnn:fc00010", "cnn:é,\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := models.Parse(text)
		if err != nil {
			return
		}
		again, err := models.Parse(s.String())
		if err != nil || again.String() != s.String() || !slices.Equal(again.Layers(), s.Layers()) {
			t.Fatalf("%q prints as %q, which reads as %v, %v", text, s, again, err)
		}
		// Fitting is arithmetic only: it must end at once whatever the numbers.
		if layers, err := s.Shapes(models.Shape{C: 1, H: 28, W: 28}, 10); err == nil && len(layers) == 0 {
			t.Fatalf("%q fits without layers", text)
		}
	})
}
