package flow

import (
	"context"
	"fmt"
	"math"

	"sgflow/data"
	"sgflow/engine"
	"sgflow/engine/rng"
)

// LangevinConfig says how stochastic gradient Langevin dynamics move.
type LangevinConfig struct {
	Rate        float64 // η
	Batch       int     // B; 0 is the gradient of all samples
	Temperature float64 // 𝒯
	Seed        uint64
}

// Langevin is stochastic gradient Langevin dynamics (Welling & Teh 2011), written
// for the mean loss,
//
//	θ ← θ − ηĝ + √(2η𝒯) z, z standard normal,
//
// with the mean gradient ĝ of a batch drawn with replacement. As η → 0 its points
// are distributed as exp(−L/𝒯): where L is 1/N of a negative log posterior,
// 𝒯 = 1/N samples it. Their algorithm's rate ε is 2η/N.
type Langevin[T engine.Float] struct {
	point[T]
	sampler     *data.Sampler // nil for all samples
	batch       []int32
	temperature float64
	seed        uint64
	normals     []T
	stream      rng.Stream
	fill        func(from, to int)
}

// NewLangevin returns Langevin dynamics from start.
func NewLangevin[T engine.Float](on Surface[T], start []T, c LangevinConfig) (*Langevin[T], error) {
	p, err := newPoint(on, start, c.Rate, "rate")
	if err != nil {
		return nil, err
	}
	if !(c.Temperature >= 0) || !finite(c.Temperature) {
		return nil, fmt.Errorf("flow: temperature %v: give a number from 0 on", c.Temperature)
	}
	l := &Langevin[T]{point: p, temperature: c.Temperature, seed: c.Seed, normals: p.v.NewVector(on.Dim())}
	if c.Batch != 0 {
		if l.sampler, err = data.NewSampler(data.Replacement, on.Samples(), c.Batch, c.Seed); err != nil {
			return nil, fmt.Errorf("flow: Langevin dynamics: %w", err)
		}
		l.batch = make([]int32, 0, l.sampler.MaxBatch())
	}
	l.fill = func(from, to int) { rng.Normals(l.normals[from:to], l.stream, uint64(from)) }
	return l, nil
}

// Step is Path's, a step of length η.
func (p *Langevin[T]) Step(ctx context.Context) error {
	if p.sampler != nil {
		p.batch = p.sampler.Batch(p.steps, p.batch[:0])
	}
	if err := p.gradient(ctx, p.batch); err != nil { // nil is all
		return err
	}
	p.stream = rng.New(rng.Noise, p.seed, uint64(p.steps))
	p.v.Split(len(p.normals), normalCost, p.fill)
	p.v.Axpy(-p.length, p.grad, p.theta)
	p.v.Axpy(math.Sqrt(2*p.length*p.temperature), p.normals, p.theta)
	p.steps++
	return nil
}
