package measure

import (
	"fmt"
	"slices"
	"strings"

	"sgflow/engine/nearest"
)

// The quantities that training can measure, by the names of the log.
var (
	noiseNames = []string{
		"grad_norm_sq", "grad_var_trace", "grad_norm_sq_unbiased", "noise_scale", "noise_scale_ema", "fisher_trace", "grad_cosine",
	}
	flatnessNames = []string{"lambda_max", "trace", "batch_sharpness"}
)

// Selection is a set of quantities to measure. The zero value is none.
type Selection struct{ names []string }

// ParseSelection reads "none", "noise", "all", or a comma list of quantities.
func ParseSelection(text string) (Selection, error) {
	switch text {
	case "none":
		return Selection{}, nil
	case "noise":
		return Selection{noiseNames}, nil
	case "all":
		return Selection{slices.Concat(noiseNames, flatnessNames)}, nil
	}
	all := slices.Concat(noiseNames, flatnessNames)
	var s Selection
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(all, name) {
			return Selection{}, fmt.Errorf("measure: no quantity %q; did you mean %s? Choose none, noise, all, or a comma list of %s",
				name, nearest.Name(name, all), strings.Join(all, ", "))
		}
		s.names = append(s.names, name)
	}
	return s, nil
}

// Has reports whether the quantity is selected.
func (s Selection) Has(name string) bool { return slices.Contains(s.names, name) }

// Noise reports whether any quantity needs per-sample gradients or ḡ.
func (s Selection) Noise() bool { return slices.ContainsFunc(noiseNames, s.Has) }

// Flatness reports whether any quantity needs Hessian-vector products.
func (s Selection) Flatness() bool { return slices.ContainsFunc(flatnessNames, s.Has) }

// String returns the selection as ParseSelection reads it.
func (s Selection) String() string {
	switch len(s.names) {
	case 0:
		return "none"
	case len(noiseNames) + len(flatnessNames):
		return "all"
	}
	if slices.Equal(s.names, noiseNames) {
		return "noise"
	}
	return strings.Join(s.names, ",")
}
