package measure

// The gradients gᵢ of the single samples of an objective's last Gradient, not
// divided by n. Products with them are made from their factors, chunk by chunk
// where the set is large (engine.Session.SampleDots and its neighbours). Where
// the program has no factors, they are computed one sample at a time: slower,
// equally exact. Where a sample's loss depends on the others
// (program.Program.BatchCoupled), no gᵢ exist and the methods return false.
//
// They leave ḡ in Grad. After the first call they allocate nothing.

// SampleDots computes dst[i] = gᵢᵀv. dst has an element for each sample; v has P
// elements and may be Grad.
func (o *Objective[T]) SampleDots(dst []float64, v []T) (ok bool) {
	if o.s.Program().BatchCoupled {
		return false
	}
	factored := o.s.Program().Factored()
	if &v[0] == &o.s.Grad()[0] && !(factored && o.fits()) {
		v = o.savedGrad() // gradients of parts of the set go over the session's
	}
	if factored {
		o.eachGradient(func(at, n int) { o.s.SampleDots(dst[at:at+n], v) })
	} else {
		o.eachSample(func(i int) { dst[i] = o.s.Dot(o.s.Grad(), v) })
	}
	return true
}

// MeanDots computes dst[i] = gᵢᵀḡ, as SampleDots with Grad does, but for a set of
// one chunk mostly at less cost.
func (o *Objective[T]) MeanDots(dst []float64) (ok bool) {
	if !o.s.Program().Factored() || !o.fits() {
		return o.SampleDots(dst, o.Grad())
	}
	o.restore()
	return o.s.MeanDots(dst)
}

// CombineSamples computes out = Σ wᵢgᵢ. out has P elements and w one for each
// sample.
func (o *Objective[T]) CombineSamples(out []T, w []float64) (ok bool) {
	switch {
	case o.s.Program().BatchCoupled:
		return false
	case !o.s.Program().Factored():
		o.sumSamples(out, func(i int) { addScaled(o.s, o.sums, o.s.Grad(), w[i]) })
	case o.fits():
		o.restore()
		o.s.CombineSamples(out, w)
	default:
		o.sumChunks(out, func(at, n int) {
			o.s.CombineSamples(o.partial, w[at:at+n])
			addScaled(o.s, o.sums, o.partial, 1)
		})
	}
	return true
}

// SecondMoment computes out = (1/n) Σ gᵢ∘gᵢ, element by element. out has P
// elements.
func (o *Objective[T]) SecondMoment(out []T) (ok bool) {
	total := float64(len(o.indices))
	switch {
	case o.s.Program().BatchCoupled:
		return false
	case !o.s.Program().Factored():
		o.sumSamples(out, func(int) {
			o.s.Wait()
			for k, x := range o.s.Grad() {
				o.sums[k] += float64(x) * float64(x) / total
			}
		})
	case o.fits():
		o.restore()
		o.s.SecondMoment(out)
	default:
		o.sumChunks(out, func(_, n int) {
			o.s.SecondMoment(o.partial)
			addScaled(o.s, o.sums, o.partial, float64(n)/total)
		})
	}
	return true
}

// SampleGram computes dst[i·n+j] = gᵢᵀgⱼ for all pairs of the n samples. It
// returns false for sets of more than one chunk too. Without factors it takes
// the memory of n gradients.
func (o *Objective[T]) SampleGram(dst []float64) (ok bool) {
	if o.s.Program().BatchCoupled || !o.fits() {
		return false
	}
	if o.s.Program().Factored() {
		o.restore()
		return o.s.SampleGram(dst)
	}
	n := len(o.indices)
	for len(o.single) < n {
		o.single = append(o.single, make([]T, len(o.s.Params())))
	}
	o.eachSample(func(i int) { o.s.Copy(o.single[i], o.s.Grad()) })
	for i := range n {
		for j := range i + 1 {
			dst[i*n+j] = o.s.Dot(o.single[i], o.single[j])
			dst[j*n+i] = dst[i*n+j]
		}
	}
	return true
}

// keptMean says where the mean gradient of KeepSamples is.
type keptMean uint8

const (
	nothingKept   keptMean = iota
	keptBySession          // as factors
	keptWhole              // in Objective.mean
)

const noKept = "measure: CrossDots without a KeepSamples before"

// KeepSamples remembers ḡ for CrossDots, until it is called again.
func (o *Objective[T]) KeepSamples() (ok bool) {
	switch {
	case o.s.Program().BatchCoupled:
		return false
	case o.s.Program().Factored() && o.fits():
		o.restore()
		o.kept = keptBySession
		return o.s.KeepSamples()
	}
	o.kept = keptWhole
	o.mean = o.vector(o.mean, len(o.s.Grad()))
	o.s.Copy(o.mean, o.s.Grad())
	return true
}

