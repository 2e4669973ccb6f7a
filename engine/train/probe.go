package train

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
)

// The halves of a data set.
const (
	splitTrain = "train"
	splitTest  = "test"
)

// ProbeConfig is what a user can ask of a probe of fixed weights on fixed
// samples.
type ProbeConfig struct {
	Problem `yaml:",inline"`

	Split      string `json:"split" help:"Half of the data set: train or test."`
	Indices    string `json:"indices" help:"Samples A to B−1 of the split, as A:B; all where not given."`
	Samples    string `json:"samples" help:"How many samples, from the split's first: a number, or all. Not together with --indices."`
	Measure    string `json:"measure" help:"What to measure: all, or a comma list of sets and quantities; see sgflow measures."`
	Top        int    `json:"top" help:"How many of the largest eigenvalues to find."`
	Probes     int    `json:"probes" help:"Random probes for the estimate of the trace."`
	ExactTrace bool   `json:"exact-trace" help:"Compute the trace exactly, with one Hessian-vector product for every parameter."`
}

// DefaultProbe returns the configuration of a probe of which nothing is asked.
func DefaultProbe() ProbeConfig {
	return ProbeConfig{Problem: Default().Problem, Split: splitTrain, Samples: "all", Measure: "all", Top: 1, Probes: 32}
}

// Validate does for a probe what [Problem.Validate] does for its problem,
// which it includes.
func (c *ProbeConfig) Validate() error {
	if err := c.Problem.Validate(); err != nil {
		return err
	}
	switch {
	case c.Split != splitTrain && c.Split != splitTest:
		return unknownValue("split", c.Split, splitTrain, splitTest)
	case c.Top < 1:
		return badValue("top", c.Top, "give 1 or more")
	case c.Probes < 2:
		return badValue("probes", c.Probes, "give 2 or more: one has no standard error")
	case c.Indices != "" && c.Samples != samplesAll:
		return badValue("samples", c.Samples, "--indices says which samples already")
	}
	_, err := c.selection()
	return err
}

// samplesAll is the value of --samples for the whole split.
const samplesAll = "all"

// selection returns what c asks to measure.
func (c *ProbeConfig) selection() (measure.Selection, error) {
	s, err := measure.ParseSelection(c.Measure)
	if err != nil {
		return s, request(err)
	}
	for _, q := range s.Quantities() {
		if q.Name == c.Measure && q.Needs&measure.Training != 0 {
			return s, badValue("measure", c.Measure, "it belongs to steps of training: use sgflow train")
		}
	}
	if c.Measure == "none" {
		return s, badValue("measure", c.Measure, "a probe of nothing: give all, or what to measure")
	}
	return s, nil
}

// Probe measures noise and flatness of the mean loss of the samples that c
// names, at the weights that c names or the initial ones of its seed. progress
// is called now and then with what is being computed and how many
// Hessian-vector products were done.
//
// A wrong request is a RequestError; measure.ErrNotConverged comes with the
// result so far; a cancelled context gives its error.
func Probe(ctx context.Context, c ProbeConfig, progress func(stage string, products int)) (*measure.ProbeResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := open(&c.Problem)
	if err != nil {
		return nil, err
	}
	if err := p.compile(true); err != nil {
		return nil, err
	}
	if c.DType == Float64 {
		return probe[float64](ctx, p, &c, progress)
	}
	return probe[float32](ctx, p, &c, progress)
}

func probe[T engine.Float](ctx context.Context, p *problem, c *ProbeConfig, progress func(string, int)) (*measure.ProbeResult, error) {
	split := p.train
	if c.Split == splitTest {
		split = p.set.Test
	}
	indices, err := c.samples(split)
	if err != nil {
		return nil, err
	}
	s, err := newSession[T](p, len(indices))
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if c.Top > len(s.Params()) {
		return nil, badValue("top", c.Top, "the model has only %d parameters", len(s.Params()))
	}
	if err := setWeights(p, s); err != nil {
		return nil, err
	}
	o := measure.NewObjective(s, filler(p, s, split))
	selection, err := c.selection()
	if err != nil {
		return nil, err
	}
	return measure.Probe(ctx, o, indices, measure.ProbeConfig{
		Select: selection, Top: c.Top, Probes: c.Probes, ExactTrace: c.ExactTrace, Seed: c.Seed, Progress: progress,
	})
}

// samples returns the indices into split that c names.
func (c *ProbeConfig) samples(split *data.Split) ([]int32, error) {
	from, to := 0, split.N
	if c.Samples != samplesAll {
		n, err := strconv.Atoi(c.Samples)
		if err != nil || n < 1 || n > split.N {
			return nil, badValue("samples", c.Samples, "the split has %d samples: give 1 to %d, or all", split.N, split.N)
		}
		to = n
	}
	if c.Indices != "" {
		a, b, ok := strings.Cut(c.Indices, ":")
		var errA, errB error
		from, errA = strconv.Atoi(a)
		to, errB = strconv.Atoi(b)
		if !ok || errA != nil || errB != nil {
			return nil, badValue("indices", fmt.Sprintf("%q", c.Indices), "give two numbers A:B, such as 0:1000")
		}
	}
	if from < 0 || to > split.N || from >= to {
		return nil, badValue("indices", c.Indices, "the split has %d samples: give A:B with 0 ≤ A < B ≤ %d", split.N, split.N)
	}
	return sequence(from, to), nil
}

// sequence returns from, from+1, …, to−1.
func sequence(from, to int) []int32 {
	list := make([]int32, to-from)
	for i := range list {
		list[i] = int32(from + i)
	}
	return list
}
