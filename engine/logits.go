package engine

// Derivatives at the logits z of programs whose loss is an op.Loss and nothing
// else (program.Program.HasLogitLoss). Jᵢ = ∂zᵢ/∂θ is the Jacobian of sample i's
// logits and ℓᵢ its loss, so that gᵢ = Jᵢᵀ∇ℓᵢ and the Gauss-Newton matrix is
// (1/n) Σ JᵢᵀHᵢJᵢ with Hᵢ = ∂²ℓᵢ/∂zᵢ²: Pullback of LossCurvature of Tangent
// (Schraudolph 2002, Neural Computation 14(7), section 3).
//
// All speak of the n samples of the last run, be it Forward, Gradient or
// Pullback, at the parameters it saw; parameters and inputs must not have
// changed since. They panic where the program's loss is another, before the
// first run, and where a slice has the wrong length. They allocate nothing.

// Tangent computes out = J·v: row i of out, which is n×classes, is Jᵢv. v has
// the length of Params. The program must have been compiled with curvature.
func (s *Session[T]) Tangent(out, v []T) { s.machine.Tangent(out, v) }

// Pullback computes out = (1/n) Σ Jᵢᵀuᵢ, uᵢ being row i of u, which is
// n×classes; out has the length of Params. With noise, SampleNorms are ‖Jᵢᵀuᵢ‖²
// afterwards; SampleDots and its like are of the Jᵢᵀuᵢ in any case. Grad stays what
// the last Gradient made it, but Product panics until there is another Gradient.
func (s *Session[T]) Pullback(out, u []T, noise bool) { s.machine.Pullback(out, u, noise) }

// LossGradient computes out = ∂ℓᵢ/∂zᵢ row by row, not divided by n:
// softmax(zᵢ) − yᵢ for cross-entropy, zᵢ − yᵢ for mse. out is n×classes.
func (s *Session[T]) LossGradient(out []T) { s.machine.LossGradient(out) }

// LossCurvature computes out = Hᵢuᵢ row by row, not divided by n:
// pᵢ∘uᵢ − pᵢ⟨pᵢ,uᵢ⟩ with pᵢ = softmax(zᵢ) for cross-entropy, uᵢ for mse. out and u
// are n×classes and may be one slice.
func (s *Session[T]) LossCurvature(out, u []T) { s.machine.LossCurvature(out, u) }

// SampleLosses stores ℓᵢ of every sample in dst, n elements, whose mean is Loss.
func (s *Session[T]) SampleLosses(dst []float64) { s.machine.SampleLosses(dst) }
