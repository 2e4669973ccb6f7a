package study

import (
	"fmt"
	"math"

	"sgflow/data"
	"sgflow/engine/flow"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// Config is what a user can ask of paths side by side.
type Config struct {
	problem.Problem `yaml:",inline"`

	Paths        string  `json:"paths" help:"Paths, separated by ; or ,: sgd, descent, gradient-flow, sde-full, sde-diagonal, sde-isotropic, svag, langevin, each with options after a colon, as in sgd:batch=8,lr=0.05;svag:l=4;sde-full:order=2,steps=8;langevin:temperature=1e-4."`
	LR           float64 `json:"lr" help:"Learning rate η of paths that have none of their own, and the unit of --steps."`
	Batch        int     `json:"batch" help:"Batch size of paths that have none of their own."`
	Sampling     string  `json:"sampling" help:"How SGD draws batches: replacement, as its equations have it, or shuffle."`
	Steps        int     `json:"steps" help:"Steps of --lr: all paths go on until t = steps·lr."`
	MeasureEvery int     `json:"measure-every" help:"Measure and compare every K steps of --lr; 0 is 20 times in all."`
	Seeds        int     `json:"seeds" help:"Seeds of the noise, counted up from --seed: bands are over these. Initial weights are those of --seed."`
	TestLimit    int     `json:"test-limit" help:"Test loss and predictions are of the first N test samples; 0 is all."`
	LambdaMax    string  `json:"lambda-max" help:"Follow lambda_max along the paths of every seed (all), of the first (first), or only at the start (start)."`
}

// The values of the setting lambda-max.
const (
	lambdaAll   = "all"
	lambdaFirst = "first"
	lambdaStart = "start"
)

// Default returns the configuration of which nothing is asked.
func Default() Config {
	p := problem.Default()
	p.Limit = 400
	return Config{
		Problem: p, Paths: "sgd;descent;gradient-flow;sde-full;sde-isotropic", LR: 0.01, Batch: 8, Sampling: string(data.Replacement), Steps: 1000,
		Seeds: 3, TestLimit: 1000, LambdaMax: lambdaFirst,
	}
}

// times is how often is measured after the start where nothing is asked.
const times = 20

// every returns the steps of --lr from one measurement to the next.
func (c *Config) every() int {
	if c.MeasureEvery > 0 {
		return c.MeasureEvery
	}
	return max(1, c.Steps/times)
}

// Validate returns a request.Error that names the first setting that no study can
// have, by its flag, and nil where all are sound.
func (c *Config) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	switch {
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return request.BadValue("lr", c.LR, "give a number above 0")
	case c.Batch < 1:
		return request.BadValue("batch", c.Batch, "give 1 or more")
	case c.Sampling != string(data.Replacement) && c.Sampling != string(data.Shuffle):
		return request.Unknown("sampling", c.Sampling, string(data.Replacement), string(data.Shuffle))
	case c.Steps < 1:
		return request.BadValue("steps", c.Steps, "give 1 or more")
	case c.MeasureEvery < 0 || c.MeasureEvery > c.Steps:
		return request.BadValue("measure-every", c.MeasureEvery, "give 1 to %d, the number of steps, or 0 for 20 times in all", c.Steps)
	case c.Seeds < 1:
		return request.BadValue("seeds", c.Seeds, "give 1 or more; with 2 or more there are standard errors")
	case c.Seed > math.MaxUint64-uint64(c.Seeds):
		return request.BadValue("seed", c.Seed, "there is no room for %d seeds above it", c.Seeds)
	case c.TestLimit < 0:
		return request.BadValue("test-limit", c.TestLimit, "give 1 or more, or 0 for all samples")
	case c.LambdaMax != lambdaAll && c.LambdaMax != lambdaFirst && c.LambdaMax != lambdaStart:
		return request.Unknown("lambda-max", c.LambdaMax, lambdaAll, lambdaFirst, lambdaStart)
	}
	_, err := c.specs()
	return err
}

// specs returns the paths. The error is a request.Error.
func (c *Config) specs() ([]Spec, error) {
	specs, err := c.ParsePaths()
	if err != nil {
		return nil, request.Wrap(fmt.Errorf("--paths: %w", err))
	}
	for i := range specs {
		for _, steps := range []int{c.every(), c.Steps} {
			if _, err := c.strides(&specs[i], steps); err != nil {
				return nil, request.Wrap(fmt.Errorf("--paths: %w", err))
			}
		}
	}
	return specs, nil
}

// fits returns a request.Error for paths that the training set is too small for.
func (c *Config) fits(p *problem.Opened) error {
	specs, err := c.specs()
	if err != nil {
		return err
	}
	for _, s := range specs {
		if s.Batch > p.Train.N && !(s.Kind == SDE && s.Noise == flow.NoNoise) {
			return request.Wrap(fmt.Errorf("--paths: %s: a batch of %d samples is larger than the training set of %d: give at most that, or a larger --limit", s.Name, s.Batch, p.Train.N))
		}
	}
	return nil
}

// schedule returns after how many steps of --lr is measured: 0, every, 2·every, …
// and at the end.
func (c *Config) schedule() []int {
	var list []int
	for at := 0; at < c.Steps; at += c.every() {
		list = append(list, at)
	}
	return append(list, c.Steps)
}

// strides returns how many steps of a path are as long as so many of --lr, 0 for a
// path that chooses its own. Where that is no whole number, the path does not end at
// the times of measurement, which is an error.
func (c *Config) strides(s *Spec, steps int) (int, error) {
	if s.Length() == 0 {
		return 0, nil
	}
	n := float64(steps) * c.LR / s.Length()
	whole := math.Round(n)
	if whole < 1 || whole > math.MaxInt32 || math.Abs(n-whole) > 1e-9*n {
		return 0, fmt.Errorf("%s: steps of length %g do not end at a time of measurement, t = %g (step %d of --lr %g): choose a rate that divides this, or another --measure-every or --steps",
			s.Name, s.Length(), float64(steps)*c.LR, steps, c.LR)
	}
	return int(whole), nil
}