// CrossDots computes dst[i] = gᵢᵀḡ′ with the ḡ′ that KeepSamples kept: of other
// samples or at other parameters. dst has an element for each sample.
func (o *Objective[T]) CrossDots(dst []float64) (ok bool) {
	switch {
	case o.s.Program().BatchCoupled:
		return false
	case o.kept == nothingKept:
		panic(noKept)
	case o.kept == keptWhole:
		return o.SampleDots(dst, o.mean)
	}
	o.eachGradient(func(at, n int) { o.s.CrossDots(dst[at : at+n]) })
	return true
}

// keptSamples returns what KeepSamples kept, for a checkpoint: of how many
// samples, 0 where it is their mean, −1 where nothing was kept.
func (o *Objective[T]) keptSamples() (n int, data []T) {
	switch o.kept {
	case keptWhole:
		return 0, o.mean
	case keptBySession:
		return o.s.KeptSamples()
	}
	return -1, nil
}

// setKeptSamples restores what keptSamples returned.
func (o *Objective[T]) setKeptSamples(n int, data []T) error {
	if n == 0 {
		o.kept, o.mean = keptWhole, data
		return nil
	}
	o.kept = keptBySession
	return o.s.SetKeptSamples(n, data)
}

// SampleLosses stores every sample's loss ℓᵢ, whose mean is L, in dst. It
// returns false where the samples' losses do not exist, since the graph mixes
// them.
func (o *Objective[T]) SampleLosses(dst []float64) (ok bool) {
	switch {
	case o.s.Program().HasLogitLoss():
		o.eachForward(false, func(at, n int) { o.s.SampleLosses(dst[at : at+n]) })
	case o.s.Program().BatchCoupled:
		return false
	default:
		o.loaded = false
		for i := range o.indices {
			o.fill(o.indices[i : i+1])
			o.s.Forward(1)
			dst[i] = o.s.Loss()
		}
	}
	return true
}

// eachForward runs f for every chunk of the samples of the last Gradient, n from
// number at on, with their activations in the session: for its Tangent, Pullback,
// LossGradient and the like. pulls says that f calls Pullback, which costs the
// next Product or SampleDots a Gradient.
func (o *Objective[T]) eachForward(pulls bool, f func(at, n int)) {
	if o.fits() {
		if !o.loaded {
			o.fill(o.indices)
			o.s.Forward(len(o.indices))
			o.loaded, o.stale = true, true
		}
		f(0, len(o.indices))
		o.stale = o.stale || pulls
		return
	}
	for at := 0; at < len(o.indices); at += o.s.Capacity() {
		chunk := o.indices[at:min(at+o.s.Capacity(), len(o.indices))]
		o.fill(chunk)
		o.s.Forward(len(chunk))
		f(at, len(chunk))
	}
}

// eachGradient runs f for every chunk of the samples of the last Gradient, with
// the chunk's gradient in the session, and leaves ḡ there.
func (o *Objective[T]) eachGradient(f func(at, n int)) {
	if o.fits() {
		o.restore()
		f(0, len(o.indices))
		return
	}
	for at := 0; at < len(o.indices); at += o.s.Capacity() {
		chunk := o.indices[at:min(at+o.s.Capacity(), len(o.indices))]
		o.fill(chunk)
		o.s.Gradient(len(chunk), false)
		f(at, len(chunk))
	}
	o.s.Copy(o.s.Grad(), o.grad)
}

// eachSample runs f for every sample of the last Gradient, with gᵢ in Grad, and
// leaves ḡ there.
func (o *Objective[T]) eachSample(f func(i int)) {
	mean := o.savedGrad()
	o.loaded = false
	for i := range o.indices {
		o.fill(o.indices[i : i+1])
		o.s.Gradient(1, false)
		f(i)
	}
	o.s.Copy(o.s.Grad(), mean)
}

// savedGrad returns a copy of ḡ that runs of the session leave alone.
func (o *Objective[T]) savedGrad() []T {
	if o.fits() { // else the last Gradient has made it
		o.grad = o.vector(o.grad, len(o.s.Grad()))
		o.s.Copy(o.grad, o.s.Grad())
	}
	return o.grad
}

// sumSamples runs f, which is to add to sums, as eachSample does, and rounds the
// sums to out.
func (o *Objective[T]) sumSamples(out []T, f func(i int)) {
	o.sums = grow(o.sums, len(out))
	clear(o.sums)
	o.eachSample(f)
	store(o.s, out, o.sums)
}

// sumChunks is sumSamples for eachGradient; f may use partial.
func (o *Objective[T]) sumChunks(out []T, f func(at, n int)) {
	o.sums, o.partial = grow(o.sums, len(out)), o.vector(o.partial, len(out))
	clear(o.sums)
	o.eachGradient(f)
	store(o.s, out, o.sums)
}
