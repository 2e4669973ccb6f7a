package measure

import (
	"slices"

	"sgflow/engine"
)

// Objective is the mean loss L(θ) = (1/n) Σ ℓᵢ(θ) over a set of samples that
// is chosen anew at every call, on one session. Sets larger than the session's
// capacity are run in chunks, their gradients and products averaged.
//
// It is not for concurrent use.
type Objective[T engine.Float] struct {
	s    *engine.Session[T]
	fill func(indices []int32)

	indices []int32 // of the last Gradient
	loaded  bool    // the session holds the activations of all of indices
	stale   bool    // but its backward pass is not that of their gradient

	grad     []T       // of a set that took several chunks
	sums     []float64 // running sums over chunks, float64
	loss     float64   // of such a set
	correct  int       // of such a set
	losses   []float64 // of the chunks of Forward
	corrects []float64 // in each of them
	partial  []T       // one chunk's product
	parts    []float64 // of noise, by parameter
	norms    [][]float64
	normsOK  bool
	unruled  []int // parameters for which no rule gives sample norms
	products int

	kept   keptMean
	mean   []T   // ḡ of KeepSamples, where the session does not keep its factors
	single [][]T // every sample's gradient, for a Gram matrix without factors
	trip   excursion[T]
	space  subspace[T] // of the last Keskar in one
}

// NewObjective returns the objective of the samples that fill writes: it is
// to write the rows of the session's inputs for at most Capacity samples.
func NewObjective[T engine.Float](s *engine.Session[T], fill func(indices []int32)) *Objective[T] {
	o := &Objective[T]{s: s, fill: fill, norms: make([][]float64, len(s.Program().Params))}
	for k, p := range s.Program().Params {
		if p.Norms < 0 {
			o.unruled = append(o.unruled, k)
		}
	}
	return o
}

// Session returns the session the objective runs on.
func (o *Objective[T]) Session() *engine.Session[T] { return o.s }

// Forward returns the mean loss of the samples and how many are classified
// rightly (−1 per chunk where no logits are known, so negative then). The last
// Gradient's samples are still those that Product and SampleNorms speak of.
func (o *Objective[T]) Forward(indices []int32) (loss float64, correct int) {
	o.loaded = false
	chunks := slices.Collect(slices.Chunk(indices, o.s.Capacity()))
	o.losses, o.corrects = grow(o.losses, len(chunks)), grow(o.corrects, len(chunks))
	for k, chunk := range chunks {
		o.fill(chunk)
		o.s.Forward(len(chunk))
		o.s.LossTo(&o.losses[k], &o.corrects[k])
	}
	o.s.Wait()
	for k, chunk := range chunks {
		loss += o.losses[k] * float64(len(chunk))
		if finite(o.corrects[k]) { // the device has not failed
			correct += int(o.corrects[k])
		}
	}
	return loss / float64(len(indices)), correct
}

// Gradient computes loss, correct count and the gradient of the mean loss of
// the samples; with noise also the squared norm of every sample's gradient.
// indices is kept until the next call.
func (o *Objective[T]) Gradient(indices []int32, noise bool) (loss float64, correct int) {
	o.queueGradient(indices, noise)
	return o.gradient()
}

// queueGradient queues what Gradient does, and gradient waits for it; between them more
// may be queued that needs ḡ.
func (o *Objective[T]) queueGradient(indices []int32, noise bool) {
	o.indices, o.products = indices, 0
	o.normsOK = noise && !o.s.Program().BatchCoupled
	if o.normsOK {
		for k := range o.norms {
			o.norms[k] = grow(o.norms[k], len(indices))
		}
		o.oneByOne(indices)
	}
	o.loaded, o.stale = o.fits(), false
	if o.loaded {
		o.fill(indices)
		o.s.Gradient(len(indices), o.normsOK)
		return
	}
	o.loss, o.correct = 0, 0
	o.sums = grow(o.sums, len(o.s.Params()))
	clear(o.sums)
	for at := 0; at < len(indices); at += o.s.Capacity() {
		chunk := indices[at:min(at+o.s.Capacity(), len(indices))]
		o.fill(chunk)
		o.s.Gradient(len(chunk), o.normsOK)
		o.takeNorms(at)
		o.loss += o.s.Loss() * float64(len(chunk))
		o.correct += o.s.Correct()
		addScaled(o.s, o.sums, o.s.Grad(), float64(len(chunk))/float64(len(indices)))
	}
	o.loss /= float64(len(indices))
	o.grad = o.vector(o.grad, len(o.sums))
	store(o.s, o.grad, o.sums)
	o.s.Copy(o.s.Grad(), o.grad)
}

