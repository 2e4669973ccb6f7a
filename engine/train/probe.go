package train

import (
	"context"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// ProbeConfig is what a user can ask of a probe of fixed weights on fixed
// samples.
type ProbeConfig struct {
	problem.Problem `yaml:",inline"`

	problem.SampleSet `yaml:",inline"`

	Measure    string `json:"measure" help:"What to measure: all, everything, or a comma list of sets and quantities; see sgflow measures."`
	Top        int    `json:"top" help:"How many of the largest eigenvalues to find."`
	Probes     int    `json:"probes" help:"Random probes for the estimate of the trace."`
	ExactTrace bool   `json:"exact-trace" help:"Compute the trace exactly, with one Hessian-vector product for every parameter."`

	Reach `yaml:",inline"`
}

// DefaultProbe returns the configuration of a probe of which nothing is asked.
func DefaultProbe() ProbeConfig {
	return ProbeConfig{Problem: Default().Problem, SampleSet: problem.DefaultSamples(), Measure: "all", Top: 1, Probes: 32, Reach: defaultReach()}
}

// Validate does for a probe what [problem.Problem.Validate] does for its problem,
// which it includes.
func (c *ProbeConfig) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	if err := c.SampleSet.Validate(); err != nil {
		return err
	}
	switch {
	case c.Top < 1:
		return request.BadValue("top", c.Top, "give 1 or more")
	case c.Probes < 2:
		return request.BadValue("probes", c.Probes, "give 2 or more: one has no standard error")
	}
	if err := c.Reach.validate(); err != nil {
		return err
	}
	_, err := c.selection()
	return err
}

// selection returns what c asks to measure.
func (c *ProbeConfig) selection() (measure.Selection, error) {
	s, err := measure.ParseSelection(c.Measure)
	if err != nil {
		return s, request.Wrap(err)
	}
	for _, q := range s.Quantities() {
		if q.Name == c.Measure && q.Needs&measure.Training != 0 {
			return s, request.BadValue("measure", c.Measure, "it belongs to steps of training: use sgflow train")
		}
	}
	if c.Measure == "none" {
		return s, request.BadValue("measure", c.Measure, "a probe of nothing: give all, or what to measure")
	}
	return s, nil
}

// Probe measures noise and flatness of the mean loss of the samples that c
// names, at the weights that c names or the initial ones of its seed. progress
// is called now and then with what is being computed and how many
// Hessian-vector products were done.
//
// A wrong request is a request.Error; measure.ErrNotConverged comes with the
// result so far; a cancelled context gives its error.
func Probe(ctx context.Context, c ProbeConfig, progress func(stage string, products int)) (*measure.ProbeResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := c.Problem.Open()
	if err != nil {
		return nil, err
	}
	if err := p.Compile(true); err != nil {
		return nil, err
	}
	if c.DType == problem.Float64 {
		return probe[float64](ctx, p, &c, progress)
	}
	return probe[float32](ctx, p, &c, progress)
}

func probe[T engine.Float](ctx context.Context, p *problem.Opened, c *ProbeConfig, progress func(string, int)) (r *measure.ProbeResult, err error) {
	selection, err := c.selection()
	if err != nil {
		return nil, err
	}
	err = problem.Examine(p, &c.SampleSet, func(o *measure.Objective[T], indices []int32) (err error) {
		if params := len(o.Session().Params()); c.Top > params {
			return request.BadValue("top", c.Top, "the model has only %d parameters", params)
		}
		r, err = measure.Probe(ctx, o, indices, measure.ProbeConfig{
			Select: selection, Top: c.Top, Probes: c.Probes, ExactTrace: c.ExactTrace, Seed: c.Seed, Reach: c.Reach.reach(), Progress: progress,
		})
		return err
	})
	return r, err
}
