package measure

import (
	"context"
	"math"

	"sgflow/engine"
	"sgflow/engine/program"
	"sgflow/engine/rng"
)

// FisherConfig says how labels are drawn. Zero values are the defaults.
type FisherConfig struct {
	Draws int // labels for each sample; default 1
	Seed  uint64
	First uint64 // number of the first draw of the seed, below 2³²
}

// Fisher is the Fisher matrix with labels drawn from the model's own
// distribution, of the samples of an objective's last Gradient:
//
//	F̂ = (1/nm) Σᵢ Σ_k ĝᵢₖĝᵢₖᵀ,  ĝᵢₖ = Jᵢᵀuᵢₖ,  uᵢₖ = ∂ℓ(zᵢ, ŷᵢₖ)/∂zᵢ
//
// with m = Draws labels ŷ for each sample: a class drawn from softmax(zᵢ) for
// cross-entropy, zᵢ plus standard normal noise for mse. Its expectation over the
// labels is the Fisher matrix, which is the Gauss-Newton matrix (see GaussNewton);
// for labels of the data instead, see EmpiricalFisher (Kunstner, Balles & Hennig
// 2019, arXiv:1905.12558). It is an Operator for the parameters and samples of
// that Gradient.
type Fisher[T engine.Float] struct {
	*logitOperator[T]
	draws  int
	scores []T // uᵢₖ: draws × n × classes
	p, sum []float64
	terms  []float64 // tᵢ
}

// SampledFisher draws the labels and returns the operator. The k-th label of the
// i-th sample of the set is a function of seed, i and k. The error is
// ErrNoLogits.
func SampledFisher[T engine.Float](o *Objective[T], c FisherConfig) (*Fisher[T], error) {
	a, err := newLogitOperator(o)
	if err != nil {
		return nil, err
	}
	f := &Fisher[T]{logitOperator: a}
	a.curve = f.curve
	f.draw(c)
	return f, nil
}

// draw draws the labels anew.
func (f *Fisher[T]) draw(c FisherConfig) {
	f.draws = max(c.Draws, 1)
	f.scores = grow(f.scores, f.draws*len(f.o.indices)*f.classes)
	f.p = grow(f.p, f.classes)
	f.o.eachForward(false, func(from, n int) {
		z := f.o.s.Logits(n)
		for i := range n {
			softmax(f.p, z[i*f.classes:(i+1)*f.classes])
			for k := range f.draws {
				stream := rng.New(rng.Predictions, c.Seed, (c.First+uint64(k))<<32|uint64(from+i))
				score(f.score(k, from+i), f.kind, f.p, &stream)
			}
		}
	})
}

// score returns uᵢₖ, of sample i and draw k.
func (f *Fisher[T]) score(k, i int) []T {
	at := (k*len(f.o.indices) + i) * f.classes
	return f.scores[at : at+f.classes]
}

// curve computes (1/m) Σ_k uᵢₖ(uᵢₖᵀu).
func (f *Fisher[T]) curve(u []T, from, to int) {
	sum := grow(f.sum, f.classes)
	f.sum = sum
	for i := from; i < to; i++ {
		row := u[(i-from)*f.classes : (i-from+1)*f.classes]
		clear(sum)
		for k := range f.draws {
			s, dot := f.score(k, i), 0.0
			for c, v := range s {
				dot += float64(v) * float64(row[c])
			}
			for c, v := range s {
				sum[c] += dot * float64(v) / float64(f.draws)
			}
		}
		round(row, sum)
	}
}

// Trace returns tr F̂ as the average over samples of tᵢ = (1/m) Σ_k ‖ĝᵢₖ‖². Its
// standard error is for samples that are drawn from a population, of which it
// estimates the Fisher trace; for the set itself, whose exact value is the trace
// of the Gauss-Newton matrix, it is too large, by the spread between samples. It
// takes one pullback a draw. The error is the context's, or ErrCoupled.
func (f *Fisher[T]) Trace(ctx context.Context) (Average, error) {
	total := len(f.o.indices)
	f.terms = grow(f.terms, total)
	clear(f.terms)
	err := f.eachNorms(ctx, func(from, n int) {
		for k := range f.draws {
			at := (k*total + from) * f.classes
			for _, norms := range f.norms(f.scores[at:at+n*f.classes], n) {
				for i, x := range norms {
					f.terms[from+i] += x / float64(f.draws)
				}
			}
		}
	})
	if err != nil {
		return Average{}, err
	}
	return average(f.terms), nil
}

// softmax computes p = exp(z)/Σexp(z).
func softmax[T engine.Float](p []float64, z []T) {
	largest := math.Inf(-1)
	for _, v := range z {
		largest = max(largest, float64(v))
	}
	sum := 0.0
	for c, v := range z {
		p[c] = math.Exp(float64(v) - largest)
		sum += p[c]
	}
	for c := range p {
		p[c] /= sum
	}
}

// score fills u with ∂ℓ(z, ŷ)/∂z for a label ŷ drawn from the model; p is
// softmax(z).
func score[T engine.Float](u []T, kind program.LossKind, p []float64, stream *rng.Stream) {
	if kind == program.MSE { // ŷ = z + ε, so z − ŷ = −ε
		for c := range u {
			u[c] = T(-stream.NormFloat64())
		}
		return
	}
	label := class(p, stream.Float64())
	for c, v := range p {
		u[c] = T(v)
		if c == label {
			u[c] = T(v - 1)
		}
	}
}

// class returns the first class at which the sum of p exceeds x, 0 ≤ x < 1.
func class(p []float64, x float64) int {
	last := 0
	for c, v := range p {
		if v > 0 {
			last = c
		}
		if x -= v; x < 0 {
			return c
		}
	}
	return last // the sum of p, 1 up to rounding, is below x
}
