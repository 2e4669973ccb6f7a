package flow

import (
	"context"
	"fmt"
	"math"

	"sgflow/data"
	"sgflow/engine"
)

// SVAGConfig says how SVAG moves.
type SVAGConfig struct {
	Rate  float64 // η of the SGD that is modelled
	Batch int     // its B
	L     int     // l; 0 is 1, which is SGD
	Seed  uint64
}

// SVAG is the stochastic variance amplified gradient of Li, Malladi & Arora (2021,
// arXiv:2102.12470, definition 3.2): with the mean gradients ĝ₁ and ĝ₂ of two
// batches, drawn independently with replacement,
//
//	θ ← θ − η/l·(a₁ĝ₁ + a₂ĝ₂), a₁ = ½(1 + √(2l−1)), a₂ = ½(1 − √(2l−1)).
//
// As a₁ + a₂ = 1 and a₁² + a₂² = l, l steps have the drift and the noise of one of
// SGD, and as l grows the path approaches the equation of Diffusion, whatever the
// distribution of ĝ. With l = 1 it is SGD, by the same batches as an SGD of that
// seed.
type SVAG[T engine.Float] struct {
	point[T]
	sampler *data.Sampler
	batch   []int32
	l       int
	a       [2]float64
	second  []T // ĝ₂; nil for l = 1, where a₂ is 0
}

// NewSVAG returns SVAG from start.
func NewSVAG[T engine.Float](on Surface[T], start []T, c SVAGConfig) (*SVAG[T], error) {
	l := max(c.L, 1)
	p, err := newPoint(on, start, c.Rate/float64(l), "rate")
	if err != nil {
		return nil, err
	}
	s, err := data.NewSampler(data.Replacement, on.Samples(), c.Batch, c.Seed)
	if err != nil {
		return nil, fmt.Errorf("flow: SVAG: %w", err)
	}
	root := math.Sqrt(2*float64(l) - 1)
	v := &SVAG[T]{point: p, sampler: s, batch: make([]int32, 0, s.MaxBatch()), l: l, a: [2]float64{(1 + root) / 2, (1 - root) / 2}}
	if l > 1 {
		v.second = p.v.NewVector(on.Dim())
	}
	return v, nil
}

// Step is Path's, a step of length η/l.
func (p *SVAG[T]) Step(ctx context.Context) error {
	if p.l > 1 {
		if err := p.sample(ctx, 2*p.steps+1); err != nil {
			return err
		}
		p.v.Copy(p.second, p.grad)
		if err := p.sample(ctx, 2*p.steps); err != nil {
			return err
		}
		p.v.Axpy(-p.length*p.a[1], p.second, p.theta)
	} else if err := p.sample(ctx, p.steps); err != nil {
		return err
	}
	p.v.Axpy(-p.length*p.a[0], p.grad, p.theta)
	p.steps++
	return nil
}

// sample computes the gradient of the batch of that number.
func (p *SVAG[T]) sample(ctx context.Context, number int) error {
	p.batch = p.sampler.Batch(number, p.batch[:0])
	return p.gradient(ctx, p.batch)
}
