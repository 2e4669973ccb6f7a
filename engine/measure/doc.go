// Package measure computes the noise in the gradient and the flatness of the
// loss from gradients, the gradients of single samples, and exact
// Hessian-vector products of an engine.Session.
//
//	Objective   the mean loss of a set of samples, in chunks if it is large: loss,
//	            gradient, products with the Hessian and with samples' gradients
//	Operator    a symmetric matrix by its products: Hessian, Gauss-Newton, Fisher
//	lanczos     extreme eigenvalues of an Operator, with residuals
//	hutchinson  its trace with a standard error
//
//	Quantity    an entry of the registry (registry.go): something to measure
//	Point       where quantities are measured: what they share is computed once
//	Selection   the quantities that a run measures
//
//	Monitor     measures a selection at every step of training
//	Probe       examines fixed weights on fixed samples
//	Spectrum    the density of all eigenvalues, by stochastic Lanczos quadrature
//
// A quantity is one file: its Quantity with formula, source and cost, and the
// function that logs it at a Point. What it needs from step to step it asks the
// Point to remember, under names that begin with its own; all of that is part of
// a checkpoint, so a resumed run logs the same bits. Files without a Quantity
// are the estimators behind them.
//
// Nothing here knows models, data sets or files; results are the plain structs
// that package record writes.
package measure
