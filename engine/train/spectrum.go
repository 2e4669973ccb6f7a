package train

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/request"
)

// SpectrumConfig is what a user can ask of the spectral density of the Hessian
// at fixed weights on fixed samples.
type SpectrumConfig struct {
	problem.Problem `yaml:",inline"`

	problem.SampleSet `yaml:",inline"`

	Order  int     `json:"order" help:"Lanczos steps for each probe: as many Hessian-vector products, and as many vectors of parameters in memory."`
	Probes int     `json:"probes" help:"Random probes that the density is a mean of."`
	Sigma  float64 `json:"sigma" help:"Standard deviation of the Gaussian that broadens each eigenvalue; 0 is 0.0032 (√1e-5) of the spectrum's range."`
	Points int     `json:"points" help:"Points of the density."`
}

// DefaultSpectrum returns the configuration of a spectrum of which nothing is
// asked.
func DefaultSpectrum() SpectrumConfig {
	return SpectrumConfig{
		Problem: Default().Problem, SampleSet: problem.DefaultSamples(),
		Order: measure.DefaultOrder, Probes: measure.DefaultSpectrumProbes, Points: measure.DefaultPoints,
	}
}

// Validate does for a spectrum what [problem.Problem.Validate] does for its problem,
// which it includes.
func (c *SpectrumConfig) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	if err := c.SampleSet.Validate(); err != nil {
		return err
	}
	switch {
	case c.Order < 1:
		return request.BadValue("order", c.Order, "give 1 or more")
	case c.Probes < 1:
		return request.BadValue("probes", c.Probes, "give 1 or more; with 2 or more there are standard errors")
	case !(c.Sigma >= 0) || math.IsInf(c.Sigma, 0):
		return request.BadValue("sigma", c.Sigma, "give a number above 0, or 0 for a share of the spectrum's range")
	case c.Points < 2:
		return request.BadValue("points", c.Points, "give 2 or more")
	}
	return nil
}

// SpectrumResult is the spectral density of the Hessian with what it is of.
type SpectrumResult struct {
	Config SpectrumConfig `json:"config"`
	*measure.SpectrumResult
}

// Spectrum measures the spectral density of the Hessian of the mean loss of
// the samples that c names, at the weights that c names or the initial ones of
// its seed. progress is called before every Hessian-vector product with how
// many of at most total are done.
//
// A wrong request is a request.Error; a cancelled context gives its error.
func Spectrum(ctx context.Context, c SpectrumConfig, progress func(done, total int)) (*SpectrumResult, error) {
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
	var r *measure.SpectrumResult
	if c.DType == problem.Float64 {
		r, err = spectrum[float64](ctx, p, &c, progress)
	} else {
		r, err = spectrum[float32](ctx, p, &c, progress)
	}
	if err != nil {
		return nil, err
	}
	return &SpectrumResult{c, r}, nil
}

func spectrum[T engine.Float](ctx context.Context, p *problem.Opened, c *SpectrumConfig, progress func(done, total int)) (r *measure.SpectrumResult, err error) {
	err = problem.Examine(p, &c.SampleSet, func(o *measure.Objective[T], indices []int32) (err error) {
		r, err = measure.Spectrum(ctx, o, indices, measure.SpectrumConfig{
			Order: c.Order, Probes: c.Probes, Sigma: c.Sigma, Points: c.Points, Seed: c.Seed, Progress: progress,
		})
		return err
	})
	return r, err
}
