// Package program is the form in which a model is executed: a flat list of
// typed instructions over buffers.
//
// A Program is made once from a differentiated Gorgonia graph (package lower)
// and run many times by a backend (package cpu). It does not know the batch
// size: a buffer is either of fixed size or of so many elements for each
// sample, and a backend plans memory for the largest batch it is to run
// ([Program.Plan]) and then runs any n up to that.
//
// The instructions are grouped in phases, in the order in which a training
// step needs them:
//
//	Forward    x, y, θ       → loss, number of correct predictions
//	Gradient   …             → ḡ = ∇L(θ)
//	Noise      …             → ‖gᵢ‖² of every sample, for each parameter
//	Curvature  …             → what Hessian-vector products need but no v
//	Product    v             → H·v
//	Samples    …             → rows of per-sample gradients that no buffer holds yet
//
// A phase reads what the earlier ones left in their buffers, so a backend may
// run Product many times after one run of the others: every product at the
// same point reuses the activations of the forward and the backward pass.
// Samples runs where per-sample gradients are asked for, at most once after a
// Gradient: it makes what their factors ([Factors]) lack.
//
// The package imports no backend and executes nothing.
package program
