package problem

import (
	"fmt"
	"strconv"
	"strings"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/measure"
	"sgflow/engine/request"
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

// DefaultSamples is the whole training set.
func DefaultSamples() SampleSet { return SampleSet{Split: splitTrain, Samples: samplesAll} }

// Validate returns a request.Error for what names no samples of any data set.
func (c *SampleSet) Validate() error {
	switch {
	case c.Split != splitTrain && c.Split != splitTest:
		return request.Unknown("split", c.Split, splitTrain, splitTest)
	case c.Indices != "" && c.Samples != samplesAll:
		return request.BadValue("samples", c.Samples, "--indices says which samples already")
	}
	return nil
}

// of returns the indices into split that c names.
func (c *SampleSet) of(split *data.Split) ([]int32, error) {
	from, to := 0, split.N
	if c.Samples != samplesAll {
		n, err := strconv.Atoi(c.Samples)
		if err != nil || n < 1 || n > split.N {
			return nil, request.BadValue("samples", c.Samples, "the split has %d samples: give 1 to %d, or all", split.N, split.N)
		}
		to = n
	}
	if c.Indices != "" {
		a, b, ok := strings.Cut(c.Indices, ":")
		var errA, errB error
		from, errA = strconv.Atoi(a)
		to, errB = strconv.Atoi(b)
		if !ok || errA != nil || errB != nil {
			return nil, request.BadValue("indices", fmt.Sprintf("%q", c.Indices), "give two numbers A:B, such as 0:1000")
		}
	}
	if from < 0 || to > split.N || from >= to {
		return nil, request.BadValue("indices", c.Indices, "the split has %d samples: give A:B with 0 ≤ A < B ≤ %d", split.N, split.N)
	}
	return Sequence(from, to), nil
}

// Sequence returns from, from+1, …, to−1.
func Sequence(from, to int) []int32 {
	list := make([]int32, to-from)
	for i := range list {
		list[i] = int32(from + i)
	}
	return list
}

// Examine calls f with the objective of p's data and weights, and the samples
// that c names.
func Examine[T engine.Float](p *Opened, c *SampleSet, f func(o *measure.Objective[T], indices []int32) error) error {
	split := p.Train
	if c.Split == splitTest {
		split = p.Set.Test
	}
	indices, err := c.of(split)
	if err != nil {
		return err
	}
	s, err := NewSession[T](p, len(indices))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := SetWeights(p, s); err != nil {
		return err
	}
	err = f(NewObjective(p, s, split), indices)
	if failed := s.Err(); failed != nil {
		return failed // what f makes of it is a consequence
	}
	return err
}
