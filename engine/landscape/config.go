package landscape

import (
	"math"

	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// The kinds of directions.
const (
	PCA    = "pca"
	Random = "random"
	Eigen  = "eigen"
	Line   = "line"
)

// Config is what a user can ask of a landscape.
type Config struct {
	problem.Problem `yaml:",inline"`

	problem.SampleSet `yaml:",inline"`

	Directions string  `json:"directions" help:"Directions of the slice: pca (principal components of the paths), random (filter-normalised), eigen (largest eigenvalues of the Hessian) or line (to the weights of --to)."`
	Dims       int     `json:"dims" help:"2 for a plane, 1 for a line."`
	Grid       int     `json:"grid" help:"Points of the slice along each direction."`
	Span       float64 `json:"span" help:"How far the slice reaches from its point, in lengths of its directions; 0 chooses: as far as the paths and a margin, else 1 for random, and for eigen where the loss rises by about 1."`
	To         string  `json:"to" help:"Weights (safetensors) at the other end of --directions line."`

	LR     float64 `json:"lr" name:"lr" help:"Learning rate of SGD and descent."`
	Batch  int     `json:"batch" help:"Samples in a step of SGD, drawn with replacement."`
	Steps  int     `json:"steps" help:"Steps of SGD and of descent."`
	Points int     `json:"points" help:"Points of each path to keep, beside the first."`
	Frames int     `json:"frames" help:"Frames of the animation; 0 is none."`
}

// Default returns the configuration of a landscape of which nothing is asked.
func Default() Config {
	p := problem.Default()
	p.Limit = 1000
	return Config{
		Problem: p, SampleSet: problem.DefaultSamples(),
		Directions: PCA, Dims: 2, Grid: 31,
		LR: 0.03, Batch: 8, Steps: 400, Points: 50, Frames: 60,
	}
}

// mostGrid keeps a mistyped grid from taking days.
const mostGrid = 1001

// Validate does for a landscape what [problem.Problem.Validate] does for its
// problem, which it includes.
func (c *Config) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	if err := c.SampleSet.Validate(); err != nil {
		return err
	}
	kinds := []string{PCA, Random, Eigen, Line}
	known := false
	for _, k := range kinds {
		known = known || k == c.Directions
	}
	switch {
	case !known:
		return request.Unknown("directions", c.Directions, kinds...)
	case c.Dims != 1 && c.Dims != 2:
		return request.BadValue("dims", c.Dims, "give 1 for a line or 2 for a plane")
	case c.Grid < 2 || c.Grid > mostGrid:
		return request.BadValue("grid", c.Grid, "give 2 to %d points along each direction", mostGrid)
	case !(c.Span >= 0) || math.IsInf(c.Span, 0):
		return request.BadValue("span", c.Span, "give a length above 0, or 0 to have it chosen")
	case c.Directions == Line && c.To == "":
		return request.BadValue("directions", c.Directions, "to where? Give the weights at its other end with --to")
	case c.Directions != Line && c.To != "":
		return request.BadValue("to", c.To, "it is the end of a line: give --directions line too")
	case c.Directions == Line && c.Dims != 1:
		return request.BadValue("dims", c.Dims, "between two points there is a line: give --dims 1")
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return request.BadValue("lr", c.LR, "give a number above 0")
	case c.Frames < 0 || c.Frames == 1 || c.Frames > 1000:
		return request.BadValue("frames", c.Frames, "give 2 to 1000, or 0 for no animation")
	}
	for _, count := range []struct {
		flag  string
		value int
	}{{"batch", c.Batch}, {"steps", c.Steps}, {"points", c.Points}} {
		if count.value < 1 {
			return request.BadValue(count.flag, count.value, "give 1 or more")
		}
	}
	return nil
}
