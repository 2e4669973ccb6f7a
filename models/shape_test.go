package models_test

import (
	"strings"
	"testing"

	"sgflow/engine/op"
	"sgflow/models"
)

var mnist = models.Shape{C: 1, H: 28, W: 28}

func TestPresetShapesAndParameterCounts(t *testing.T) {
	for _, c := range []struct {
		spec, shapes string
		params       int
	}{
		// 784·512+512 + 512·256+256 + 256·10+10
		{"mlp", "fc1 512, relu 512, fc2 256, relu 256, fc3 10", 535818},
		// 16·25+16 + 32·16·25+32 + 512·10+10
		{"cnn", "conv1 16×24×24, relu 16×24×24, maxpool2 16×12×12, conv2 32×8×8, relu 32×8×8, maxpool2 32×4×4, fc1 10", 18378},
		// LeCun et al. 1998 with full connections to C3: 156 + 2416 + 48120 + 10164 + 850
		{"lenet5", "conv1 6×28×28, relu 6×28×28, maxpool2 6×14×14, conv2 16×10×10, relu 16×10×10, maxpool2 16×5×5, " +
			"fc1 120, relu 120, fc2 84, relu 84, fc3 10", 61706},
		{"cnn:conv8k3s2p1,gelu,maxpool3s2,conv10k1,gap", "conv1 8×14×14, gelu 8×14×14, maxpool3s2 8×6×6, conv2 10×6×6, gap 10×1×1", 8*9 + 8 + 80 + 10},
		{"cnn:avgpool5s3,fc10", "avgpool5s3 1×8×8, fc1 10", 650},
	} {
		layers, err := parse(t, c.spec).Shapes(mnist, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		params, in := 0, mnist
		for _, l := range layers {
			if l.In != in {
				t.Errorf("%s: %s takes %v, the layer before gives %v", c.spec, l.Name, l.In, in)
			}
			got = append(got, l.Name+" "+l.Out.String())
			params, in = params+l.Params, l.Out
		}
		if s := strings.Join(got, ", "); s != c.shapes {
			t.Errorf("%s: %s, want %s", c.spec, s, c.shapes)
		}
		if params != c.params {
			t.Errorf("%s: %d parameters, want %d", c.spec, params, c.params)
		}
	}
}

func TestSpecsThatDoNotFitShowTheShapes(t *testing.T) {
	cifar := models.Shape{C: 3, H: 32, W: 32}
	for _, c := range []struct {
		spec    models.Spec
		input   models.Shape
		classes int
		first   []string // in the first line
		rest    []string // in the lines after it
	}{
		{parse(t, "mlp"), cifar, 10, []string{"first number is 784", "3·32·32 = 3072", "use mlp:3072-512-256-10"}, nil},
		{parse(t, "mlp"), mnist, 47, []string{"last number is 10", "47 classes", "use mlp:784-512-256-47"}, nil},
		{parse(t, "mlp:5-4-3,act=tanh"), mnist, 10, []string{"first number is 5", "last number is 3", "use mlp:784-4-10,act=tanh"}, nil},
		{parse(t, "cnn"), mnist, 47, []string{"10 outputs", "47 classes", "end with fc47"}, []string{"maxpool2             32×4×4", "fc10                 10"}},
		{parse(t, "cnn"), models.Shape{C: 1, H: 9, W: 9}, 10, []string{"1×9×9 samples", "layer 4 (conv32k5)", "5×5 window", "2×2 input"},
			[]string{"input                1×9×9", "conv16k5             16×5×5", "maxpool2             16×2×2", "conv32k5             does not fit"}},
		{parse(t, "cnn:conv4k7p1,fc10"), models.Shape{C: 1, H: 3, W: 8}, 10, []string{"layer 1 (conv4k7p1)", "padded by 1"}, []string{"does not fit"}},
		{parse(t, "cnn:fc20,conv4k3,fc10"), mnist, 10, []string{"layer 2 (conv4k3)", "vector of 20", "before the first fc"}, []string{"fc20                 20"}},
		{parse(t, "cnn:fc20,gap"), mnist, 20, []string{"layer 2 (gap)", "needs an image"}, nil},
		{parse(t, "cnn:fc20,maxpool2"), mnist, 20, []string{"layer 2 (maxpool2)", "needs an image"}, nil},
		{parse(t, "cnn:conv4k3,relu"), mnist, 10, []string{"4×26×26 (2704 outputs)", "fc10"}, nil},
		{parse(t, "mlp:784-1000000-1000000-10"), mnist, 10, []string{"layer 3", "make the network smaller"}, nil},
		{parse(t, "cnn:conv1000000k1000000p1000000,fc10"), mnist, 10, []string{"layer 1", "make the network smaller"}, nil},
		{models.Sequential(), mnist, 10, []string{"no layers"}, nil},
		{models.Spec{}, mnist, 10, []string{"no layers"}, nil},
		{models.MLP(op.ReLU, 784), mnist, 10, []string{"no layers"}, nil},
		{models.MLP(op.Exp, 784, 5, 10), mnist, 10, []string{"exp is not an activation", "tanh"}, nil},
		{models.MLP(op.ReLU, -1, 10), mnist, 10, []string{"-1 inputs"}, nil},
		{models.Sequential(models.Conv(4, 3, models.Stride(0)), models.Dense(10)), mnist, 10, []string{"layer 1", "stride is 0"}, nil},
		{models.Sequential(models.MaxPool(2, models.Pad(1)), models.Dense(10)), mnist, 10, []string{"layer 1", "no padding"}, nil},
		{models.Sequential(models.Dense(-1)), mnist, 10, []string{"number of outputs is -1"}, nil},
		{models.Sequential(models.Layer{Kind: 99}), mnist, 10, []string{"unknown kind of layer 99"}, nil},
		{parse(t, "cnn"), models.Shape{C: 1, H: 0, W: 28}, 10, []string{"1×0×28"}, nil},
		{parse(t, "cnn"), models.Shape{C: 1 << 20, H: 1 << 20, W: 1 << 20}, 10, []string{"at most 1073741824 elements"}, nil},
		{parse(t, "cnn"), mnist, 0, []string{"0 classes"}, nil},
	} {
		layers, err := c.spec.Shapes(c.input, c.classes)
		if err == nil {
			t.Errorf("%v fits %v: %v", c.spec, c.input, layers)
			continue
		}
		first, rest, _ := strings.Cut(err.Error(), "\n")
		for _, want := range c.first {
			if !strings.Contains(first, want) {
				t.Errorf("%v: the first line %q does not say %q", c.spec, first, want)
			}
		}
		for _, want := range c.rest {
			if !strings.Contains(rest, want) {
				t.Errorf("%v: the lines\n%s\ndo not say %q", c.spec, rest, want)
			}
		}
	}
}
