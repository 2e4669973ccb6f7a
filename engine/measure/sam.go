package measure

import (
	"context"
	"math"

	"sgflow/engine"
)

// The radii that the papers use.
const (
	DefaultRho         = 0.05
	DefaultAdaptiveRho = 0.5
)

// SAMConfig says how far SAM goes. Zero values are the defaults.
type SAMConfig struct {
	Rho      float64 // default DefaultRho, DefaultAdaptiveRho if Adaptive
	Adaptive bool
}

func (c *SAMConfig) setDefaults() {
	if c.Rho > 0 {
		return
	}
	c.Rho = DefaultRho
	if c.Adaptive {
		c.Rho = DefaultAdaptiveRho
	}
}

// SAMResult is the sharpness by one step of ascent.
type SAMResult struct {
	Sharpness float64 `json:"sharpness"` // Perturbed − Loss
	Loss      float64 `json:"loss"`      // L(θ)
	Perturbed float64 `json:"perturbed"` // L(θ + ε)
	Rho       float64 `json:"rho"`
}

// SAM returns the sharpness of the mean loss L of the samples of o's last
// Gradient by one step of ascent, L(θ + ε) − L(θ), with
//
//	ε = ρ·ḡ/‖ḡ‖            (Foret et al. 2021, arXiv:2010.01412, eq. 2)
//	ε = ρ·T²ḡ/‖Tḡ‖         Adaptive, T = diag|θ| (Kwon et al. 2021, arXiv:2102.11600, eq. 9)
//
// the maximum over ‖ε‖ ≤ ρ, or ‖T⁻¹ε‖ ≤ ρ, of the loss's linear part. It is a
// lower bound of the maximum of L itself there. T here holds all parameters,
// biases as well, so that the adaptive sharpness of a network is that of every
// other which follows from it by scaling weights without changing its function.
//
// It takes two evaluations of the loss. θ and ḡ are as before when it returns.
// The error is ErrZeroGradient where ḡ, or Tḡ, is zero, or the context's.
func SAM[T engine.Float](ctx context.Context, o *Objective[T], c SAMConfig) (SAMResult, error) {
	c.setDefaults()
	r := SAMResult{Rho: c.Rho}
	e := o.leave(ctx)
	defer e.back()
	direction, norm := e.grad, math.Sqrt(o.s.NormSq(e.grad))
	if c.Adaptive {
		direction, norm = e.adaptive()
	}
	if norm == 0 {
		return r, ErrZeroGradient
	}
	var err error
	if r.Loss, err = e.loss(); err != nil {
		return r, err
	}
	e.move(c.Rho/norm, direction)
	r.Perturbed, err = e.loss()
	r.Sharpness = r.Perturbed - r.Loss
	return r, err
}

// adaptive returns T²ḡ and ‖Tḡ‖ for T = diag|θ|.
func (e *excursion[T]) adaptive() (direction []T, norm float64) {
	e.direction = grow(e.direction, len(e.grad))
	e.o.s.Wait()
	sum := 0.0
	for i, g := range e.grad {
		t := float64(e.theta[i])
		tg := t * float64(g)
		sum += tg * tg
		e.direction[i] = T(t * tg)
	}
	return e.direction, math.Sqrt(sum)
}
