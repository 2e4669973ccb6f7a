package study

import (
	"sgflow/engine/analysis"
	"sgflow/engine/record"
)

// Result is what a study found.
type Result struct {
	Config      Config     `json:"config"`
	Params      int        `json:"params"`
	Samples     int        `json:"samples"`      // of the training loss, that all paths descend
	TestSamples int        `json:"test_samples"` // of the test loss and of predictions
	LambdaMax   float64    `json:"lambda_max"`   // at the start
	Warnings    []string   `json:"warnings,omitempty"`
	Paths       []*Path    `json:"paths"`
	Distances   []Distance `json:"distances"`
	Seconds     float64    `json:"seconds"`
}

// Path is a path at all times, over its seeds.
type Path struct {
	Spec
	Seeds  int     `json:"seeds"`
	Points []Point `json:"points"`
}

// Point is where a path is at a time: means over seeds, by the name of what was
// measured.
type Point struct {
	Time   float64                      `json:"time"`
	Values map[string]analysis.Estimate `json:"values"`
}

// Distance is how far two paths are apart at a time, in weights, ‖θ_a − θ_b‖, and in
// predictions, the root of the mean over test samples of ‖p_a − p_b‖², p being the
// softmax of the logits (with the loss mse the outputs themselves).
//
// Weights and Predictions are means over seeds, each seed of a with the same seed of
// b. Of two paths that are random by themselves they stay large where both have the
// same distribution; as large as the distance of a from itself, that of two seeds
// (A == B). Two numbers allow for that, both without bias, so that they may be
// negative, and absent for a single seed of random paths: the energy distance, which
// is 0 just where the distributions agree, and the square of the distance of the mean
// paths, ‖E(a − b)‖².
type Distance struct {
	A                 string             `json:"a"`
	B                 string             `json:"b"`
	Time              float64            `json:"time"`
	Weights           analysis.Estimate  `json:"weights"`
	Predictions       analysis.Estimate  `json:"predictions"`
	WeightsEnergy     *analysis.Estimate `json:"weights_energy,omitempty"`
	PredictionsEnergy *analysis.Estimate `json:"predictions_energy,omitempty"`
	MeanWeights       record.Opt         `json:"mean_weights_sq,omitzero"`
	MeanPredictions   record.Opt         `json:"mean_predictions_sq,omitzero"`
}

// Sample is a point of one seed, a line of the log.
type Sample struct {
	Path   string         `json:"path"`
	Seed   uint64         `json:"seed"`
	Time   float64        `json:"time"`
	Values record.Numbers `json:"values"`
}

// Final returns the last point; nil where there is none.
func (p *Path) Final() *Point {
	if len(p.Points) == 0 {
		return nil
	}
	return &p.Points[len(p.Points)-1]
}

// Between returns the distance of two paths at the last time, in either order.
func (r *Result) Between(a, b string) (Distance, bool) {
	for i := len(r.Distances) - 1; i >= 0; i-- {
		if d := r.Distances[i]; d.A == a && d.B == b || d.A == b && d.B == a {
			return d, true
		}
	}
	return Distance{}, false
}

// average returns the means over seeds of what was measured at a time.
func average(time float64, seeds []Sample) Point {
	lists := map[string][]record.Opt{}
	for _, s := range seeds {
		for _, v := range s.Values {
			lists[v.Name] = append(lists[v.Name], record.Some(v.X))
		}
	}
	p := Point{Time: time, Values: map[string]analysis.Estimate{}}
	for name, list := range lists {
		if e, ok := analysis.MeanOf(list); ok {
			p.Values[name] = e
		}
	}
	return p
}
