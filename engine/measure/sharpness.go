package measure

import (
	"context"
	"fmt"

	"sgflow/engine"
	"sgflow/engine/record"
	"sgflow/engine/rng"
)

// SharpnessConfig says how many batches Sharpness draws. Zero values are the
// defaults, which but for Tol are those of the code published with the paper.
type SharpnessConfig struct {
	Batch      int     // samples in a batch, at least 1
	Tol        float64 // stop when standard errors are this small, relatively; default DefaultSharpnessTol
	MinBatches int     // but not before so many; default DefaultMinBatches
	MaxBatches int     // nor after; default DefaultMaxBatches
	Step       bool    // measure step sharpness too
	Seed       uint64
	// Progress, if not nil, is called before every batch.
	Progress func(done, most int)
}

// The defaults of SharpnessConfig.
const (
	DefaultSharpnessTol = 0.01
	DefaultMinBatches   = 10
	DefaultMaxBatches   = 500
)

// SharpnessResult is the curvature along the gradients of batches.
type SharpnessResult struct {
	Batch    int     `json:"batch"`
	Mean     Average `json:"batch_sharpness"`        // E[gᵀH_B g/‖g‖²]
	Pooled   Average `json:"batch_sharpness_pooled"` // E[gᵀH_B g]/E‖g‖²
	Step     Average `json:"step_sharpness,omitzero"`
	Skipped  int     `json:"skipped,omitempty"` // batches without a gradient
	Achieved bool    `json:"achieved"`          // the tolerance
}

// errNoBatch says that a batch cannot be drawn.
const errNoBatch = "measure: sharpness of batches: a batch of %d of %d samples"

// Sharpness averages the curvature along the gradient g of batches B of the
// samples of o's last Gradient,
//
//	batch sharpness  E[gᵀH_B g/‖g‖²]    H_B: of the batch's own loss
//	step sharpness   E[gᵀH g/‖g‖²]      H: of the loss of all samples
//
// with standard errors over batches, until those of both means are at most Tol
// of the mean or MaxBatches are drawn (Andreyev & Beneventano 2024,
// arXiv:2412.20553). The means are of ratios, as the contract's batch_sharpness
// of one batch is one; Pooled is the ratio of the means, which the authors' code
// computes as well, with its error by the delta method. A batch is drawn without
// replacement, independently of the other batches. Stopping by the error makes it
// slightly too small: the first time it is below is taken.
//
// Where Batch is all the samples or more, that one batch gives the exact value
// with an error of 0. A batch whose gradient is zero has no ratio and is left
// out of the means but counts as drawn; ErrZeroGradient is returned where all are
// so. Batch sharpness takes a gradient and a product for a batch, step sharpness
// a gradient and a product of all samples in addition. ḡ is as before when it
// returns. The other errors are the context's and ErrDiverged.
func Sharpness[T engine.Float](ctx context.Context, o *Objective[T], c SharpnessConfig) (*SharpnessResult, error) {
	c.setDefaults()
	all := o.indices
	if c.Batch < 1 || len(all) == 0 {
		return nil, fmt.Errorf(errNoBatch, c.Batch, len(all))
	}
	whole := c.Batch >= len(all)
	if whole {
		c.Batch, c.MaxBatches = len(all), 1
	}
	e := o.leave(ctx)
	defer e.back()
	h := &sharpness[T]{o: o, batch: NewObjective(o.s, o.fill), c: c, hg: make([]T, len(e.grad))}
	if c.Step {
		h.g = make([]T, len(e.grad))
	}
	r := &SharpnessResult{Batch: c.Batch}
	draw := drawer{rest: append([]int32(nil), all...), seed: c.Seed}
	for k := range c.MaxBatches {
		c.Progress(k, c.MaxBatches)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := h.measure(draw.batch(k, c.Batch)); err != nil {
			return nil, err
		}
		if r.Skipped = k + 1 - len(h.norms); r.Skipped > k {
			continue // none had a gradient yet
		}
		h.summarise(r)
		r.Achieved = r.Mean.within(c.Tol) && (!c.Step || r.Step.within(c.Tol))
		if k+1 >= c.MinBatches && r.Achieved {
			break
		}
	}
	if len(h.norms) == 0 {
		return nil, ErrZeroGradient
	}
	if whole {
		r.exact()
	}
	return r, nil
}

func (c *SharpnessConfig) setDefaults() {
	if c.Tol <= 0 {
		c.Tol = DefaultSharpnessTol
	}
	if c.MinBatches < 1 {
		c.MinBatches = DefaultMinBatches
	}
	if c.MaxBatches < 1 {
		c.MaxBatches = DefaultMaxBatches
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// exact says that the only batch there is was measured.
func (r *SharpnessResult) exact() {
	r.Achieved = true
	for _, a := range []*Average{&r.Mean, &r.Pooled, &r.Step} {
		if a.Count > 0 {
			a.Stderr = record.Some(0)
		}
	}
}

// sharpness is the work of one Sharpness.
type sharpness[T engine.Float] struct {
	o, batch *Objective[T] // of all samples, of a batch: on one session
	c        SharpnessConfig
	g, hg    []T

	ratios, steps   []float64 // of each batch
	products, norms []float64 // gᵀH_B g and ‖g‖²
}

// measure adds a batch.
func (h *sharpness[T]) measure(indices []int32) error {
	s := h.o.s
	h.o.loaded = false
	h.batch.Gradient(indices, false)
	g := h.batch.Grad()
	gg := s.NormSq(g)
	if gg == 0 {
		return nil
	}
	h.batch.Product(h.hg, g)
	h.o.products++
	gHg := s.Dot(g, h.hg)
	if !finite(gg) || !finite(gHg) {
		return fmt.Errorf("%w: a batch's squared gradient norm is %g, its curvature %g", ErrDiverged, gg, gHg)
	}
	h.products, h.norms, h.ratios = append(h.products, gHg), append(h.norms, gg), append(h.ratios, gHg/gg)
	if h.c.Step {
		s.Copy(h.g, g)
		h.o.Product(h.hg, h.g)
		h.steps = append(h.steps, s.Dot(h.g, h.hg)/gg)
	}
	return nil
}

func (h *sharpness[T]) summarise(r *SharpnessResult) {
	r.Mean, r.Pooled = average(h.ratios), ratio(h.products, h.norms)
	if h.c.Step {
		r.Step = average(h.steps)
	}
}

// batchDraws is where the streams of rng.Batches for estimates begin: beyond
// any epoch or step.
const batchDraws = 1 << 40

// drawer draws batches without replacement.
type drawer struct {
	rest []int32
	seed uint64
	swap []int // where each place's element came from
}

// batch returns the k-th batch of n samples: the first n draws of a Fisher–Yates
// shuffle, which are taken back so that a batch depends on seed and k alone. It
// is valid until the next call.
func (d *drawer) batch(k, n int) []int32 {
	for i := len(d.swap) - 1; i >= 0; i-- {
		j := d.swap[i]
		d.rest[i], d.rest[j] = d.rest[j], d.rest[i]
	}
	d.swap = d.swap[:0]
	stream := rng.New(rng.Batches, d.seed, batchDraws+uint64(k))
	for i := range n {
		j := i + int(stream.Uint32n(uint32(len(d.rest)-i)))
		d.rest[i], d.rest[j] = d.rest[j], d.rest[i]
		d.swap = append(d.swap, j)
	}
	return d.rest[:n]
}
