package measure

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/rng"
)

// The defaults of KeskarConfig, those of the paper, and the dimension of its
// random subspaces.
const (
	DefaultBox      = 1e-3
	DefaultAscent   = 10
	DefaultSubspace = 100
)

const (
	fullSpace  = 0 // of KeskarConfig.Dim
	lineSearch = 6 // most shorter steps that a search tries
	shorter    = 4 // each so much shorter than the last
)

// KeskarConfig says how Keskar searches for the maximum. Zero values are the
// defaults.
type KeskarConfig struct {
	Epsilon    float64 // half the side of the box, relative; default DefaultBox
	Dim        int     // of the random subspace; 0 is the full space
	Iterations int     // most steps of ascent; default DefaultAscent
	Seed       uint64
	// Progress, if not nil, is called before every step of ascent.
	Progress func(done, most int)
}

// KeskarResult is the sharpness over a box.
type KeskarResult struct {
	Sharpness   float64 `json:"sharpness"` // 100·(Max − Loss)/(1 + Loss)
	Loss        float64 `json:"loss"`      // L(θ)
	Max         float64 `json:"max"`       // the largest loss found in the box
	Epsilon     float64 `json:"epsilon"`
	Dim         int     `json:"dim"`         // 0 is the full space
	Iterations  int     `json:"iterations"`  // gradients taken
	Evaluations int     `json:"evaluations"` // losses taken beside them
}

// Keskar returns the sharpness of Keskar et al. (2017, arXiv:1609.04836, metric
// 2.1) of the mean loss L of the samples of o's last Gradient,
//
//	100·(max_{z∈C} L(θ + Az) − L(θ))/(1 + L(θ)),  C = {z: |z_j| ≤ ε(|(A⁺θ)_j| + 1)}
//
// with A = I in the full space, and for a random subspace a P×Dim matrix with
// columns of independent entries ±1 and its pseudo-inverse A⁺ = (AᵀA)⁻¹Aᵀ. The
// paper says of A only that it is random; with entries of this size a step
// moves each parameter about as far as in the full space, times √Dim.
//
// The result is a lower bound: the maximum is that found by at most Iterations
// steps of projected gradient ascent from θ, where the paper takes as many of
// L-BFGS-B. With z scaled to C = [−1, 1]^Dim a step goes to the projection on C
// of z + α∇ for α = ∞, the corner at which the linear part of L is largest, or if
// L is no larger there for the first α of 4, 1, ¼, … times 1/mean|∇ⱼ| at which it
// is. A step that finds none ends the search; if it is the first, θ being
// stationary to rounding, the search starts anew from a random corner.
//
// A step takes a gradient and mostly one evaluation of the loss; memory is about
// nine vectors of parameters, or three and Dim·P/8 bytes for a subspace. θ and ḡ are as before
// when it returns. The error is the context's, or ErrDiverged where L(θ) is not
// finite.
func Keskar[T engine.Float](ctx context.Context, o *Objective[T], c KeskarConfig) (KeskarResult, error) {
	c.setDefaults(o.s.Program().NumParams)
	r := KeskarResult{Epsilon: c.Epsilon, Dim: c.Dim}
	e := o.leave(ctx)
	defer e.back()
	var err error
	if r.Loss, err = e.loss(); err != nil {
		return r, err
	}
	if !finite(r.Loss) {
		return r, errLoss(r.Loss)
	}
	k := &ascent[T]{e: e, box: newBox(e, c), grad: make([]T, len(e.theta)), level: r.Loss}
	err = k.run(c)
	r.Max, r.Iterations, r.Evaluations = max(r.Loss, k.level), k.iterations, k.evaluations
	r.Sharpness = 100 * (r.Max - r.Loss) / (1 + r.Loss)
	return r, err
}

