package engine

// The gradients of single samples. gᵢ is the gradient of sample i's own loss,
// not divided by n, for the n samples of the last Gradient; after a Pullback it
// is Jᵢᵀuᵢ. They are never formed: of a dense layer only the two factors of the
// outer product are at hand (Goodfellow 2015, arXiv:1510.01799), of a
// convolution one gradient of the filters for each sample, made when first
// asked for. Where the program has no such factors
// (program.Program.Factored), the methods do nothing and return false.
//
// Their results do not depend on the number of threads, and after the first
// call they allocate nothing. They panic where neither a Gradient nor a Pullback
// is the last run, or where a slice has the wrong length.

// SampleDots computes dst[i] = gᵢᵀv. dst has n elements and v the length of
// Params.
func (s *Session[T]) SampleDots(dst []float64, v []T) (ok bool) { return s.machine.SampleDots(dst, v) }

// MeanDots computes dst[i] = gᵢᵀḡ, ḡ being the mean of the gᵢ, as SampleDots
// with ḡ does but mostly at less cost. dst has n elements. It needs Grad as the
// last Gradient left it, and panics after a Pullback.
func (s *Session[T]) MeanDots(dst []float64) (ok bool) { return s.machine.MeanDots(dst) }

// SampleGram computes dst[i·n+j] = gᵢᵀgⱼ, n×n.
func (s *Session[T]) SampleGram(dst []float64) (ok bool) { return s.machine.SampleGram(dst) }

// CombineSamples computes out = Σ wᵢgᵢ. out has the length of Params and w n
// elements.
func (s *Session[T]) CombineSamples(out []T, w []float64) (ok bool) {
	return s.machine.CombineSamples(out, w)
}

// SecondMoment computes out = (1/n) Σ gᵢ∘gᵢ, element by element. out has the
// length of Params.
func (s *Session[T]) SecondMoment(out []T) (ok bool) { return s.machine.SecondMoment(out) }

// KeepSamples remembers the mean ḡ′ of the last Gradient's samples for
// CrossDots, until it is called again. It needs Grad as that Gradient left it,
// and panics after a Pullback.
func (s *Session[T]) KeepSamples() (ok bool) { return s.machine.KeepSamples() }

// CrossDots computes dst[i] = gᵢᵀḡ′ with the mean gradient ḡ′ that KeepSamples
// kept, of other samples or at other parameters. dst has n elements. It panics
// without a KeepSamples.
func (s *Session[T]) CrossDots(dst []float64) (ok bool) { return s.machine.CrossDots(dst) }

// KeptSamples returns a copy of what KeepSamples kept, and of how many samples,
// for a checkpoint; n is 0 where nothing was.
func (s *Session[T]) KeptSamples() (n int, data []T) { return s.machine.KeptSamples() }

// SetKeptSamples restores what KeptSamples returned on a session of the same
// program and capacity.
func (s *Session[T]) SetKeptSamples(n int, data []T) error { return s.machine.SetKeptSamples(n, data) }
