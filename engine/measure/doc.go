// Package measure computes the noise in the gradient and the flatness of the
// loss, as the README defines them, from gradients, per-sample gradient norms
// and exact Hessian-vector products of an engine.Session.
//
//	Objective   the mean loss of a set of samples, in chunks if it is large:
//	            loss, gradient, per-sample norms, Hessian-vector products
//	noise       exact for the samples, from Σ‖gᵢ‖² and ‖ḡ‖²
//	lanczos     extreme eigenvalues of H, with residuals
//	hutchinson  tr H with its standard error
//	Monitor     what training measures at every step, warm-started
//	Probe       everything, for fixed weights and samples
//	Spectrum    the density of all eigenvalues, by stochastic Lanczos quadrature
//
// Nothing here knows models, data sets or files; results are the plain
// structs that package record writes.
package measure