// present says that the session has the gradient, and the activations, of samples of its own
// choice, and knows the norms of samples' gradients or does not.
func (o *Objective[T]) present(norms bool) {
	o.indices, o.products, o.normsOK = nil, 0, norms
	o.loaded, o.stale = true, false
}

// gradient returns what Gradient does for the samples of queueGradient.
func (o *Objective[T]) gradient() (loss float64, correct int) {
	if !o.loaded {
		return o.loss, o.correct
	}
	o.takeNorms(0)
	return o.s.Loss(), o.s.Correct()
}

// Grad returns ḡ of the last Gradient; it is the session's gradient.
func (o *Objective[T]) Grad() []T { return o.s.Grad() }

// Product computes out = H·v for the samples of the last Gradient, at the
// parameters they were evaluated at. out and v must not overlap; v may be Grad.
func (o *Objective[T]) Product(out, v []T) {
	o.products++
	if o.fits() {
		o.restore()
		o.s.Product(out, v)
		return
	}
	if &v[0] == &o.s.Grad()[0] {
		v = o.grad // the chunks' gradients go over the session's
	}
	o.partial = o.vector(o.partial, len(out))
	o.sums = grow(o.sums, len(out))
	clear(o.sums)
	for at := 0; at < len(o.indices); at += o.s.Capacity() {
		chunk := o.indices[at:min(at+o.s.Capacity(), len(o.indices))]
		o.fill(chunk)
		o.s.Gradient(len(chunk), false)
		o.s.Product(o.partial, v)
		addScaled(o.s, o.sums, o.partial, float64(len(chunk))/float64(len(o.indices)))
	}
	store(o.s, out, o.sums)
	o.s.Copy(o.s.Grad(), o.grad)
}

// fits reports whether the samples of the last Gradient are one chunk.
func (o *Objective[T]) fits() bool { return len(o.indices) <= o.s.Capacity() }

// restore brings activations and gradient of a set of one chunk back into the
// session, where another set or another backward pass took their place.
func (o *Objective[T]) restore() {
	if o.loaded && !o.stale {
		return
	}
	o.fill(o.indices)
	o.s.Gradient(len(o.indices), false)
	o.loaded, o.stale = true, false
}

// Restore makes Grad ḡ of the last Gradient again, and the session's backward
// pass that of its samples, whatever ran since. The parameters must be those of
// that Gradient.
func (o *Objective[T]) Restore() {
	if o.fits() {
		o.restore()
	} else {
		o.s.Copy(o.s.Grad(), o.grad)
	}
}

// Products returns the number of Hessian-vector products since the last Gradient.
func (o *Objective[T]) Products() int { return o.products }

// SampleNorms returns ‖gᵢ‖² of the samples of the last Gradient with noise,
// for the k-th parameter; nil if it was without, or if samples' gradients do
// not exist because the graph mixes samples.
func (o *Objective[T]) SampleNorms(k int) []float64 {
	if !o.normsOK {
		return nil
	}
	return o.norms[k]
}

// takeNorms copies the norms of a chunk that starts at sample at.
func (o *Objective[T]) takeNorms(at int) {
	if !o.normsOK {
		return
	}
	for k := range o.norms {
		copy(o.norms[k][at:], o.s.SampleNorms(k)) // nil, so nothing, for unruled ones
	}
}

// oneByOne computes the norms of parameters without a rule from each sample's
// own gradient.
func (o *Objective[T]) oneByOne(indices []int32) {
	if len(o.unruled) == 0 {
		return
	}
	params := o.s.Program().Params
	for i := range indices {
		o.fill(indices[i : i+1])
		o.s.Gradient(1, false)
		for _, k := range o.unruled {
			p := params[k]
			o.norms[k][i] = o.s.NormSq(o.s.Grad()[p.Offset : p.Offset+p.Size])
		}
	}
}

// grow returns a slice of length n, s itself if it is large enough.
func grow[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n)
	}
	return s[:n]
}

// vector returns a vector of length n near to where the session computes, v itself
// if it is large enough.
func (o *Objective[T]) vector(v []T, n int) []T {
	if cap(v) < n {
		return o.s.NewVector(n)
	}
	return v[:n]
}

// addScaled computes sums += w·x, x being a vector of the session's.
func addScaled[T engine.Float](s *engine.Session[T], sums []float64, x []T, w float64) {
	s.Wait()
	for i, v := range x {
		sums[i] += w * float64(v)
	}
}

// store rounds sums to dst, a vector of the session's.
func store[T engine.Float](s *engine.Session[T], dst []T, sums []float64) {
	s.Wait()
	round(dst, sums)
}

func round[T engine.Float](dst []T, sums []float64) {
	for i, v := range sums {
		dst[i] = T(v)
	}
}
