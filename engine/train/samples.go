package train

import (
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

// samplesAll is the value of --samples for the whole split.
const samplesAll = "all"

// SampleSet names the samples at which a point of the loss surface is examined.
type SampleSet struct {
	Split   string `json:"split" help:"Half of the data set: train or test."`
	Samples string `json:"samples" help:"How many samples, from the split's first: a number, or all. Not together with --indices."`
	Indices string `json:"indices" help:"Samples A to B−1 of the split, as A:B; all where not given."`
}

// defaultSamples is the whole training set.
func defaultSamples() SampleSet { return SampleSet{Split: splitTrain, Samples: samplesAll} }

// validate returns a RequestError for what names no samples of any data set.
func (c *SampleSet) validate() error {
	switch {
	case c.Split != splitTrain && c.Split != splitTest:
		return unknownValue("split", c.Split, splitTrain, splitTest)
	case c.Indices != "" && c.Samples != samplesAll:
		return badValue("samples", c.Samples, "--indices says which samples already")
	}
	return nil
}

// of returns the indices into split that c names.
func (c *SampleSet) of(split *data.Split) ([]int32, error) {
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

// examine calls f with the objective of p's data and weights, and the samples
// that c names.
func examine[T engine.Float](p *problem, c *SampleSet, f func(o *measure.Objective[T], indices []int32) error) error {
	split := p.train
	if c.Split == splitTest {
		split = p.set.Test
	}
	indices, err := c.of(split)
	if err != nil {
		return err
	}
	s, err := newSession[T](p, len(indices))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := setWeights(p, s); err != nil {
		return err
	}
	err = f(measure.NewObjective(s, filler(p, s, split)), indices)
	if failed := s.Err(); failed != nil {
		return fmt.Errorf("train: %w", failed) // what f makes of it is a consequence
	}
	return err
}
