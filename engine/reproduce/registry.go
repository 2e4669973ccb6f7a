package reproduce

import (
	"fmt"
	"strings"

	"sgflow/engine/nearest"
	"sgflow/engine/request"
)

// Experiments are all there are, in the order of `reproduce all`.
var Experiments = []*Experiment{
	&edgeOfStability,
	&edgeCrossEntropy,
	&batchSharpness,
	&noiseCurvatureAlignment,
	&noiseCovarianceExponent,
	&hessianOutliers,
	&flatnessDisputed,
	&stationaryCovariance,
	&svag,
	&saddleEscape,
	&noiseScaleGrowth,
	&linearScaling,
	&noiseOfSGD,
	&largeBatchSharpness,
	&largeBatchRescued,
	&bestTemperature,
	&sharpnessTemperature,
	&criticalBatchSize,
}

// Lookup returns the experiments of the names, each once, in the order of the names;
// "all" is every one. Errors are request.Errors and name the nearest.
func Lookup(names ...string) ([]*Experiment, error) {
	var known []string
	for _, e := range Experiments {
		known = append(known, e.Name)
	}
	var list []*Experiment
	taken := map[string]bool{}
	take := func(e *Experiment) {
		if !taken[e.Name] {
			taken[e.Name] = true
			list = append(list, e)
		}
	}
next:
	for _, name := range names {
		if name == "all" {
			for _, e := range Experiments {
				take(e)
			}
			continue
		}
		for _, e := range Experiments {
			if e.Name == name {
				take(e)
				continue next
			}
		}
		return nil, request.Wrap(fmt.Errorf("reproduce: unknown experiment %q: did you mean %s? There are all, %s",
			name, nearest.Name(name, append(known, "all", "list")), strings.Join(known, ", ")))
	}
	return list, nil
}
