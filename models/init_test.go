package models_test

import (
	"math"
	"slices"
	"testing"

	"sgflow/engine/op"
	"sgflow/engine/rng"
	"sgflow/models"
)

func initial(t testing.TB, spec string, seed uint64) []models.Tensor {
	t.Helper()
	list, err := parse(t, spec).Init(seed, mnist, 10, op.CrossEntropy)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestInitMatchesTheParametersOfTheGraph(t *testing.T) {
	for _, spec := range models.Presets() {
		net, err := parse(t, spec).Build(models.BuildOptions{Input: mnist, Classes: 10, Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		list := initial(t, spec, 1)
		if len(list) != len(net.Params) {
			t.Fatalf("%s: %d tensors for %d parameters", spec, len(list), len(net.Params))
		}
		for i, p := range net.Params {
			if list[i].Name != p.Name || !slices.Equal(list[i].Shape, p.Shape) || len(list[i].Data) != p.Node.Shape().TotalSize() {
				t.Errorf("%s: tensor %s %v for parameter %s %v", spec, list[i].Name, list[i].Shape, p.Name, p.Shape)
			}
		}
	}
}

// The variance of each weight, from fan-in and fan-out by hand.
func TestInitVariances(t *testing.T) {
	for _, c := range []struct {
		spec string
		loss op.LossKind
		want map[string]float64
	}{
		{"mlp", op.CrossEntropy, map[string]float64{"fc1.weight": 2. / 784, "fc2.weight": 2. / 512, "fc3.weight": 2. / 10}},
		{"mlp", op.MSE, map[string]float64{"fc1.weight": 2. / 784, "fc2.weight": 2. / 512, "fc3.weight": 1. / (256 * 256)}},
		{"mlp:784-100-10,act=tanh", op.CrossEntropy, map[string]float64{"fc1.weight": 2. / (784 + 100), "fc2.weight": 2. / (100 + 10)}},
		{"mlp:784-10", op.CrossEntropy, map[string]float64{"fc1.weight": 2. / (784 + 10)}},
		{"cnn", op.CrossEntropy, map[string]float64{"conv1.weight": 2. / 25, "conv2.weight": 2. / 400, "fc1.weight": 1. / (512 * 512)}},
		// conv, pooling, activation: the activation still counts.
		{"cnn:conv40k5,maxpool2,gelu,conv30k3,avgpool2,fc50,sigmoid,fc10", op.CrossEntropy, map[string]float64{
			"conv1.weight": 2. / 25, "conv2.weight": 2. / (9 * (40 + 30)), "fc1.weight": 2. / (750 + 50), "fc2.weight": 2. / (50 + 10)}},
	} {
		list, err := parse(t, c.spec).Init(3, mnist, 10, c.loss)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			v, ok := c.want[p.Name]
			if !ok {
				if slices.ContainsFunc(p.Data, func(x float64) bool { return x != 0 }) {
					t.Errorf("%s: %s is not zero", c.spec, p.Name)
				}
				continue
			}
			sum, n := 0.0, float64(len(p.Data))
			for _, x := range p.Data {
				sum += x * x
			}
			// The mean of n squared normals deviates by √(2/n) of its value; five
			// such deviations never happen by chance, and the seed is fixed.
			if got := sum / n; math.Abs(got/v-1) > 5*math.Sqrt(2/n) {
				t.Errorf("%s: %s has variance %v, want %v", c.spec, p.Name, got, v)
			}
		}
	}
}

func TestInitDependsOnTheSeedAlone(t *testing.T) {
	a, b, c := initial(t, "cnn", 5), initial(t, "cnn", 5), initial(t, "cnn", 6)
	for i := range a {
		if !slices.Equal(a[i].Data, b[i].Data) {
			t.Errorf("%s differs for the same seed", a[i].Name)
		}
		if len(a[i].Shape) > 1 && slices.Equal(a[i].Data, c[i].Data) {
			t.Errorf("%s is the same for two seeds", a[i].Name)
		}
	}
	// Element j of tensor i is the j-th normal of the stream i.
	stream := rng.New(rng.Weights, 5, 2)
	if want := math.Sqrt(2.0/(16*25)) * stream.NormFloat64(); a[2].Data[0] != want {
		t.Errorf("%s starts with %v, want %v", a[2].Name, a[2].Data[0], want)
	}
}

func TestInitRejectsWhatDoesNotFit(t *testing.T) {
	if _, err := parse(t, "mlp").Init(1, mnist, 11, op.CrossEntropy); err == nil {
		t.Error("no error")
	}
}
