package study

import (
	"math"

	"sgflow/engine"
	"sgflow/engine/flow"
	"sgflow/engine/measure"
	"sgflow/engine/problem"
	"sgflow/engine/record"
)

// place is the network that all paths move on, and what measures a point.
type place[T engine.Float] struct {
	s       *engine.Session[T]
	net     *flow.Network[T]
	train   []int32
	test    *measure.Objective[T]
	tests   []int32
	classes int
	softmax bool // predictions are the softmax of the outputs
	leading *measure.Leading[T]
	start   []T
}

// How lambda_max is found: to this share of itself, or with so many products.
const (
	lambdaTolerance = 0.03
	lambdaProducts  = 40
)

// newPlace opens the network; close frees it.
func newPlace[T engine.Float](p *problem.Opened, c *Config) (*place[T], error) {
	tests := p.Set.Test.N
	if c.TestLimit > 0 {
		tests = min(tests, c.TestLimit)
	}
	s, err := problem.NewSession[T](p, max(p.Train.N, tests))
	if err != nil {
		return nil, err
	}
	if err := problem.SetWeights(p, s); err != nil {
		s.Close()
		return nil, err
	}
	o := problem.NewObjective(p, s, p.Train)
	w := &place[T]{
		s: s, net: flow.NewNetwork(o, p.Train.N), train: problem.Sequence(0, p.Train.N),
		test: problem.NewObjective(p, s, p.Set.Test), tests: problem.Sequence(0, tests),
		classes: p.Set.Classes, softmax: c.Loss == problem.CrossEntropy,
		leading: measure.NewLeading[T](o, lambdaTolerance, lambdaProducts), start: make([]T, len(s.Params())),
	}
	s.Copy(w.start, s.Params())
	return w, nil
}

func (w *place[T]) close() { w.s.Close() }

// measure returns what there is to say of the point theta of a path of spec s.
// vector, if it is not nil, is the leading eigenvector where the path was last
// measured, and becomes that of theta; without one lambda_max is not measured.
func (w *place[T]) measure(s *Spec, theta, vector []T, seed uint64) (record.Numbers, error) {
	var v record.Numbers
	w.s.Copy(w.s.Params(), theta)
	o := w.net.Objective()
	loss, correct := o.Gradient(w.train, true)
	noise, _, _ := o.Noise(nil)
	v.Set("train_loss", loss)
	v.Set("train_accuracy", float64(correct)/float64(len(w.train)))
	v.Set("grad_norm_sq", noise.NormSq)
	trace := max(0, noise.MeanSampleNormSq-noise.NormSq) // of all samples there are: nothing is estimated
	v.Set("grad_var_trace", trace)
	if noise.NormSq > 0 {
		if scale := trace / noise.NormSq; !math.IsInf(scale, 0) {
			v.Set("noise_scale", scale)
		}
	}
	v.Set("langevin_temperature", s.heat(trace, len(theta)))
	if s.Batch > 0 && s.Kind != Langevin {
		v.Set("temperature", s.LR/float64(s.Batch))
	}
	v.Set("distance_from_start", math.Sqrt(w.s.DistanceSq(theta, w.start)))
	if vector != nil {
		lambda, residual, err := w.leading.Find(vector, o.Grad(), seed)
		if err != nil {
			return nil, err
		}
		v.Set("lambda_max", lambda)
		v.Set("lambda_max_residual", residual)
	}
	return v, nil
}

// predict stores the predictions of the test samples at theta in out, which has
// tests×classes elements, and adds test loss and accuracy to v.
func (w *place[T]) predict(out, theta []T, v *record.Numbers) {
	w.s.Copy(w.s.Params(), theta)
	loss, correct := 0.0, 0
	for at := 0; at < len(w.tests); at += w.s.Capacity() {
		chunk := w.tests[at:min(at+w.s.Capacity(), len(w.tests))]
		mean, right := w.test.Forward(chunk)
		loss += mean * float64(len(chunk)) / float64(len(w.tests))
		correct += right
		copy(out[at*w.classes:], w.s.Logits(len(chunk)))
	}
	if w.softmax {
		for at := 0; at < len(out); at += w.classes {
			softmax(out[at : at+w.classes])
		}
	}
	v.Set("test_loss", loss)
	v.Set("test_accuracy", float64(correct)/float64(len(w.tests)))
}

// softmax replaces logits by their softmax.
func softmax[T engine.Float](z []T) {
	top, sum := math.Inf(-1), 0.0
	for _, x := range z {
		top = max(top, float64(x))
	}
	for _, x := range z {
		sum += math.Exp(float64(x) - top)
	}
	for i, x := range z {
		z[i] = T(math.Exp(float64(x)-top) / sum)
	}
}
