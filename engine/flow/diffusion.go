package flow

import (
	"context"
	"fmt"
	"math"
	"strings"

	"sgflow/engine"
	"sgflow/engine/nearest"
	"sgflow/engine/rng"
)

// Noise is the covariance of a diffusion's noise, which stands for the covariance Σ
// of the samples' gradients at the point, over all N samples.
type Noise string

// The noises.
const (
	Full      Noise = "full"      // Σ
	Diagonal  Noise = "diagonal"  // the diagonal of Σ
	Isotropic Noise = "isotropic" // (tr Σ/P)·1, of the same trace
	NoNoise   Noise = "none"      // 0: a differential equation without noise
)

// Noises are all of them.
var Noises = []string{string(Full), string(Diagonal), string(Isotropic), string(NoNoise)}

// DiffusionConfig says which stochastic differential equation, and how it is solved.
type DiffusionConfig struct {
	Rate  float64 // η of the SGD that is modelled
	Batch int     // its B
	Noise Noise   // "" is Full
	Order int     // of the drift, 1 or 2; 0 is 1
	// Divide is how many steps of Euler and Maruyama a step of SGD is; 0 is 1. With
	// 1 and a drift of order 1 a step is SGD's own but for the distribution of the
	// noise, and the model's time is as coarse as SGD's; the equation itself is the
	// limit of many, which a drift of order 2 needs: its correction is as large as
	// the error of a single step.
	Divide int
	Seed   uint64
}

// Diffusion is SGD's stochastic differential equation of first or second order (Li,
// Tai & E 2017, arXiv:1511.06251, theorem 1),
//
//	dθ = −∇L dt + √(η/B) Σ^½ dW
//	dθ = −∇(L + η/4 ‖∇L‖²) dt + √(η/B) Σ^½ dW
//
// by steps of Euler and Maruyama of length h = η/Divide,
//
//	θ ← θ − h (∇L + η/2 H∇L) + √(hη/B) Σ^½z, z standard normal.
//
// Σ is never formed: with z of N elements and mean z̄, Σᵢ (zᵢ − z̄)/√N · gᵢ is normal
// with covariance exactly Σ, whose rank is below N.
type Diffusion[T engine.Float] struct {
	point[T]
	c       DiffusionConfig
	z       []float64 // of samples
	noise   []T
	normals []T // of parameters
	bend    []T // H∇L

	stream rng.Stream
	fill   func(from, to int)
}

// NewDiffusion returns the diffusion from start.
func NewDiffusion[T engine.Float](on Surface[T], start []T, c DiffusionConfig) (*Diffusion[T], error) {
	c.Divide = max(c.Divide, 1)
	c.Order = max(c.Order, 1)
	if c.Noise == "" {
		c.Noise = Full
	}
	p, err := newPoint(on, start, c.Rate/float64(c.Divide), "rate")
	switch {
	case err != nil:
		return nil, err
	case c.Order > 2:
		return nil, fmt.Errorf("flow: a drift of order %d: there are 1 and 2", c.Order)
	case c.Batch < 1:
		return nil, fmt.Errorf("flow: noise of batches of %d samples: give 1 or more", c.Batch)
	}
	d := &Diffusion[T]{point: p, c: c}
	switch c.Noise {
	case Full:
		d.z, d.noise = make([]float64, on.Samples()), p.v.NewVector(on.Dim())
	case Diagonal:
		d.noise = p.v.NewVector(on.Dim())
		d.normals = p.v.NewVector(on.Dim())
	case Isotropic:
		d.normals = p.v.NewVector(on.Dim())
	case NoNoise:
	default:
		return nil, fmt.Errorf("flow: noise %q: did you mean %s? There are %s", c.Noise, nearest.Name(string(c.Noise), Noises), strings.Join(Noises, ", "))
	}
	if c.Order == 2 {
		d.bend = p.v.NewVector(on.Dim())
	}
	d.fill = func(from, to int) { rng.Normals(d.normals[from:to], d.stream, uint64(from)) }
	return d, nil
}

// Step is Path's, a step of length h.
func (d *Diffusion[T]) Step(ctx context.Context) error {
	if err := d.gradient(ctx, nil); err != nil {
		return err
	}
	if d.c.Order == 2 {
		d.on.Product(d.bend, d.grad)
	}
	scale := math.Sqrt(d.length * d.c.Rate / float64(d.c.Batch))
	d.stream = rng.New(rng.Noise, d.c.Seed, uint64(d.steps))
	switch d.c.Noise {
	case Full:
		centred(d.z, d.stream, scale)
		d.on.Combine(d.noise, d.z)
		d.v.Axpy(1, d.noise, d.theta)
	case Diagonal:
		d.on.Variances(d.noise)
		d.v.Split(len(d.normals), normalCost, d.fill)
		for i, variance := range d.noise {
			d.theta[i] += T(scale*math.Sqrt(float64(variance))) * d.normals[i]
		}
	case Isotropic:
		each := math.Sqrt(d.on.Variances(nil) / float64(len(d.normals)))
		d.v.Split(len(d.normals), normalCost, d.fill)
		d.v.Axpy(scale*each, d.normals, d.theta)
	}
	d.v.Axpy(-d.length, d.grad, d.theta)
	if d.c.Order == 2 {
		d.v.Axpy(-d.length*d.c.Rate/2, d.bend, d.theta)
	}
	d.steps++
	return nil
}

// normalCost is what a normal number costs, in elements moved.
const normalCost = 64

// centred stores scale·(zᵢ − z̄)/√N in z, the zᵢ being the standard normal numbers
// of the stream: weights of samples whose combination of gradients has covariance
// scale²·Σ.
func centred(z []float64, stream rng.Stream, scale float64) {
	rng.Normals(z, stream, 0)
	mean := 0.0
	for _, x := range z {
		mean += x / float64(len(z))
	}
	each := scale / math.Sqrt(float64(len(z)))
	for i := range z {
		z[i] = each * (z[i] - mean)
	}
}
