package measure

import (
	"context"

	"sgflow/engine"
	"sgflow/engine/record"
)

// Point is where quantities are measured: parameters, a set of samples, and
// what was computed there. What several quantities need is computed when the
// first asks for it.
type Point[T engine.Float] struct {
	ctx context.Context
	o   *Objective[T]
	c   *Config
	*memory[T]

	// Of the point: mean loss, the number of samples classified rightly (−1
	// where not known), the samples.
	loss    float64
	correct int
	n       int
	step    *Step // of training the point belongs to; nil elsewhere
	aside   bool  // at other samples than the step's batch, for their flatness

	recording bool // what is queued is recorded, for all steps that a device takes

	queued
	out *record.Numbers // the group that log writes to
	bad record.Number   // the first number that was not finite
	ok  bool            // there was none

	noise     GradientNoise
	layers    []GradientNoise
	lastDot   float64 // Σ ḡⱼ·(the last ḡ)ⱼ, where the last one is kept
	hasNoise  bool
	total     []float64 // ‖gᵢ‖²
	hasTotal  bool
	dots      []float64 // gᵢᵀḡ
	hasDots   bool
	losses    []float64
	hasLosses bool
	gg        float64 // ‖ḡ‖²
	hg        []T     // H·ḡ
	gHg       float64 // ḡᵀHḡ
	top       eigenStream[T]
	zHz, hzSq float64 // of the trace's probe
	moment    []T     // (1/n) Σ gᵢ∘gᵢ
	momentOK  bool
	hasMoment bool
	tr, trErr float64 // of trace
	trErrOK   bool
	hasTrace  bool
	quick     *lanczos[T] // of lambda_max
	ordered   []float64
	slopes    []float64
	signs     []float64
	sums      []float64 // of the blocks of reduce
	before    []T       // θ before the step's update, where updated quantities may need it
	scratch   [2][]T
	curvature curvatures[T]
	report    func(stage string) // of work that takes long; nil for none
}

// queued says what a session was asked for at the point.
type queued struct {
	summed bool // the pass over ḡ of noise
	hasGG  bool // ‖ḡ‖² by itself
	hasHG  bool // H·ḡ
	hasGHg bool // ḡᵀHḡ
	probed bool // the probe of the trace

	owed bool // numbers that were not waited for
}

// Step is what quantities know of the step of training that a point belongs to.
type Step struct {
	LR       float64
	Momentum float64
	// Plain is set where the update is −LR·ḡ and nothing else.
	Plain bool
	// NotSGD is set where the update is not that of SGD, with momentum or without.
	NotSGD bool
	// Ascends is set where the update follows the gradient of another point: samples'
	// gradients at θ are gone once it is made.
	Ascends bool
}

// begin starts a new point at the n samples of the objective's last Gradient, whose loss
// and count are set by found.
func (p *Point[T]) begin(n int) {
	p.n = n
	p.queued = queued{owed: p.owed}
	p.hasNoise, p.hasTotal, p.hasDots, p.hasLosses = false, false, false, false
	p.hasMoment, p.hasTrace = false, false
	p.curvature.begin()
	p.ok = true
}

// found sets the point's mean loss and the number of samples classified rightly.
func (p *Point[T]) found(loss float64, correct int) { p.loss, p.correct = loss, correct }

// collect waits for what the queue rules have queued, once for all.
func (p *Point[T]) collect() {
	if p.owed {
		p.o.s.Wait()
		p.owed = false
	}
}

// progress returns what reports that work on a quantity goes on.
func (p *Point[T]) progress(stage string) func(done, total int) {
	if p.report == nil {
		return nil
	}
	return func(int, int) { p.report(stage) }
}

// log writes a number under a key of the quantity at hand. One that is not
// finite is kept for the error instead.
func (p *Point[T]) log(name string, x float64) {
	if !finite(x) {
		if p.ok {
			p.bad, p.ok = record.Number{Name: name, X: x}, false
		}
		return
	}
	*p.out = append(*p.out, record.Number{Name: name, X: x})
}

// logIf is log where ok; the quantity is absent otherwise.
func (p *Point[T]) logIf(name string, x float64, ok bool) {
	if ok {
		p.log(name, x)
	}
}

func queueNoise[T engine.Float](p *Point[T]) error {
	p.queueNoise()
	return nil
}