func (c *KeskarConfig) setDefaults(params int) {
	if c.Epsilon <= 0 {
		c.Epsilon = DefaultBox
	}
	if c.Dim < 1 || c.Dim > params {
		c.Dim = fullSpace
	}
	if c.Iterations < 1 {
		c.Iterations = DefaultAscent
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
}

// box is the set C with coordinates scaled to [−1, 1].
type box[T engine.Float] interface {
	dim() int
	// place sets the session's parameters to θ + Az for scaled coordinates z.
	place(z []float64)
	// pull computes the gradient in scaled coordinates from that in θ.
	pull(out []float64, grad []T)
}

// ascent searches a box for the largest loss.
type ascent[T engine.Float] struct {
	e       *excursion[T]
	box     box[T]
	z, next []float64 // scaled coordinates: where the search is, and a trial
	slope   []float64 // the gradient at z in them
	grad    []T

	level       float64 // the loss at z
	iterations  int
	evaluations int
}

func (k *ascent[T]) run(c KeskarConfig) error {
	n := k.box.dim()
	k.z, k.next, k.slope = make([]float64, n), make([]float64, n), make([]float64, n)
	for k.iterations < c.Iterations {
		c.Progress(k.iterations, c.Iterations)
		k.box.place(k.z)
		if err := k.e.gradient(k.grad); err != nil {
			return err
		}
		k.box.pull(k.slope, k.grad)
		k.iterations++
		mean := 0.0
		for _, v := range k.slope {
			mean += math.Abs(v) / float64(n)
		}
		var higher bool
		var err error
		if mean > 0 && finite(mean) {
			higher, err = k.search(mean)
		}
		if err == nil && !higher && k.iterations == 1 {
			rng.Signs(k.next, rng.New(rng.Probes, c.Seed, subspaceProbes-1), 0)
			k.level = math.Inf(-1) // wherever it leads
			higher, err = k.try()
		}
		if err != nil || !higher {
			return err
		}
	}
	return nil
}

// try goes to next if the loss is larger there, and reports whether it is.
func (k *ascent[T]) try() (higher bool, err error) {
	k.box.place(k.next)
	loss, err := k.e.loss()
	k.evaluations++
	if err != nil || !finite(loss) || loss <= k.level {
		return false, err
	}
	k.level = loss
	k.z, k.next = k.next, k.z
	return true, nil
}

// search goes along the slope, whose entries' mean magnitude is given, to a
// larger loss, and reports whether it found one.
func (k *ascent[T]) search(mean float64) (higher bool, err error) {
	step := math.Inf(1)
	for trial := 0; trial <= lineSearch; trial++ {
		for j, v := range k.slope {
			k.next[j] = k.z[j]
			if v != 0 { // ∞·0 is not a number
				k.next[j] = max(-1, min(1, k.z[j]+step*v))
			}
		}
		if higher, err = k.try(); higher || err != nil {
			return higher, err
		}
		if trial == 0 {
			step = shorter * shorter / mean
		}
		step /= shorter
	}
	return false, nil
}

func newBox[T engine.Float](e *excursion[T], c KeskarConfig) box[T] {
	if c.Dim == fullSpace {
		return &fullBox[T]{e, c.Epsilon}
	}
	return newSubspaceBox(e, c)
}

// fullBox is C in the full space: |y_j| ≤ ε(|θ_j| + 1).
type fullBox[T engine.Float] struct {
	e       *excursion[T]
	epsilon float64
}

func (b *fullBox[T]) dim() int { return len(b.e.theta) }

func (b *fullBox[T]) side(j int) float64 { return b.epsilon * (math.Abs(float64(b.e.theta[j])) + 1) }

func (b *fullBox[T]) place(z []float64) {
	s := b.e.o.s
	theta := s.Params()
	s.Split(len(z), 1, func(from, to int) {
		for j := from; j < to; j++ {
			theta[j] = T(float64(b.e.theta[j]) + b.side(j)*z[j])
		}
	})
}

func (b *fullBox[T]) pull(out []float64, grad []T) {
	b.e.o.s.Split(len(out), 1, func(from, to int) {
		for j := from; j < to; j++ {
			out[j] = b.side(j) * float64(grad[j])
		}
	})
}
