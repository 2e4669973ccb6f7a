package record

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// ParamSpec is a parameter that a model has.
type ParamSpec struct {
	Name  string // as in PyTorch's state dict: "fc1.weight"
	Shape []int
}

// LoadWeights reads the safetensors file at path and returns the elements of
// every parameter in want, in that order, as T. The file must hold exactly
// those parameters, in those shapes, with finite numbers; the error names all
// that are missing, all that are too many and all that are not right.
func LoadWeights[T Float](path string, want []ParamSpec) ([][]T, error) {
	tensors, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]Tensor, len(tensors))
	for _, t := range tensors {
		byName[t.Name] = t
	}
	var missing, misshapen, notFinite, extra []string
	weights := make([][]T, len(want))
	for i, p := range want {
		t, ok := byName[p.Name]
		if !ok {
			missing = append(missing, p.Name)
			continue
		}
		delete(byName, p.Name)
		if !slices.Equal(t.Shape, p.Shape) {
			misshapen = append(misshapen, fmt.Sprintf("%s is %v, the model's %v", p.Name, t.Shape, p.Shape))
			continue
		}
		weights[i] = Values[T](t)
		if at := slices.IndexFunc(weights[i], func(x T) bool { return !finite(float64(x)) }); at >= 0 {
			notFinite = append(notFinite, fmt.Sprintf("%s[%d] is %v", p.Name, at, weights[i][at]))
		}
	}
	for _, t := range tensors {
		if _, left := byName[t.Name]; left {
			extra = append(extra, fmt.Sprintf("%.80q", t.Name))
		}
	}
	var wrong []string
	for _, kind := range []struct {
		what string
		list []string
	}{
		{"missing ", missing},
		{"not in the model ", extra},
		{"wrong shape: ", misshapen},
		{"not finite: ", notFinite},
	} {
		if len(kind.list) > 0 {
			wrong = append(wrong, kind.what+strings.Join(kind.list, ", "))
		}
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("record: weights %s do not fit the model: %s", path, strings.Join(wrong, "; "))
	}
	return weights, nil
}

// SaveWeights replaces the final weights of the run atomically.
func (f *Folder) SaveWeights(params []Tensor) error {
	return saveTensors(WeightsPath(f.dir), params, nil)
}

// AveragePath returns where the run folder dir has an average of its weights, EMA
// or SWA.
func AveragePath(dir, average string) string {
	return filepath.Join(dir, checkpointDir, "weights-"+average+".safetensors")
}

// SaveAverage replaces an average of the run's weights, EMA or SWA, atomically.
func (f *Folder) SaveAverage(average string, params []Tensor) error {
	return saveTensors(AveragePath(f.dir, average), params, nil)
}

// SaveVariance replaces checkpoints/variance.safetensors atomically: what is
// known of the gradient's variance, parameter by parameter.
func (f *Folder) SaveVariance(tensors []Tensor) error {
	return saveTensors(filepath.Join(filepath.Dir(WeightsPath(f.dir)), varianceFile), tensors, nil)
}