// queueNoise queues what Noise waits for.
func (p *Point[T]) queueNoise() {
	if p.hasNoise || p.summed {
		return
	}
	var last []T
	if p.step != nil && !p.aside && p.c.Select.Has(gradCosine.Name) {
		last, _ = p.vector(lastGradient, len(p.o.Grad()))
	}
	p.o.s.Fork()
	p.o.queueNoise(last)
	p.o.s.Join()
	p.summed, p.owed = true, true
}

// Noise returns the noise of the gradient. Where per-sample gradients do not
// exist, only NormSq is valid, and ok false.
func (p *Point[T]) Noise() (g GradientNoise, ok bool) {
	if !p.hasNoise {
		p.queueNoise()
		p.collect()
		p.noise, p.layers, p.lastDot = p.o.noise(p.layers[:0], p.n)
		p.hasNoise, p.summed = true, false
	}
	return p.noise, p.o.normsOK
}

// SampleNormSq returns ‖gᵢ‖² of all samples, nil where per-sample gradients do
// not exist.
func (p *Point[T]) SampleNormSq() []float64 {
	if !p.o.normsOK {
		return nil
	}
	if !p.hasTotal {
		p.total = grow(p.total, p.n)
		clear(p.total)
		for k := range p.o.norms {
			for i, x := range p.o.SampleNorms(k) {
				p.total[i] += x
			}
		}
		p.hasTotal = true
	}
	return p.total
}

// MeanDots returns gᵢᵀḡ of all samples.
func (p *Point[T]) MeanDots() []float64 {
	if !p.hasDots {
		p.dots = grow(p.dots, p.n)
		p.o.MeanDots(p.dots)
		p.hasDots = true
	}
	return p.dots
}

// SampleLosses returns ℓᵢ of all samples.
func (p *Point[T]) SampleLosses() []float64 {
	if !p.hasLosses {
		p.losses = grow(p.losses, p.n)
		p.o.SampleLosses(p.losses)
		p.hasLosses = true
	}
	return p.losses
}

// queueProduct queues H·ḡ and returns where it will be.
func (p *Point[T]) queueProduct() (hg []T) {
	if !p.hasHG {
		p.hg = p.o.vector(p.hg, len(p.o.Grad()))
		p.o.Product(p.hg, p.o.Grad())
		p.hasHG = true
	}
	return p.hg
}

// queueGradientProduct queues ḡᵀHḡ, and H·ḡ, and returns where the latter will be.
func (p *Point[T]) queueGradientProduct() (hg []T) {
	hg = p.queueProduct()
	if !p.hasGHg {
		p.o.s.DotTo(&p.gHg, p.o.Grad(), hg)
		p.hasGHg, p.owed = true, true
	}
	return hg
}

// GradientProduct returns H·ḡ and ḡᵀHḡ.
func (p *Point[T]) GradientProduct() (hg []T, gHg float64) {
	hg = p.queueGradientProduct()
	p.collect()
	return hg, p.gHg
}

// queueNormSq sees to it that ‖ḡ‖² is known by the next Wait, and returns where it is if the
// session needs no wait.
func (p *Point[T]) queueNormSq() *float64 {
	switch {
	case p.hasNoise:
		p.gg = p.noise.NormSq
	case p.summed:
		p.gg = p.o.normSqOfParts()
	case !p.hasGG:
		p.o.s.DotTo(&p.gg, p.o.Grad(), p.o.Grad())
		p.hasGG, p.owed = true, true
	}
	return &p.gg
}

// gradNormSq returns ‖ḡ‖².
func (p *Point[T]) gradNormSq() float64 {
	p.queueNormSq()
	p.collect()
	return *p.queueNormSq()
}

// window adds x to the values remembered under the name, of which it keeps the
// last Config.Window, and returns them, oldest first.
func (p *Point[T]) window(name string, x float64) []float64 {
	w := p.list(name)
	if cap(w) < p.c.Window {
		w = append(make([]float64, 0, p.c.Window), w...)
	}
	if len(w) >= p.c.Window {
		copy(w, w[1:])
		w = w[:p.c.Window-1]
	}
	w = append(w, x)
	p.remember(name, w)
	return w
}

// temporary returns the k-th scratch vector of P elements; any quantity may
// overwrite it.
func (p *Point[T]) temporary(k int) []T {
	p.scratch[k] = p.o.vector(p.scratch[k], len(p.o.Grad()))
	return p.scratch[k]
}

// variance returns the unbiased variance of x, of two values or more, and
// their mean.
func variance(x []float64) (v, mean float64) {
	for _, a := range x {
		mean += a
	}
	n := float64(len(x))
	mean /= n
	for _, a := range x {
		v += (a - mean) * (a - mean)
	}
	return v / (n - 1), mean
}
