// Package model has loss surfaces on which what SGD does is known exactly or nearly, as
// flow.Surface in float64: quadratics with noisy centres, springs with noise that
// depends on the point, a saddle, a double well, and logistic regression.
package model
