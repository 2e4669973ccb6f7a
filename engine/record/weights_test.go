package record

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var twoLayers = []ParamSpec{
	{"fc1.weight", []int{2, 3}}, {"fc1.bias", []int{2}},
	{"fc2.weight", []int{1, 2}}, {"fc2.bias", []int{1}},
}

func save(t *testing.T, tensors ...Tensor) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := saveTensors(path, tensors, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadWeightsGivesTheModelsOrder(t *testing.T) {
	path := save(t,
		NewTensor("fc2.bias", []int{1}, []float64{7}),
		NewTensor("fc1.bias", []int{2}, []float32{5, 6}),
		NewTensor("fc2.weight", []int{1, 2}, []float64{8, 9}),
		NewTensor("fc1.weight", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}))
	got, err := LoadWeights[float32](path, twoLayers)
	want := [][]float32{{1, 2, 3, 4, 5, 6}, {5, 6}, {8, 9}, {7}}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestLoadWeightsNamesAllThatIsWrongInOneLine(t *testing.T) {
	path := save(t,
		NewTensor("fc1.weight", []int{3, 2}, make([]float32, 6)),
		NewTensor("fc1.bias", []int{2}, []float32{0, float32(math.NaN())}),
		NewTensor("layers.0.weight", []int{1}, []float32{1}),
		NewTensor("layers.0.bias", []int{1}, []float64{1}))
	_, err := LoadWeights[float64](path, twoLayers)
	want := "record: weights " + path + " do not fit the model: missing fc2.weight, fc2.bias; " +
		`not in the model "layers.0.bias", "layers.0.weight"; ` +
		"wrong shape: fc1.weight is [3 2], the model's [2 3]; not finite: fc1.bias[1] is NaN"
	if err == nil || err.Error() != want {
		t.Errorf("\n got %v\nwant %s", err, want)
	}
}

func TestLoadWeightsRefusesWhatOverflowsItsType(t *testing.T) {
	path := save(t, NewTensor("a", []int{2}, []float64{1, 1e300}))
	want := []ParamSpec{{"a", []int{2}}}
	if _, err := LoadWeights[float64](path, want); err != nil {
		t.Error(err)
	}
	if _, err := LoadWeights[float32](path, want); err == nil || !strings.Contains(err.Error(), "not finite: a[1] is +Inf") {
		t.Error(err)
	}
}

func TestLoadWeightsNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	writeFile(t, bad, "not a safetensors file at all")
	for _, path := range []string{filepath.Join(dir, "none"), bad, dir} {
		if _, err := LoadWeights[float32](path, nil); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
